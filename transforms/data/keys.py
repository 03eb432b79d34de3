"""64-bit keys of documents and samples, hashes of their content alone (BLAKE2b).

They are the same on every machine, and uniform enough to seed random numbers and shuffles.
"""

from __future__ import annotations

from hashlib import blake2b


def document_key(document_id: str, text: str) -> int:
    """Return the key of a document, a hash of its id and text: 0 to 2**64 - 1."""
    return _hash64(document_id.encode() + b"\0" + blake2b(text.encode(), digest_size=32).digest())


def sample_key(document: int, window: int) -> int:
    """Return the key of a sample, a hash of its document's key and the number of its window: 0 to
    2**64 - 1.

    A window is the group of consecutive sentences that makes one sample.
    """
    return _hash64(document.to_bytes(8, "little") + window.to_bytes(8, "little"))


def text_key(text: str) -> int:
    """Return a hash of a text: 0 to 2**64 - 1."""
    return _hash64(text.encode())


def _hash64(data: bytes) -> int:
    """Return the 64-bit BLAKE2b hash of bytes as an integer."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")
