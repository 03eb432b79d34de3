"""The shards of a data set: opened when they are used, downloaded if they are remote."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from concurrent.futures import Future
from functools import partial
from threading import Lock, Semaphore
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from noisebeam.pipeline.epoch.shard_cache import ShardCache
from noisebeam.transforms.data.ragged import Array, Ragged, offsets_of
from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.io.storage import join, local_path
from noisebeam.transforms.io.timeouts import run_in_thread
from noisebeam.transforms.output.manifest import Manifest
from noisebeam.transforms.shards.format import ShardIndex
from noisebeam.transforms.shards.info import ShardInfo
from noisebeam.transforms.shards.reader import Block, ShardError, ShardReader, parse_index

_DOWNLOADS = 8  # at a time
_NOT_PICKLED = ("_open", "_indexes", "_coming", "_downloads", "_mended", "_lock")

_log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class RecentlyUsed(Generic[K, V]):
    """Cache of at most `size` values by key; a new value replaces the least recently used one."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return the value of a key and mark it as used; None if there is none."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Add or replace the value of a key; the least recently used value is removed if there are
        too many.
        """
        self._values[key] = value
        if len(self._values) > self._size:
            self._values.popitem(last=False)

    def drop(self, key: K) -> None:
        """Remove the value of a key, if there is one."""
        self._values.pop(key, None)


class ShardSource:
    """Access to the shards that a manifest names in the folder `url`; remote shards are first
    copied to a local cache.

    At most `max_open` shards are open at a time. Threads can share a ShardSource. It can be
    pickled: the copy opens files anew.
    """

    def __init__(
        self, url: str, manifest: Manifest, cache: ShardCache | None = None, max_open: int = 128
    ) -> None:
        self.url = url
        self.manifest = manifest
        self._cache = cache or ShardCache()
        self._max_open = max_open
        self.remote = local_path(url) is None
        self._starts = offsets_of(
            np.array([shard.samples for shard in manifest.shards], dtype=np.int64)
        )
        self._reset()

    def reader(self, shard: int) -> ShardReader:
        """Return the reader of a shard, given its number; raise ShardError, with the shard's name,
        if it is unreadable.

        The first call opens the shard, and downloads it if it is remote.
        """
        self._after_fork()
        with self._lock:
            reader = self._open.get(shard)
            coming = self._begin(shard) if reader is None and self.remote else None
        if reader is not None:
            return reader
        return self._load(shard) if coming is None else coming.result()

    def block(self, shard: int, number: int, memory: Array | None = None) -> Block:
        """Return a block of a shard, given its number as stored.

        The block is read into `memory`, (bytes of the block,) uint8, if that is given. Raises
        ShardError if the block is damaged. A damaged copy in the local cache is downloaded again,
        once.
        """
        reader = self.reader(shard)
        try:
            return reader.block(number, memory)
        except ShardError:
            if not self.remote:
                raise
        try:
            return self._anew(shard, reader).block(number, memory)
        except ShardError as error:
            raise ShardError(
                f"{join(self.url, self.manifest.shards[shard].name)}: {error}"
            ) from error

    def _anew(self, shard: int, damaged: ShardReader) -> ShardReader:
        """Return the reader of a new download of a shard, for a copy that is damaged; threads share
        one download.
        """
        with self._lock:
            if damaged not in self._mended:
                self._open.drop(shard)
                self._cache.drop(self.manifest.shards[shard])
                self._mended[damaged] = self._begin(shard)
            coming = self._mended[damaged]
        return coming.result()

    def prefetch(self, shards: Iterable[int]) -> None:
        """Start to download remote shards in the background, several at a time; do nothing for
        local ones.

        The error of a failed download is raised when its shard is read.
        """
        if not self.remote:
            return
        self._after_fork()
        with self._lock:
            for shard in shards:
                if self._open.get(shard) is None:
                    self._begin(shard)

    def _begin(self, shard: int) -> Future[ShardReader]:
        """Return the future of a shard's download, and start the download if it is not running. The
        caller holds the lock.
        """
        if shard not in self._coming:
            self._coming[shard] = run_in_thread(partial(self._load_ahead, shard))
        return self._coming[shard]

    def _load_ahead(self, shard: int) -> ShardReader:
        """Open a shard in the background, waiting while too many other downloads run."""
        with self._downloads:
            return self._load(shard)

    def _load(self, shard: int) -> ShardReader:
        """Open a shard, downloading it if needed; keep and return its reader."""
        try:
            reader = open_shard(
                self.url, self.manifest.shards[shard], self._cache, self._index(shard)
            )
            with self._lock:
                self._open.put(shard, reader)
            return reader
        finally:
            with self._lock:
                self._coming.pop(shard, None)

    def lengths(self, shard: int) -> Array:
        """Return the token count of each sample of a shard, from the shard's index alone:
        (samples,).
        """
        self._after_fork()
        return self._index(shard).lengths

    def _index(self, shard: int) -> ShardIndex:
        """Return the index of a shard, from memory after the first call."""
        with self._lock:
            index = self._indexes.get(shard)
        if index is None:
            index = read_index(self.url, self.manifest.shards[shard], self._cache)
            with self._lock:
                self._indexes.put(shard, index)
        return index

    def locate(self, i: int) -> tuple[int, int]:
        """Return the shard of sample `i`, counted through all shards, and the index of the sample
        in that shard.

        Raises IndexError if there is no such sample.
        """
        total = int(self._starts[-1])
        if not 0 <= i < total:
            raise IndexError(f"expected a sample from 0 to {total - 1}, got {i}")
        shard = int(np.searchsorted(self._starts, i, side="right")) - 1
        return shard, i - int(self._starts[shard])

    def sample(self, i: int) -> Sample:
        """Return sample `i` of the data set, counted through all shards as stored; raise IndexError
        if there is no such sample.
        """
        shard, at = self.locate(i)
        block, row = self.reader(shard).locate(at)
        return self.block(shard, block).sample(row)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _NOT_PICKLED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def _reset(self) -> None:
        """Forget open files, indexes and running downloads, and make new locks."""
        self._open: RecentlyUsed[int, ShardReader] = RecentlyUsed(self._max_open)
        self._indexes: RecentlyUsed[int, ShardIndex] = RecentlyUsed(self._max_open)
        self._coming: dict[int, Future[ShardReader]] = {}
        self._downloads = Semaphore(_DOWNLOADS)
        self._pid = os.getpid()
        self._mended: WeakKeyDictionary[ShardReader, Future[ShardReader]] = WeakKeyDictionary()
        self._lock = Lock()

    def _after_fork(self) -> None:
        """Call `_reset` in a forked child process, where threads and the locks that they held do
        not exist.
        """
        if self._pid != os.getpid():
            self._reset()


def open_shard(url: str, info: ShardInfo, cache: ShardCache, index: ShardIndex) -> ShardReader:
    """Open a shard of the data set at `url`, from a local copy if it is remote, and return its
    reader.

    `info` is the entry of the shard in the manifest, `index` its index. Raises ShardError if the
    shard is missing or differs from them.
    """
    name = join(url, info.name)
    here = local_path(name)
    path = here or cache.fetch(name, info)
    try:
        return ShardReader(path, index, info)
    except ShardError:
        if here or os.path.exists(path):
            raise
        # another reader had made room in the cache meanwhile
        return open_shard(url, info, cache, index)


def read_index(url: str, info: ShardInfo, cache: ShardCache) -> ShardIndex:
    """Read the index of a shard of the data set at `url`; raise ShardError if it is missing or
    differs from the manifest.
    """
    name = join(url, info.index_name)
    return parse_index(cache.read_index(name, info), name)


def column_of(block: Block, name: str) -> Ragged:
    """Return the field `name` of a block, a row for each sample; raise ShardError if the block does
    not have it.
    """
    try:
        return block.column(name)
    except KeyError as error:
        raise ShardError(
            f"expected shards with the field {name!r}, got {', '.join(block.fields)}; build them "
            "again with it"
        ) from error
