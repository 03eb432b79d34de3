"""Near-duplicate documents, found with MinHash and locality-sensitive hashing.

    text -> set of word 5-grams -> 128 MinHash values -> lowest 8 bits of each: the signature
    bands of the signature -> buckets; documents that share a bucket are compared

The similarity of two texts is the Jaccard index of their sets, which MinHash estimates: Andrei
Broder, "On the resemblance and containment of documents" (1997), with the lowest 8 bits of each
value: Ping Li and Christian König, "b-Bit minwise hashing" (WWW 2010).

The dropped documents depend on the set of documents alone, not on their order or partition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

SIGNATURE_BYTES = 128

Signature = bytes
Entry = tuple[bytes, Signature]  # a document's name, unique in the corpus, and its signature

_SEED = 1
_WORDS_TOGETHER = 5
_FOUND = (
    0.95  # of the pairs that are as similar as the threshold, at least so many meet in some band
)
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
_WORD = re.compile(rf"[^\W{_UNSPACED}]+|[{_UNSPACED}]")
_LEADERS = 64  # of a bucket, with which its documents are compared: bounds memory and time


def shingles(text: str) -> list[str]:
    """Return the word 5-grams of a text in lower case; in scripts without spaces each character is
    a word.

    A shorter text is one shingle.

    >>> shingles("One, two; THREE four five six.")
    ['one two three four five', 'two three four five six']
    >>> shingles("你好 world"), shingles("!?")
    (['你 好 world'], ['!?'])
    """
    words = _WORD.findall(text.lower()) or [text]
    return [
        " ".join(words[i : i + _WORDS_TOGETHER])
        for i in range(max(1, len(words) - _WORDS_TOGETHER + 1))
    ]


def check_minhash() -> None:
    """Raise ValueError, with what to install, if the library that computes MinHash is missing."""
    try:
        import rensa  # noqa: F401
    except ImportError as error:
        raise ValueError(
            "near_duplicates: needs the package rensa: pip install 'noisebeam[dedup]'"
        ) from error


def minhash(text: str) -> npt.NDArray[np.uint32]:
    """Return the 128 MinHash values of a text: (128,) uint32.

    The share of equal values of two texts estimates their Jaccard similarity.
    """
    from rensa import RMinHash

    sketch = RMinHash(num_perm=SIGNATURE_BYTES, seed=_SEED)
    sketch.update(shingles(text))
    return np.array(sketch.digest(), dtype=np.uint32)


def signature(values: npt.NDArray[np.uint32]) -> Signature:
    """Return the lowest 8 bits of each MinHash value: 128 bytes."""
    return values.astype(np.uint8).tobytes()


def band_rows(threshold: float) -> int:
    """Return how many MinHash values make a band: as many as possible while 95 % of the pairs with
    similarity `threshold` share a bucket.

    >>> [band_rows(similarity) for similarity in (0.5, 0.7, 0.8, 0.9, 1.0)]
    [3, 5, 7, 12, 128]
    """

    def found(rows: int) -> float:
        return float(1 - (1 - threshold**rows) ** (SIGNATURE_BYTES // rows))

    return max(rows for rows in range(1, SIGNATURE_BYTES + 1) if rows == 1 or found(rows) >= _FOUND)


def buckets(values: npt.NDArray[np.uint32], threshold: float) -> list[bytes]:
    """Return the names of the buckets of a document, one for each band of its MinHash values, 16
    bytes each.

    `values` is (128,) uint32. Documents that share a bucket are compared with each other.
    """
    rows = band_rows(threshold)
    bands = values[: len(values) // rows * rows].astype("<u4").reshape(-1, rows)
    return [
        blake2b(bytes([i]) + band.tobytes(), digest_size=16).digest()
        for i, band in enumerate(bands)
    ]


def near_duplicates(bucket: Iterable[Entry], threshold: float) -> Iterator[bytes]:
    """Yield the names of documents in a bucket that nearly equal another document whose name is
    smaller.

    A document of the bucket is a pair: its name (bytes) and its signature. Iterates over `bucket`
    twice. Each document is compared with at most 64 others of different signature, those with the
    smallest names.
    """
    leaders = _leaders(bucket)
    keys = [key for key, _ in leaders]
    signatures = np.frombuffer(b"".join(own for _, own in leaders), np.uint8).reshape(
        -1, SIGNATURE_BYTES
    )
    needed = equal_values(threshold)
    for key, own in bucket:
        near = np.count_nonzero(signatures == np.frombuffer(own, np.uint8), axis=1) >= needed
        if any(
            key > leader for leader, is_near in zip(keys, near.tolist(), strict=True) if is_near
        ):
            yield key


def equal_values(threshold: float) -> int:
    """Return how many of the 128 bytes of two signatures are expected to be equal, if the texts
    have Jaccard similarity `threshold`.

    By chance one byte in 256 is equal.

    >>> equal_values(0.8), equal_values(1)
    (102, 128)
    """
    return round(SIGNATURE_BYTES * (threshold + (1 - threshold) / 256))


def _leaders(bucket: Iterable[Entry]) -> list[Entry]:
    """Return a pair for each of the 64 signatures with the smallest document names: that name and
    the signature, sorted.
    """
    smallest: dict[Signature, bytes] = {}
    for key, own in bucket:
        if own in smallest:
            smallest[own] = min(key, smallest[own])
            continue
        smallest[own] = key
        if len(smallest) > _LEADERS:
            del smallest[max(smallest, key=smallest.__getitem__)]
    return sorted((key, own) for own, key in smallest.items())
