"""The samples at given positions of an epoch, from the blocks that they lie in."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from typing import Any, Generic

import numpy as np
import numpy.typing as npt

from noisebeam.pipeline.epoch.block_buffer import BlockRows, Rows
from noisebeam.pipeline.epoch.order import EpochOrder
from noisebeam.pipeline.epoch.shard_source import ShardSource, column_of
from noisebeam.transforms.data.ragged import Array, IntArray, Mask
from noisebeam.transforms.io.timeouts import run_in_thread
from noisebeam.transforms.shards.reader import Block, ShardError, ShardReader

_READS = max(2, min(8, os.cpu_count() or 1))  # at a time
_SMALL = 2**27  # bytes
_EVEN = 256  # samples: blocks of so many are of nearly one size, which is what a slot has

_log = logging.getLogger(__name__)

Choose = Callable[
    [tuple[str, ...]], Iterable[str]
]  # the fields to read, of those that the shards have
Skip = Callable[[int], None]


class RowReader(Generic[Rows]):
    """Reads the samples at given positions of an epoch; keeps the blocks that are in use.

    `hold` is what holds a field of these blocks: `RowTable` gives matrices of rows, `RowViews`
    views of them. Remote shards that come next are fetched ahead of their use. Where `skip` is
    given, samples that cannot be read are replaced by some that were read with them: it is told how
    many, and a warning names each block.
    """

    def __init__(
        self,
        source: ShardSource,
        order: EpochOrder,
        choose: Choose,
        hold: Callable[[int], BlockRows[Rows]],
        skip: Skip | None = None,
    ) -> None:
        self._source = source
        self._order = order
        self._choose = choose
        self._skip = skip
        self._slots: OrderedDict[int, int] = (
            OrderedDict()
        )  # by visit; first the one unused for longest
        # Neighbouring streams share a block, at different times: those of a small data set stay
        # until both are done.
        small = (
            sum(shard.bytes for shard in source.manifest.shards) <= _SMALL
            and order.block_samples >= _EVEN
        )
        slots = order.blocks if small else order.streams + 8
        self._rows = hold(slots)
        self._free = list(reversed(range(slots)))
        self._lost_shards: dict[int, str] = {}  # and why
        self._lost: dict[int, str] = {}  # visits, and why

    def columns(self, positions: npt.ArrayLike) -> dict[str, Rows]:
        """The chosen fields of the samples at these positions (and their keys, if `KEYS` is
        chosen), a row a sample.
        """
        shards, blocks, rows = self._order.places(positions)
        if self._source.remote:
            self._prefetch(shards, int(np.max(positions)))
        at = shards << 32 | blocks
        visits = np.unique(at)
        slots = self._slots_of(visits.tolist())[
            np.searchsorted(visits, at)
        ]  # in half the time of return_inverse
        if np.any(lost := slots < 0):
            others = self._others(lost, visits.tolist())
            slots, rows = slots[others], rows[others]
        return self._rows.take(slots, rows)

    def _prefetch(self, shards: IntArray, last: int) -> None:
        """Of these shards, and those that each stream comes to within a block of its samples."""
        ahead = (
            last + self._order.streams * self._order.block_samples + np.arange(self._order.streams)
        )
        coming = self._order.shards(ahead[ahead < len(self._order)])
        wanted = dict.fromkeys([*np.unique(shards).tolist(), *coming.tolist()])
        self._source.prefetch(shard for shard in wanted if shard not in self._lost_shards)

    def _slots_of(self, visits: list[int]) -> IntArray:
        """The slots of the blocks of these visits, which are read where need be; -1 where one
        cannot be read.
        """
        if (held := len(self._slots) + len(self._free)) < len(visits):
            self._free += reversed(range(held, len(visits)))
        for visit in visits:
            if visit in self._slots:
                self._slots.move_to_end(visit)
        if missing := [
            visit for visit in visits if visit not in self._slots and visit not in self._lost
        ]:
            self._read(missing)
        return np.fromiter((self._slots.get(visit, -1) for visit in visits), np.int64, len(visits))

    def _read(self, visits: list[int]) -> None:
        """Bring the blocks of these visits into slots; a shard that is not there is told before
        damaged blocks.
        """
        places = {visit: self._block_of(visit) for visit in visits}
        sizes: dict[int, int] = {}
        for visit, (shard, number) in places.items():
            try:
                sizes[visit] = self._reader(shard).size(number)
            except ShardError as error:
                self._lose(visit, error)
        slots = [
            self._free.pop() if self._free else self._slots.popitem(last=False)[1] for _ in sizes
        ]
        try:
            rooms = self._rows.room(slots, list(sizes.values())) if slots else []
            found = self._blocks(
                [(*places[visit], room) for visit, room in zip(sizes, rooms, strict=True)]
            )
            for visit, slot, block in zip(sizes, slots, found, strict=False):
                if isinstance(block, ShardError):
                    self._lose(visit, block)
                else:
                    self._put(visit, slot, block, places[visit])
        finally:
            self._free += [
                slot for visit, slot in zip(sizes, slots, strict=True) if visit not in self._slots
            ]

    def _blocks(self, wanted: Sequence[tuple[int, int, Array]]) -> list[Block | ShardError]:
        """Blocks by shard, number and room, or why they cannot be read; some are read at once, and
        all when it ends.

        Unless they may be left out none is begun after one that cannot be read: the list ends with
        the last begun.
        """
        found: dict[int, Block | ShardError] = {}
        left = iter(enumerate(wanted))

        def read() -> None:
            for i, (shard, number, room) in left:
                try:
                    self._reader(shard)  # which knows those that are lost
                    found[i] = self._source.block(shard, number, room)
                except ShardError as error:
                    found[i] = error.with_traceback(None)  # which holds all that is read here
                    if self._skip is None:
                        _end(left)

        others: list[Future[None]] = []
        try:
            for _ in wanted[1:_READS]:
                others.append(run_in_thread(read))
            read()
        finally:
            _end(left)
            wait(others)
        for other in others:
            other.result()  # raises what is no error of a shard
        return [found[i] for i in range(len(found))]

    def _put(self, visit: int, slot: int, block: Block, place: tuple[int, int]) -> None:
        try:
            columns = {name: column_of(block, name) for name in self._choose(block.fields)}
            self._rows.put(slot, columns, self._order.row_order(*place))
            self._slots[visit] = slot
        except ShardError as error:
            self._lose(visit, error)

    def _block_of(self, visit: int) -> tuple[int, int]:
        """The shard of a visit, and the number of its block there."""
        shard, at = divmod(visit, 1 << 32)
        return shard, int(self._order.block_order(shard)[at])

    def _reader(self, shard: int) -> ShardReader:
        if shard in self._lost_shards:
            raise ShardError(self._lost_shards[shard])
        try:
            return self._source.reader(shard)
        except ShardError as error:
            self._lost_shards[shard] = str(error)
            raise

    def _lose(self, visit: int, error: ShardError) -> None:
        """Leave the block of a visit out, if that may be."""
        if self._skip is None:
            raise error
        _log.warning("left out, for on_error is 'skip': %s", error)
        self._lost[visit] = str(error)

    def _others(self, lost: Mask, visits: list[int]) -> IntArray:
        """For each sample its own number, or that of one that was read instead."""
        if np.all(lost):
            raise ShardError(self._lost[visits[0]])
        others = np.arange(len(lost))
        others[lost] = np.resize(np.flatnonzero(~lost), int(lost.sum()))
        if self._skip is not None:
            self._skip(int(lost.sum()))
        return others


def _end(items: Iterator[Any]) -> None:
    """Leave nothing of it."""
    deque(items, maxlen=0)
