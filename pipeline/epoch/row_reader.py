"""Reading the samples at given positions of an epoch, from the blocks that they are stored in.

    positions -> (shard, block, row) -> blocks read into slots of a RowTable -> rows

A block is a number of consecutive samples stored together in a shard. A visit names one block of
one shard: the number shard << 32 | block, where blocks are counted in the order in which the epoch
reads them. A slot is an index in the RowTable, the buffer of loaded blocks.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from typing import Any

import numpy as np
import numpy.typing as npt

from noisebeam.pipeline.epoch.block_buffer import RowMatrix, RowTable
from noisebeam.pipeline.epoch.order import EpochOrder
from noisebeam.pipeline.epoch.shard_source import ShardSource, column_of
from noisebeam.transforms.data.ragged import Array, IntArray, Mask
from noisebeam.transforms.io.timeouts import run_in_thread
from noisebeam.transforms.shards.reader import Block, ShardError, ShardReader

_THREADS = max(2, min(8, os.cpu_count() or 1))
_SMALL = 2**27  # bytes of a data set whose blocks are all kept
_EVEN = 256  # samples; blocks of so many samples have nearly the same size, as slots do

_log = logging.getLogger(__name__)

# Returns the fields to read, of those that the shards have.
Choose = Callable[[tuple[str, ...]], Iterable[str]]
Skip = Callable[[int], None]


class RowReader:
    """Reader of the samples at given positions of an epoch; it keeps the blocks in use in memory.

    `choose` returns the names of the fields to read, given those that the shards have. Remote
    shards are fetched before they are used. Without `skip`, an unreadable block raises ShardError.
    With `skip`, the samples of an unreadable block are replaced by other samples of the same
    request, `skip` is called with the number of replaced samples, and a warning names each block.
    """

    def __init__(
        self,
        source: ShardSource,
        order: EpochOrder,
        choose: Choose,
        skip: Skip | None = None,
    ) -> None:
        self._source = source
        self._order = order
        self._choose = choose
        self._skip = skip
        # Slot of each visit (shard << 32 | block), the least recently used first.
        self._slots: OrderedDict[int, int] = OrderedDict()
        # Neighbouring streams read one block at different times. Blocks of a small data set are
        # kept until both have read it.
        small = (
            sum(shard.bytes for shard in source.manifest.shards) <= _SMALL
            and order.block_samples >= _EVEN
        )
        slots = order.blocks if small else order.streams + 8
        self._rows = RowTable(slots)
        self._free = list(reversed(range(slots)))
        self._lost_shards: dict[int, str] = {}  # error of each unreadable shard
        self._lost: dict[int, str] = {}  # error of each unreadable visit

    def columns(self, positions: npt.ArrayLike) -> dict[str, RowMatrix]:
        """Return the chosen fields, by name, of the samples at these positions of the epoch: a row
        for each position.

        Raises ShardError if a block cannot be read and the reader has no `skip`.
        """
        shards, blocks, rows = self._order.locate(positions)
        if self._source.remote:
            self._prefetch(shards, int(np.max(positions)))
        at = shards << 32 | blocks
        visits = np.unique(at)
        # (visits,) slots -> (positions,), in half the time of `return_inverse`
        slots = self._slots_of(visits.tolist())[np.searchsorted(visits, at)]
        if np.any(lost := slots < 0):
            slots, rows = self._replaced(slots, rows, lost, visits.tolist())
        return self._rows.take(slots, rows)

    def _prefetch(self, shards: IntArray, last: int) -> None:
        """Start to fetch `shards`, and the shards that the epoch reaches within one block of
        samples of each stream.

        `last` is the last position of the epoch that is read now.
        """
        ahead = (
            last + self._order.streams * self._order.block_samples + np.arange(self._order.streams)
        )
        coming = self._order.shards(ahead[ahead < len(self._order)])
        wanted = dict.fromkeys([*np.unique(shards).tolist(), *coming.tolist()])
        self._source.prefetch(shard for shard in wanted if shard not in self._lost_shards)

    def _slots_of(self, visits: list[int]) -> IntArray:
        """Return the slot (index in the buffer of loaded blocks) of the block of each visit,
        reading blocks that are not loaded.

        A visit is shard << 32 | block, the block counted in the order of the epoch. The slot of an
        unreadable block is -1.
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
        """Read the blocks of these visits (shard << 32 | block) into slots of the buffer.

        Errors of missing shards are raised before errors of damaged blocks.
        """
        locations = {visit: self._block_of(visit) for visit in visits}
        sizes: dict[int, int] = {}
        for visit, (shard, number) in locations.items():
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
                [(*locations[visit], room) for visit, room in zip(sizes, rooms, strict=True)]
            )
            for visit, slot, block in zip(sizes, slots, found, strict=False):
                if isinstance(block, ShardError):
                    self._lose(visit, block)
                else:
                    self._put(visit, slot, block, locations[visit])
        finally:
            self._free += [
                slot for visit, slot in zip(sizes, slots, strict=True) if visit not in self._slots
            ]

    def _blocks(self, wanted: Sequence[tuple[int, int, Array]]) -> list[Block | ShardError]:
        """Read blocks in several threads, each given by its shard, its number as stored, and the
        memory to read it into.

        Returns the block, or the error of an unreadable block, in the order of `wanted`. Without
        `skip`, no read begins after an error, and the result ends with the last read that began.
        All reads have ended at the return.
        """
        found: dict[int, Block | ShardError] = {}
        left = iter(enumerate(wanted))

        def read() -> None:
            for i, (shard, number, room) in left:
                try:
                    self._reader(shard)  # raises the error of an unreadable shard
                    found[i] = self._source.block(shard, number, room)
                except ShardError as error:
                    found[i] = error.with_traceback(None)  # a traceback keeps all memory alive
                    if self._skip is None:
                        _exhaust(left)

        others: list[Future[None]] = []
        try:
            for _ in wanted[1:_THREADS]:
                others.append(run_in_thread(read))
            read()
        finally:
            _exhaust(left)
            wait(others)
        for other in others:
            other.result()  # raises errors that are no ShardError
        return [found[i] for i in range(len(found))]

    def _put(self, visit: int, slot: int, block: Block, location: tuple[int, int]) -> None:
        """Add a block that was read to the buffer, or record it as unreadable if fields are
        missing.

        `location` is the shard of the block and its number as stored.
        """
        try:
            columns = {name: column_of(block, name) for name in self._choose(block.fields)}
            self._rows.put(slot, columns, self._order.row_order(*location))
            self._slots[visit] = slot
        except ShardError as error:
            self._lose(visit, error)

    def _block_of(self, visit: int) -> tuple[int, int]:
        """Return the shard of a visit (shard << 32 | block), and the number of its block as
        stored.
        """
        shard, at = divmod(visit, 1 << 32)
        return shard, int(self._order.block_order(shard)[at])

    def _reader(self, shard: int) -> ShardReader:
        """Return the reader of a shard; raise the earlier ShardError again if the shard was
        unreadable.
        """
        if shard in self._lost_shards:
            raise ShardError(self._lost_shards[shard])
        try:
            return self._source.reader(shard)
        except ShardError as error:
            self._lost_shards[shard] = str(error)
            raise

    def _lose(self, visit: int, error: ShardError) -> None:
        """Record that the block of a visit (shard << 32 | block) is unreadable; raise its error if
        the reader has no `skip`.
        """
        if self._skip is None:
            raise error
        _log.warning("left out, for on_error is 'skip': %s", error)
        self._lost[visit] = str(error)

    def _replaced(
        self, slots: IntArray, rows: IntArray, lost: Mask, visits: list[int]
    ) -> tuple[IntArray, IntArray]:
        """Return the slot and the row of each sample of a request, with those of readable samples
        in place of the unreadable ones.

        `lost` (samples,) is True for unreadable samples, `visits` are the blocks of the request.
        Replacements come from the request itself, or from the next readable block if all are
        unreadable. `skip` is called with the number of unreadable samples.
        """
        if np.all(lost):
            visit = self._next_readable(visits[0])
            size = len(self._order.row_order(*self._block_of(visit)))
            slots, rows = np.full_like(slots, self._slots[visit]), np.arange(len(rows)) % size
        else:
            others = np.resize(np.flatnonzero(~lost), int(lost.sum()))
            slots[lost], rows[lost] = slots[others], rows[others]
        if self._skip is not None:
            self._skip(int(lost.sum()))
        return slots, rows

    def _next_readable(self, visit: int) -> int:
        """Return the first readable block after that of a visit, in the order of the shards and
        their blocks, around to its own; it has at least one sample of the epoch.

        Raises the ShardError of the visit if there is none.
        """
        shards = len(self._source.manifest.shards)
        first, after = visit >> 32, (visit & 0xFFFFFFFF) + 1
        for step in range(shards + 1):
            shard = (first + step) % shards
            blocks = len(self._order.block_order(shard))
            for block in range(after if step == 0 else 0, blocks):
                if shard in self._lost_shards:
                    break
                other = shard << 32 | block
                has_rows = len(self._order.row_order(*self._block_of(other)))
                if has_rows and self._slots_of([other])[0] >= 0:
                    return other
        raise ShardError(self._lost[visit])


def _exhaust(items: Iterator[Any]) -> None:
    """Consume the rest of an iterator, so that other threads that share it stop."""
    deque(items, maxlen=0)
