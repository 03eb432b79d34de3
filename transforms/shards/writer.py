"""Writing shards: samples become the bytes of a tar and its index, which are the same for any order
of arrival.

The shard of a sample, and its position in the shard, are hashes of seed and key. So writing is a
global shuffle, and every attempt of every runner makes the same file. The samples of one shard have
to fit in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np

from noisebeam.transforms.data.ragged import IntArray
from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.io.storage import join, publish
from noisebeam.transforms.io.timeouts import run_in_thread
from noisebeam.transforms.shards.info import (
    SAMPLES_PER_MEMBER,
    ShardInfo,
    index_name,
    order_in_shard,
    shard_name,
)
from noisebeam.transforms.shards.sample_table import SampleTable
from noisebeam.transforms.shards.tar import DTypes, shard_tar


@dataclass(frozen=True)
class Shard:
    """A shard in memory: the bytes of its tar and of its index, and its entry in the manifest,
    still without checksums.
    """

    unhashed: ShardInfo  # without checksums
    tar: memoryview
    index: bytes

    @cached_property
    def info(self) -> ShardInfo:
        """Entry of this shard in the manifest; the first use hashes the bytes."""
        digest, index_digest = (sha256(data).hexdigest() for data in (self.tar, self.index))
        return replace(self.unhashed, sha256=digest, index_sha256=index_digest)


def build_shard(
    samples: Iterable[Sample] | SampleTable,
    *,
    index: int,
    count: int,
    seed: int,
    dtypes: DTypes,
    samples_per_member: int = SAMPLES_PER_MEMBER,
) -> Shard:
    """Return shard number `index` of `count` in memory; the order of the samples does not matter.

    `dtypes` is the result of `field_dtypes`. Repeated samples are dropped and counted. With
    `samples_per_member=1` the shard has WebDataset's classic form: members for each sample, without
    the arrays of lengths. Raises ValueError if samples have different fields, or if a value does
    not fit its dtype.
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
    """Build a shard, write it and its index to the folder `url`, and return its entry in the
    manifest.

    `settings` are the arguments of `build_shard`. A thread hashes the bytes while they are written.
    """
    shard = build_shard(samples, **settings)
    info = run_in_thread(lambda: shard.info)
    publish(join(url, shard.unhashed.index_name), shard.index)
    publish(join(url, shard.unhashed.name), shard.tar)
    return info.result()


def _order(distinct: SampleTable, seed: int) -> IntArray:
    """Return the indexes of the samples in the order in which the shard stores them: (samples,).

    They are sorted by a hash of `seed` and their keys, which shuffles them.
    """
    numbers = order_in_shard(distinct.keys, seed)
    order = np.argsort(numbers, kind="stable")
    if not np.any(numbers[order][1:] == numbers[order][:-1]):
        return order
    # Equal numbers are equal keys: documents whose hashes collide.
    names = list(zip(numbers.tolist(), distinct.documents, distinct.windows.tolist(), strict=True))
    return np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
