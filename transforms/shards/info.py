"""Shards in the manifest: their entries and file names, and which samples belong to which shard."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from noisebeam.transforms.data.hashing import UInts, hash64

SAMPLES_PER_MEMBER = 256
_TOKENS_PER_MEMBER = 2**19
_NAME = re.compile(r"shard-(\d+)-of-(\d+)\.tar")
_SHARD, _ORDER = 1, 2  # first number of the hash for the shard, and for the order in it


@dataclass(frozen=True)
class ShardInfo:
    """Entry of a shard in the manifest: its files with sizes and checksums, and its counts.

    `documents` is the number of samples that are the first window of their document. `tokens`
    counts `ids`, or `input_ids` if a shard with baked noise has no `ids`. `duplicate_samples` were
    dropped, since another sample has the same key, document and window; `duplicate_documents` of
    them were first windows. `held_out` is True if its documents are kept out of training.
    """

    name: str
    samples: int
    documents: int  # samples that are the first window of their document
    tokens: int
    bytes: int
    sha256: str
    index_name: str
    index_sha256: str
    duplicate_samples: int  # dropped: the same key, document and window as another
    duplicate_documents: int  # dropped samples that were first windows
    held_out: bool = False  # whether its documents are kept out of training

    def to_json(self) -> dict[str, Any]:
        """Return the entry as a dict for JSON, as the manifest stores it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ShardInfo:
        """Return the entry that `to_json` wrote."""
        return cls(**values)


def samples_per_block(max_tokens: int) -> int:
    """Return the number of samples to store in a block: about 2**19 tokens, and 16 to 1,024
    samples.

    `max_tokens` is the length of the longest sample. Headers of members are then 1 % of a shard or
    less, and a block has about a megabyte.

    >>> [samples_per_block(tokens) for tokens in (128, 512, 2048, 131072)]
    [1024, 1024, 256, 16]
    """
    fitting = max(1, _TOKENS_PER_MEMBER // max_tokens)
    return min(1024, max(16, 1 << (fitting.bit_length() - 1)))


def shard_name(index: int, count: int) -> str:
    """Return the file name of shard number `index` of `count` shards.

    >>> shard_name(3, 16)
    'shard-00003-of-00016.tar'
    """
    return f"shard-{index:05d}-of-{count:05d}.tar"


def shard_number(name: str) -> tuple[int, int] | None:
    """Return the number of a shard and the number of all shards, from its file name; None if the
    name is not that of a shard.

    >>> shard_number("shard-00003-of-00016.tar"), shard_number("train-3.tar")
    ((3, 16), None)
    """
    found = _NAME.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def index_name(shard: str) -> str:
    """Return the file name of the index of a shard, given the shard's file name.

    >>> index_name("shard-00003-of-00016.tar")
    'shard-00003-of-00016.index.npz'
    """
    return f"{shard.removesuffix('.tar')}.index.npz"


def shard_of(keys: npt.ArrayLike, seed: int, num_shards: int) -> npt.NDArray[np.int64]:
    """Return the number of the shard of each sample, 0 to `num_shards` - 1: a hash of the seed and
    the sample's key.

    >>> shard_of([1, 2, 3, 4, 5, 6], seed=17, num_shards=4).tolist()
    [3, 1, 3, 1, 3, 2]
    """
    return (hash64((_SHARD, seed), keys) % np.uint64(num_shards)).astype(np.int64)


def order_in_shard(keys: npt.ArrayLike, seed: int) -> UInts:
    """Return the number by which each sample is sorted in its shard: a hash of the seed and the
    sample's key, uint64.

    Different keys have different numbers.
    """
    return hash64((_ORDER, seed), keys)
