"""The shards of a data set, opened as they are needed, and rows gathered from them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from noisebeam.pipeline.cache import ShardCache
from noisebeam.pipeline.gather import Column, Part, RowMatrix, gather
from noisebeam.pipeline.order import EpochOrder
from noisebeam.transforms.manifest import Manifest
from noisebeam.transforms.samples import Array, Ragged, Sample, offsets_of
from noisebeam.transforms.shard_reader import Block, ShardError, ShardReader, parse_index
from noisebeam.transforms.shards import ShardInfo
from noisebeam.transforms.storage import join, local_path, read_bytes

_DOWNLOADS = 8  # at a time

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class RecentlyUsed(Generic[K, V]):
    """At most `size` values by key; the one that was not used for longest leaves first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, or None."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep a value."""
        self._values[key] = value
        if len(self._values) > self._size:
            self._values.popitem(last=False)


class ShardSource:
    """The shards of `manifest` in the folder `url`. Files elsewhere are copied to the local cache first.

    Safe to share between threads; pickles without what it has opened. `max_open` is the number of open files.
    """

    def __init__(self, url: str, manifest: Manifest, cache: ShardCache | None = None, max_open: int = 128) -> None:
        self.url = url
        self.manifest = manifest
        self._cache = cache or ShardCache()
        self._max_open = max_open
        self._remote = local_path(url) is None
        self._starts = offsets_of(np.array([shard.samples for shard in manifest.shards], dtype=np.int64))
        self._reset()

    def reader(self, shard: int) -> ShardReader:
        """Shard number `shard` of the manifest; ShardError names it if it cannot be read."""
        with self._lock:
            reader = self._open.get(shard)
        if reader is None:
            reader = open_shard(self.url, self.manifest.shards[shard], self._cache)
            with self._lock:
                self._open.put(shard, reader)
        return reader

    def lengths(self, shard: int) -> Array:
        """(samples,): the tokens of each sample of a shard, from its index alone."""
        with self._lock:
            lengths = self._lengths.get(shard)
        if lengths is None:
            info = self.manifest.shards[shard]
            lengths = parse_index(read_index(self.url, info), join(self.url, info.index_name)).lengths
            with self._lock:
                self._lengths.put(shard, lengths)
        return lengths

    def fetch(self, shards: Iterable[int]) -> None:
        """Bring remote shards here, several at a time; nothing to do for local ones."""
        if self._remote:
            with self._lock:
                missing = [shard for shard in shards if self._open.get(shard) is None]
            if missing:
                with ThreadPoolExecutor(_DOWNLOADS) as pool:
                    list(pool.map(self.reader, missing))

    def locate(self, i: int) -> tuple[int, int]:
        """The shard of sample `i`, numbered through all shards, and its place in it; IndexError if there is none."""
        total = int(self._starts[-1])
        if not 0 <= i < total:
            raise IndexError(f"expected a sample from 0 to {total - 1}, got {i}")
        shard = int(np.searchsorted(self._starts, i, side="right")) - 1
        return shard, i - int(self._starts[shard])

    def sample(self, i: int) -> Sample:
        """Sample `i` of the data set, numbered through its shards; IndexError if there is none."""
        shard, at = self.locate(i)
        return self.reader(shard).sample(at)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_open", "_lengths", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def _reset(self) -> None:
        self._open: RecentlyUsed[int, ShardReader] = RecentlyUsed(self._max_open)
        self._lengths: RecentlyUsed[int, Array] = RecentlyUsed(self._max_open)
        self._lock = Lock()


def open_shard(url: str, info: ShardInfo, cache: ShardCache) -> ShardReader:
    """A shard of the data set at `url`, held against what its manifest says."""
    index = read_index(url, info)
    path = local_path(join(url, info.name)) or cache.fetch(join(url, info.name), info)
    return ShardReader(path, parse_index(index, join(url, info.index_name)), info)


def read_index(url: str, info: ShardInfo) -> bytes:
    """The bytes of a shard's index; ShardError if it is missing or not the one of the manifest."""
    name = join(url, info.index_name)
    try:
        index = read_bytes(name)
    except FileNotFoundError as error:
        raise ShardError(f"the index {name} is missing; build or copy it again") from error
    digest = sha256(index).hexdigest()
    if digest != info.index_sha256:
        raise ShardError(f"the index {name} is damaged: expected sha256 {info.index_sha256}, got {digest}")
    return index


Choose = Callable[[tuple[str, ...]], Iterable[str]]  # the fields to read, of those that the shards have


class RowReader:
    """Reads the samples at given positions of an epoch; keeps the blocks that are in use."""

    def __init__(self, source: ShardSource, order: EpochOrder, choose: Choose) -> None:
        self._source = source
        self._order = order
        self._choose = choose
        self._visits: RecentlyUsed[int, dict[str, Column]] = RecentlyUsed(order.streams + 8)

    def columns(self, positions: npt.ArrayLike) -> dict[str, RowMatrix]:
        """The chosen fields of the samples at these positions (and their keys, if `KEYS` is chosen), a row a sample."""
        shards, slots, rows = self._order.places(positions)
        self._source.fetch(np.unique(shards).tolist())
        visits, visit_of, counts = np.unique(shards << 32 | slots, return_inverse=True, return_counts=True)
        by_visit = np.split(np.argsort(visit_of, kind="stable"), np.cumsum(counts)[:-1])
        found: dict[str, list[Part]] = {}
        for visit, part in zip(visits.tolist(), by_visit, strict=True):
            for name, column in self._visit(visit).items():
                found.setdefault(name, []).append((part, column, rows[part]))
        return {name: gather(parts) for name, parts in found.items()}

    def _visit(self, visit: int) -> dict[str, Column]:
        columns = self._visits.get(visit)
        if columns is None:
            shard, slot = divmod(visit, 1 << 32)
            number = int(self._order.block_order(shard)[slot])
            block, order = self._source.reader(shard).block(number), self._order.row_order(shard, number)
            columns = {name: Column.of(column_of(block, name), order) for name in self._choose(block.fields)}
            self._visits.put(visit, columns)
        return columns


def column_of(block: Block, name: str) -> Ragged:
    """A field of a block, or the keys; ShardError if the block does not have it."""
    try:
        return block.column(name)
    except KeyError as error:
        raise ShardError(
            f"expected shards with the field {name!r}, got {', '.join(block.fields)}; build them again with it"
        ) from error
