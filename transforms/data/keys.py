"""64-bit keys of documents and samples, hashes of their content alone (BLAKE2b).

They are the same on every machine, and uniform enough to seed random numbers and shuffles.
"""

from __future__ import annotations

from hashlib import blake2b


def document_key(document_id: str, text: str) -> int:
    """Return the key of a document, 0 to 2**64 - 1, from its id and text."""
    return _hash64(document_id.encode() + b"\0" + blake2b(text.encode(), digest_size=32).digest())


def sample_key(document: int, window: int) -> int:
    """Return the key of a sample, 0 to 2**64 - 1, from its document's key and its window's
    index.
    """
    return _hash64(document.to_bytes(8, "little") + window.to_bytes(8, "little"))


def text_key(text: str) -> int:
    """Return a key, 0 to 2**64 - 1, of any text."""
    return _hash64(text.encode())


def _hash64(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")
