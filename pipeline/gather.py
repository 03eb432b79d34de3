"""Rows of different lengths, taken from many blocks into one matrix: in numpy, without a Python loop over rows.

Every stretch of a flat array that is as long as its longest row is a row of a matrix that costs no memory, for its rows
overlap. To take rows is to index that matrix; what lies behind the end of a shorter row comes along and means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

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

    def take(self, rows: IntArray) -> RowMatrix:
        """These rows, in this order."""
        return RowMatrix(self.matrix[rows], self._lengths[rows])

    def padded(self, mask: Mask, fill: int) -> IntArray:
        """(rows, width) int64: the rows where `mask` is True, and else `fill`."""
        if mask.shape[1] > self.matrix.shape[1]:
            return super().padded(mask, fill)
        padded = self.matrix[:, : mask.shape[1]].astype(np.int64)
        padded[~mask] = fill
        return padded


@dataclass(frozen=True)
class Column:
    """A field of all samples of a block, to take rows of."""

    windows: Array  # (values + 1, longest): the stretches from each value on
    starts: IntArray  # (rows,)
    lengths: IntArray  # (rows,)

    @classmethod
    def of(cls, rows: Ragged, order: IntArray) -> Column:
        """These rows, numbered anew in this order. Values are copied."""
        longest = int(rows.lengths.max(initial=0))
        values = np.concatenate([rows.values, np.zeros(max(1, longest), rows.values.dtype)])
        windows = np.lib.stride_tricks.sliding_window_view(values, max(1, longest))
        return cls(windows, rows.offsets[order], rows.lengths[order])


Part = tuple[IntArray, Column, IntArray]  # rows of the matrix, and the column and the rows of it that go there


def gather(parts: Sequence[Part], count: int) -> RowMatrix:
    """The rows of several columns as one matrix of `count` rows; those that no part has are empty.

    >>> column = Column.of(Ragged.of([np.array([5, 6]), np.array([7])]), order=np.array([1, 0]))
    >>> [row.tolist() for row in gather([(np.array([1, 0]), column, np.array([0, 1]))], 2).rows()]
    [[5, 6], [7]]
    """
    width = max(column.windows.shape[1] for _, column, _ in parts)
    matrix = np.empty((count, width), np.result_type(*(column.windows.dtype for _, column, _ in parts)))
    lengths = np.zeros(count, np.int64)
    for to, column, rows in parts:
        lengths[to] = column.lengths[rows]
        matrix[:, : column.windows.shape[1]][to] = column.windows[column.starts[rows]]
    return RowMatrix(matrix, lengths)
