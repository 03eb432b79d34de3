"""Rows of different lengths, taken from many blocks into one matrix: in numpy, without a Python loop over rows.

Every stretch of a flat array that is as long as its longest row is a row of a matrix that costs no memory, for its rows
overlap. To take rows is to index that matrix; what lies behind the end of a shorter row comes along and means nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from noisebeam.transforms.samples import Array, IntArray, Mask, Ragged, offsets_of, within


class RowMatrix(Ragged):
    """Rows as a matrix, of which row i is `matrix[i, : lengths[i]]`; made flat when `values` are asked for.

    >>> rows = RowMatrix(np.array([[5, 6, 0], [7, 8, 9]]), np.array([2, 1]))
    >>> rows.values.tolist(), rows.offsets.tolist(), rows.padded(np.array([[True, True], [True, False]]), -1).tolist()
    ([5, 6, 7], [0, 2, 3], [[5, 6], [7, -1]])
    """

    def __init__(self, matrix: Array, lengths: IntArray) -> None:
        self.matrix = matrix
        self._lengths = lengths

    @cached_property
    def values(self) -> Array:
        """(total,): the rows end to end."""
        return self.matrix[within(self._lengths, self.matrix.shape[1])]

    @cached_property
    def offsets(self) -> IntArray:
        """(rows + 1,): where each row begins in `values`, and the end."""
        return offsets_of(self._lengths)

    @property
    def lengths(self) -> IntArray:
        """(rows,): the lengths of the rows."""
        return self._lengths

    def rows(self) -> list[Array]:
        """All rows, as views."""
        return [row[:length] for row, length in zip(self.matrix, self._lengths.tolist(), strict=True)]

    def between(self, first: int, last: int) -> RowMatrix:
        """The rows from `first` up to, not including, `last`, and no more than there are; nothing is copied."""
        return RowMatrix(self.matrix[first:last], self._lengths[first:last])

    def padded(self, mask: Mask, fill: int) -> IntArray:
        """(rows, width) int64: the rows where `mask` is True, and else `fill`."""
        if mask.shape[1] > self.matrix.shape[1]:
            return super().padded(mask, fill)
        padded = self.matrix[:, : mask.shape[1]].astype(np.int64)
        padded[~mask] = fill
        return padded


Rows = TypeVar("Rows")


class BlockRows(ABC, Generic[Rows]):
    """A field of all samples of many blocks, each block in a slot, to take rows of any of them at once.

    `slots` is how many there will be; there is room for more, which takes time to make.
    """

    def __init__(self, slots: int) -> None:
        self._used = 0  # slots that hold something
        self._offsets = self._lengths = np.empty((slots, 0), np.int64)  # of the rows within their slots

    def put(self, slot: int, rows: Ragged, order: IntArray) -> None:
        """Bring these rows, numbered anew in this order, into a slot; what was there is lost."""
        self._put_values(slot, rows.values)
        self._offsets, self._lengths = (
            _with_room(table, self._used, (slot + 1, len(order)), table.dtype)
            for table in (self._offsets, self._lengths)
        )
        self._offsets[slot, : len(order)] = rows.offsets[order]
        self._lengths[slot, : len(order)] = rows.lengths[order]
        self._used = max(self._used, slot + 1)

    @abstractmethod
    def take(self, slots: IntArray, rows: IntArray) -> Rows:
        """A row of each of these slots."""

    @abstractmethod
    def _put_values(self, slot: int, values: Array) -> None:
        """Hold the values of all rows of a slot."""


class RowTable(BlockRows[RowMatrix]):
    """Rows are copied, into the table and out of it: for many at a time.

    >>> table = RowTable(slots=2)
    >>> table.put(0, Ragged.of([np.array([5, 6]), np.array([7])]), order=np.array([1, 0]))
    >>> table.put(1, Ragged.of([np.array([8])]), order=np.array([0]))
    >>> [row.tolist() for row in table.take(np.array([1, 0, 0]), np.array([0, 0, 1])).rows()]
    [[8], [7], [5, 6]]
    """

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        self._values = np.empty((slots + 1, 0), np.uint8)  # one more, for looks beyond the end of the last

    def take(self, slots: IntArray, rows: IntArray) -> RowMatrix:
        """A row of each of these slots, as a matrix."""
        starts, lengths = self._offsets[slots, rows] + slots * self._values.shape[1], self._lengths[slots, rows]
        windows = sliding_window_view(self._values.ravel(), max(1, int(lengths.max(initial=0))))
        return RowMatrix(windows[starts], lengths)

    def _put_values(self, slot: int, values: Array) -> None:
        dtype = np.result_type(self._values.dtype, values.dtype)
        self._values = _with_room(self._values, self._used, (slot + 2, max(1, len(values))), dtype)
        self._values[slot, : len(values)] = values


class RowViews(BlockRows[list[Array]]):
    """Rows are views of their blocks: for one at a time.

    >>> views = RowViews(slots=1)
    >>> views.put(0, Ragged.of([np.array([5, 6]), np.array([7])]), order=np.array([1, 0]))
    >>> views.take(np.array([0, 0]), np.array([0, 1]))
    [array([7]), array([5, 6])]
    """

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        self._values: dict[int, Array] = {}

    def take(self, slots: IntArray, rows: IntArray) -> list[Array]:
        """A row of each of these slots, as views."""
        starts = self._offsets[slots, rows]
        ends = starts + self._lengths[slots, rows]
        at = zip(slots.tolist(), starts.tolist(), ends.tolist(), strict=True)
        return [self._values[slot][start:end] for slot, start, end in at]

    def _put_values(self, slot: int, values: Array) -> None:
        self._values[slot] = values


def _with_room(table: Array, used: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> Array:
    """The table, or one with its first `used` rows that has at least this shape."""
    rows, columns = (have if need <= have else need + need // 8 for need, have in zip(shape, table.shape, strict=True))
    if (rows, columns) == table.shape and dtype == table.dtype:
        return table
    larger = np.empty((rows, columns), dtype)
    larger[:used, : table.shape[1]] = table[:used]
    return larger
