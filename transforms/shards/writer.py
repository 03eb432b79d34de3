"""Samples -> the bytes of a shard, the same from any order of arrival.

The shard of a sample and its place in the shard are hashes of the seed and the sample's key, so
that writing is a global shuffle, and every attempt of every runner makes the same file. The samples
of one shard must fit in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from noisebeam.transforms.data.hashing import UInts, hash64
from noisebeam.transforms.data.ragged import IntArray
from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.io.storage import join, publish
from noisebeam.transforms.io.timeouts import later
from noisebeam.transforms.shards.sample_table import SampleTable
from noisebeam.transforms.shards.tar import DTypes, shard_tar

SAMPLES_PER_MEMBER = 256
_TOKENS_PER_MEMBER = 2**19
_NAME = re.compile(r"shard-(\d+)-of-(\d+)\.tar")
_SHARD, _PLACE = 1, 2  # which hash of (seed, key) is meant


@dataclass(frozen=True)
class ShardInfo:
    """What the manifest says of a shard. `tokens` counts `ids`, or `input_ids` where a baked shard
    has no `ids`.
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
    held_out: bool = False  # its documents are kept from training

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the manifest holds them."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ShardInfo:
        """The inverse of `to_json`."""
        return cls(**values)


@dataclass(frozen=True)
class Shard:
    """A shard's bytes and those of its index."""

    unhashed: ShardInfo  # without checksums
    tar: memoryview
    index: bytes

    @cached_property
    def info(self) -> ShardInfo:
        """What the manifest says of it; the bytes are hashed when it is first asked for."""
        digest, index_digest = (sha256(data).hexdigest() for data in (self.tar, self.index))
        return replace(self.unhashed, sha256=digest, index_sha256=index_digest)


def samples_per_block(max_tokens: int) -> int:
    """How many samples to store together: the members' headers cost 1 % and less, a block stays
    near a megabyte.

    >>> [samples_per_block(tokens) for tokens in (128, 512, 2048, 131072)]
    [1024, 1024, 256, 16]
    """
    fitting = max(1, _TOKENS_PER_MEMBER // max_tokens)
    return min(1024, max(16, 1 << (fitting.bit_length() - 1)))


def shard_name(index: int, count: int) -> str:
    """The file name of shard `index` of `count`.

    >>> shard_name(3, 16)
    'shard-00003-of-00016.tar'
    """
    return f"shard-{index:05d}-of-{count:05d}.tar"


def shard_number(name: str) -> tuple[int, int] | None:
    """The number of the shard of this name, and of all shards; None if it is no such name.

    >>> shard_number("shard-00003-of-00016.tar"), shard_number("train-3.tar")
    ((3, 16), None)
    """
    found = _NAME.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def index_name(shard: str) -> str:
    """The name of the index beside a shard.

    >>> index_name("shard-00003-of-00016.tar")
    'shard-00003-of-00016.index.npz'
    """
    return f"{shard.removesuffix('.tar')}.index.npz"


def shard_of(keys: npt.ArrayLike, seed: int, num_shards: int) -> npt.NDArray[np.int64]:
    """The shards, from 0 to `num_shards` - 1, of the samples with these keys (a number or an array
    of them).

    >>> shard_of([1, 2, 3, 4, 5, 6], seed=17, num_shards=4).tolist()
    [3, 1, 3, 1, 3, 2]
    """
    return (hash64((_SHARD, seed), keys) % np.uint64(num_shards)).astype(np.int64)


def order_in_shard(keys: npt.ArrayLike, seed: int) -> UInts:
    """Numbers whose ascending order is that of the samples in a shard; different keys give
    different numbers.
    """
    return hash64((_PLACE, seed), keys)


def build_shard(
    samples: Iterable[Sample] | SampleTable,
    *,
    index: int,
    count: int,
    seed: int,
    dtypes: DTypes,
    samples_per_member: int = SAMPLES_PER_MEMBER,
) -> Shard:
    """Shard `index` of `count`, of these samples in any order; `dtypes` as `field_dtypes` gives
    them.

    Samples that occur again are dropped and counted. With `samples_per_member=1` it has
    WebDataset's classic form: a member set per sample, without the arrays of lengths.

    ValueError if the samples differ in their fields, or if a value does not fit its dtype.
    """
    distinct = (
        samples if isinstance(samples, SampleTable) else SampleTable.of(list(samples))
    ).distinct()
    tar, shard_index = shard_tar(
        distinct, _order(distinct, seed), index, dtypes, samples_per_member
    )
    name = shard_name(index, count)
    first, dropped = distinct.windows == 0, distinct.copies - 1
    unhashed = ShardInfo(
        name=name,
        samples=len(distinct),
        documents=int(np.count_nonzero(first)),
        tokens=int(shard_index.lengths.sum(dtype=np.int64)),
        bytes=len(tar),
        sha256="",
        index_name=index_name(name),
        index_sha256="",
        duplicate_samples=int(dropped.sum()),
        duplicate_documents=int(dropped[first].sum()),
    )
    return Shard(unhashed, tar.data, shard_index.to_bytes())


def write_shard(url: str, samples: Iterable[Sample] | SampleTable, **settings: Any) -> ShardInfo:
    """Build a shard (`settings` are those of `build_shard`) and publish it and its index in the
    folder `url`.

    The bytes are hashed while they are written, which takes as long.
    """
    shard = build_shard(samples, **settings)
    info = later(lambda: shard.info)
    publish(join(url, shard.unhashed.index_name), shard.index)
    publish(join(url, shard.unhashed.name), shard.tar)
    return info.result()


def _order(distinct: SampleTable, seed: int) -> IntArray:
    """The samples in the order in which they are stored."""
    places = order_in_shard(distinct.keys, seed)
    order = np.argsort(places, kind="stable")
    if not np.any(places[order][1:] == places[order][:-1]):
        return order
    # Equal places are equal keys: documents whose hashes collide.
    names = list(zip(places.tolist(), distinct.documents, distinct.windows.tolist(), strict=True))
    return np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
