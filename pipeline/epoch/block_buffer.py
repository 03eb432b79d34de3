"""Rows of different lengths, taken from many blocks into one matrix: in numpy, without a Python
loop over rows.

Every stretch of a flat array that is as long as its longest row is a row of a matrix that costs no
memory, for its rows overlap. To take rows is to index that matrix; what lies behind the end of a
shorter row comes along and means nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from noisebeam.pipeline.epoch.memory import address, keep_freed, spare
from noisebeam.transforms.data.ragged import Array, IntArray, LazyRagged, Mask, Ragged, within
from noisebeam.transforms.shards.format import ALIGNED
from noisebeam.transforms.shards.reader import ShardError


class RowMatrix(LazyRagged):
    """Rows as a matrix as wide as the longest, of which row i is `matrix[i, : lengths[i]]`.

    They are made flat when `values` are asked for.

    >>> rows = RowMatrix(np.array([[5, 6], [7, 8]]), np.array([2, 1]))
    >>> rows.values.tolist(), rows.offsets.tolist(), rows.padded(np.array([[True, True], [True, False]]), -1).tolist()
    ([5, 6, 7], [0, 2, 3], [[5, 6], [7, -1]])
    """

    def __init__(
        self, matrix: Array, lengths: IntArray, mask: Mask | None = None, behind: int | None = None
    ) -> None:
        super().__init__(lengths)
        self.matrix = matrix
        self._mask = (
            within(lengths, matrix.shape[1]) if mask is None else mask
        )  # of many rows it is made at once
        self._behind = behind  # what lies behind the ends of rows; None for anything

    def fill_up(self, fill: int) -> None:
        """Put `fill` behind the ends of rows, where their dtype has it: `padded` has no more to do
        than to convert.

        Only the first time, for rows that are inputs and labels, and before they are split.

        >>> rows = RowMatrix(np.array([[5, 6], [7, 8]], np.uint16), np.array([2, 1]))
        >>> rows.fill_up(1), rows.fill_up(-100), rows.matrix.tolist()
        (None, None, [[5, 6], [7, 1]])
        """
        known = np.iinfo(self.matrix.dtype)
        if self._behind is None and known.min <= fill <= known.max:
            np.copyto(self.matrix, fill, where=~self._mask)
            self._behind = fill

    @property
    def longest(self) -> int:
        """The length of the longest row."""
        return int(self.matrix.shape[1])

    def rows(self) -> list[Array]:
        """All rows, as views."""
        return [
            row[:length] for row, length in zip(self.matrix, self._lengths.tolist(), strict=True)
        ]

    def split(self, bounds: IntArray) -> Iterator[RowMatrix]:
        """The rows from each of these bounds (one row at least) up to, not including, the next;
        nothing is copied.
        """
        widths = np.maximum.reduceat(self._lengths, bounds[:-1]).tolist()
        for (first, last), width in zip(pairwise(bounds.tolist()), widths, strict=True):
            rows = slice(first, last), slice(width)
            yield RowMatrix(
                self.matrix[rows], self._lengths[first:last], self._mask[rows], self._behind
            )

    def mask(self, width: int) -> Mask:
        """(rows, width): True where a row has values."""
        return self._mask if width == self.longest else super().mask(width)

    def padded(self, mask: Mask, fill: int) -> IntArray:
        """(rows, width) int64: the rows, and `fill` where their `mask`, as `mask` gives it, is not
        True.
        """
        if fill == self._behind and mask.shape == self.matrix.shape:
            return self.matrix.astype(np.int64)
        padded = np.empty(mask.shape, np.int64)
        padded.fill(fill)
        np.copyto(padded[:, : self.longest], self.matrix, where=self._mask)
        return padded

    def _joined(self) -> Array:
        return self.matrix[self._mask]


def matrix_of(rows: Ragged) -> Array:
    """(rows, longest): a row each, and anything behind the end of a shorter one.

    >>> matrix_of(Ragged.of([np.array([5, 6]), np.array([7])])).tolist()
    [[5, 6], [7, 0]]
    """
    if isinstance(rows, RowMatrix):
        return rows.matrix
    longest = rows.longest
    return _stretches(np.append(rows.values, np.zeros(longest, rows.values.dtype)), longest)[
        rows.offsets[:-1]
    ]


def _stretches(values: Array, length: int) -> Array:
    """(places, length): every stretch of so many values; nothing is copied."""
    return sliding_window_view(values, length)


Rows = TypeVar("Rows")


class BlockRows(ABC, Generic[Rows]):
    """Blocks, each in a slot, to take rows of any of them at once.

    `slots` is how many there will be; there is room for more, which takes time to make.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._used = 0  # slots that hold something
        self._places: dict[
            str, tuple[IntArray, IntArray]
        ] = {}  # (slots, rows): where rows begin, and their lengths

    @abstractmethod
    def room(self, slots: Sequence[int], sizes: Sequence[int]) -> list[Array]:
        """(size,) uint8 each: memory to read the blocks of these slots into; what was there is
        lost.
        """

    def put(self, slot: int, columns: Mapping[str, Ragged], order: IntArray) -> None:
        """The rows of a block that was read into its slot, numbered anew in this order."""
        for name, rows in columns.items():
            empty = np.empty((self._slots, 0), np.int64)
            starts, lengths = (
                _with_room(table, self._used, (slot + 1, len(order)))
                for table in self._places.get(name, (empty, empty))
            )
            starts[slot, : len(order)] = self._first(name, slot, rows.values) + rows.offsets[order]
            lengths[slot, : len(order)] = rows.lengths[order]
            self._places[name] = starts, lengths
        self._used = max(self._used, slot + 1)

    def take(self, slots: IntArray, rows: IntArray) -> dict[str, Rows]:
        """A row of each of these slots, of every field."""
        taken = {}
        for name, tables in self._places.items():
            at = slots * tables[0].shape[1] + rows
            starts, lengths = (table.reshape(-1).take(at) for table in tables)
            taken[name] = self._take(name, slots, starts, lengths)
        return taken

    @abstractmethod
    def _first(self, name: str, slot: int, values: Array) -> int:
        """Where the values of a slot begin; they lie in its memory."""

    @abstractmethod
    def _take(self, name: str, slots: IntArray, starts: IntArray, lengths: IntArray) -> Rows:
        """The rows that begin there."""


