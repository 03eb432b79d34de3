"""Held-out documents: which documents are kept out of training, and which shards they go to."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from noisebeam.transforms.data.keys import text_key
from noisebeam.transforms.data.ragged import IntArray
from noisebeam.transforms.shards.info import shard_of


def is_held_out(document: str, share: float) -> bool:
    """Return True if a document, given its id, is among the `share` of all documents (0 to 1) that
    are held out of training.

    Only a hash of the id decides: in every build the same documents are held out, and a larger
    share holds out these and more.

    >>> [name for name in map(str, range(100)) if is_held_out(name, 0.02)]
    ['34', '78', '95']
    """
    return text_key(f"held out\0{document}") < share * 2**64


def held_out_shards(count: int, share: float) -> int:
    """Return the number of shards for held-out documents: the last ones of `count` shards.

    `share` is the share of documents that are held out, 0 to 1.

    >>> [held_out_shards(count, 0.01) for count in (2, 100, 1000)], held_out_shards(8, 0)
    ([1, 1, 10], 0)
    """
    return min(count - 1, math.ceil(count * share))


def shards_of(
    keys: npt.ArrayLike, documents: Sequence[str], seed: int, count: int, share: float
) -> IntArray:
    """Return the number of the shard of each sample, 0 to `count` - 1, given the keys and document
    ids of samples.

    `count` is the number of shards, and is 2 or more if a `share` of the documents is held out.
    """
    kept = held_out_shards(count, share)
    shards = shard_of(keys, seed, count - kept)
    if kept:
        out = np.array([is_held_out(document, share) for document in documents])
        shards[out] = count - kept + shard_of(keys, seed, kept)[out]
    return shards
