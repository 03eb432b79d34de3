"""Names for documents and samples as 64-bit numbers, from their content alone.

BLAKE2b: the same on every machine, and so even that the shuffle and the random numbers can use them
as they are.
"""

from __future__ import annotations

from hashlib import blake2b


def document_key(document_id: str, text: str) -> int:
    """0 to 2**64 - 1, from a document's id and text."""
    return _hash64(document_id.encode() + b"\0" + blake2b(text.encode(), digest_size=32).digest())


def sample_key(document: int, window: int) -> int:
    """0 to 2**64 - 1, from a document's key and the index of a window in it."""
    return _hash64(document.to_bytes(8, "little") + window.to_bytes(8, "little"))


def text_key(text: str) -> int:
    """0 to 2**64 - 1, from any text."""
    return _hash64(text.encode())


def _hash64(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")