class RowTable(BlockRows[RowMatrix]):
    """All slots in one array, out of which rows are copied: for many at a time."""

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        keep_freed()  # for what `take` gives
        self._memory = np.empty(
            (slots + 1, 0), np.uint8
        )  # one more, for looks beyond the end of the last
        self._dtypes: dict[str, np.dtype[Any]] = {}

    def room(self, slots: Sequence[int], sizes: Sequence[int]) -> list[Array]:
        """(size,) uint8 each: memory to read the blocks of these slots into; what was there is
        lost.
        """
        self._memory = _with_room(self._memory, self._used, (max(slots) + 2, max(1, *sizes)))
        return [self._memory[slot, :size] for slot, size in zip(slots, sizes, strict=True)]

    def _first(self, name: str, slot: int, values: Array) -> int:
        self._dtypes.setdefault(name, values.dtype)
        if values.dtype != self._dtypes[name]:
            raise ShardError(
                f"expected {name} as {self._dtypes[name]} in all shards, got {values.dtype}; build them again together"
            )
        return (
            (address(values) - address(self._memory[slot])) // values.itemsize if len(values) else 0
        )

    def _take(self, name: str, slots: IntArray, starts: IntArray, lengths: IntArray) -> RowMatrix:
        values = self._memory.reshape(-1).view(self._dtypes[name])
        at = starts + slots * (self._memory.shape[1] // values.itemsize)
        return RowMatrix(_stretches(values, int(lengths.max(initial=0)))[at], lengths)


class Views(NamedTuple):
    """Rows that are made one by one, as they are asked for: row i is
    `blocks[i][starts[i]:ends[i]]`.
    """

    blocks: list[Array]
    starts: memoryview
    ends: memoryview

    def rows(self) -> Iterator[Array]:
        """All rows, as views."""
        return (block[start:end] for block, start, end in zip(*self, strict=True))


class RowViews(BlockRows[Views]):
    """Rows are views of their blocks: for one at a time."""

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        self._values: dict[str, dict[int, Array]] = {}

    def room(self, slots: Sequence[int], sizes: Sequence[int]) -> list[Array]:
        """(size,) uint8 each: memory to read the blocks of these slots into; views of what was
        there stay.
        """
        for values in self._values.values():
            for slot in slots:
                values.pop(slot, None)
        return list(map(spare.lend, sizes))

    def _first(self, name: str, slot: int, values: Array) -> int:
        self._values.setdefault(name, {})[slot] = values
        return 0

    def _take(self, name: str, slots: IntArray, starts: IntArray, lengths: IntArray) -> Views:
        blocks = np.empty(self._used, object)
        for slot, values in self._values[name].items():
            blocks[slot] = values
        return Views(blocks[slots].tolist(), starts.data, (starts + lengths).data)


def _with_room(table: Array, used: int, shape: tuple[int, int]) -> Array:
    """The table, or one with its first `used` rows that has at least this shape; a row is a
    multiple of 64 items.
    """
    rows, columns = (
        have if need <= have else need + need // 8
        for need, have in zip(shape, table.shape, strict=True)
    )
    if (rows, columns) == table.shape:
        return table
    larger = np.empty((rows, -(-columns // ALIGNED) * ALIGNED), table.dtype)
    larger[:used, : table.shape[1]] = table[:used]
    return larger
