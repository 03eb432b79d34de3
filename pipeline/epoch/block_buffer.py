"""A buffer of blocks, and rows of different lengths taken from it without a Python loop over rows.

    blocks in slots      |a a a b b|c d d d d|      values, (slots, bytes)
    starts, lengths      0 3       5 6              of each row
    matrix of rows       a a a . / d d d d          rows as wide as the longest one

Every stretch of a flat array that is as long as the longest row is a row of a view without copies
(its rows overlap). To take rows is to index this view; the values behind the end of a shorter row
have no meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from noisebeam.transforms.data.ragged import Array, IntArray, LazyRagged, Mask, Ragged, within
from noisebeam.transforms.shards.format import ALIGNED
from noisebeam.transforms.shards.reader import ShardError


class RowMatrix(LazyRagged):
    """Rows of different lengths in one matrix: row i is `matrix[i, : lengths[i]]`; what is behind
    the end of a row has no meaning.

    `mask` (rows, longest) is True at the values of rows; None computes it. `fill` is the value
    behind the ends of all rows, None if they differ. The flat array `values` is made from the
    matrix at its first use.

    >>> rows = RowMatrix(np.array([[5, 6], [7, 8]]), np.array([2, 1]))
    >>> rows.values.tolist(), rows.offsets.tolist()
    ([5, 6, 7], [0, 2, 3])
    >>> rows.padded(np.array([[True, True], [True, False]]), -1).tolist()
    [[5, 6], [7, -1]]
    """

    def __init__(
        self, matrix: Array, lengths: IntArray, mask: Mask | None = None, fill: int | None = None
    ) -> None:
        super().__init__(lengths)
        self.matrix = matrix
        # Made once for many rows; `split` cuts it.
        self._mask = within(lengths, matrix.shape[1]) if mask is None else mask
        self._fill = fill  # what is behind the end of each row; None for any values

    def fill_up(self, fill: int) -> None:
        """Overwrite the unused tail of every row with `fill`, if the dtype can hold it.

        `padded` with this `fill` is then a cast. Modifies the matrix in place, the first time only:
        inputs and labels may share it. Call it before `split`.

        >>> rows = RowMatrix(np.array([[5, 6], [7, 8]], np.uint16), np.array([2, 1]))
        >>> rows.fill_up(1), rows.fill_up(-100), rows.matrix.tolist()
        (None, None, [[5, 6], [7, 1]])
        """
        known = np.iinfo(self.matrix.dtype)
        if self._fill is None and known.min <= fill <= known.max:
            np.copyto(self.matrix, fill, where=~self._mask)
            self._fill = fill

    @property
    def longest(self) -> int:
        """Length of the longest row of this matrix."""
        return int(self.matrix.shape[1])

    def rows(self) -> list[Array]:
        """Return a list of all rows, as read-only views of the matrix."""
        matrix = self.matrix.view()
        matrix.flags.writeable = False
        return [row[:length] for row, length in zip(matrix, self._lengths.tolist(), strict=True)]

    def split(self, bounds: IntArray) -> Iterator[RowMatrix]:
        """Yield the rows between each two neighbouring `bounds` (indexes of rows) as a RowMatrix, a
        view of this one.

        Each part has at least one row, and is as wide as its longest row.
        """
        # (bounds - 1,): length of the longest row of each part
        widths = np.maximum.reduceat(self._lengths, bounds[:-1]).tolist()
        for (first, last), width in zip(pairwise(bounds.tolist()), widths, strict=True):
            rows = slice(first, last), slice(width)
            yield RowMatrix(
                self.matrix[rows], self._lengths[first:last], self._mask[rows], self._fill
            )

    def mask(self, width: int) -> Mask:
        """Return a mask (rows, width) bool that is True at the values of each row and False behind
        its end.
        """
        return self._mask if width == self.longest else super().mask(width)

    def padded(self, mask: Mask, fill: int) -> IntArray:
        """Return the rows as an int64 matrix of the shape of `mask`, with `fill` behind the end of
        each row.

        `mask` is the result of `mask(width)`.
        """
        if fill == self._fill and mask.shape == self.matrix.shape:
            return self.matrix.astype(np.int64)
        padded = np.empty(mask.shape, np.int64)
        padded.fill(fill)
        np.copyto(padded[:, : self.longest], self.matrix, where=self._mask)
        return padded

    def _joined(self) -> Array:
        """Return the values of all rows, one row after another: (values,)."""
        return self.matrix[self._mask]


def matrix_of(rows: Ragged) -> Array:
    """Return ragged rows as a matrix (rows, longest row); values behind the end of a row have no
    meaning.

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
    """Return a view (len(values) - length + 1, length) whose row i is `values[i : i + length]`."""
    return sliding_window_view(values, length)


class RowTable:
    """Buffer of blocks in one array, from which rows of any of the blocks are copied at once.

    Each block (consecutive samples read from a shard) has a slot, its index in the buffer. `slots`
    is the expected number of slots; a higher slot enlarges the buffer, which copies it.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._used = 0  # slots that hold a block
        # By field (slots, rows): start and length of each row, in values of its slot.
        self._bounds: dict[str, tuple[IntArray, IntArray]] = {}
        # One slot more than there are blocks, for stretches that run over the end of the last one.
        self._memory = np.empty((slots + 1, 0), np.uint8)
        self._dtypes: dict[str, np.dtype[Any]] = {}

    def room(self, slots: Sequence[int], sizes: Sequence[int]) -> list[Array]:
        """Return memory to read blocks into: one array (size,) uint8 for each of `slots`, of the
        given sizes in bytes.

        The old content of these slots is lost.
        """
        self._memory = _with_room(self._memory, self._used, (max(slots) + 2, max(1, *sizes)))
        return [self._memory[slot, :size] for slot, size in zip(slots, sizes, strict=True)]

    def put(self, slot: int, columns: Mapping[str, Ragged], order: IntArray) -> None:
        """Make the rows of a block available to `take`, after the block was read into the memory of
        its slot.

        `columns` has the fields of the block by name. Row i of the slot is row `order[i]` of the
        stored block.
        """
        for name, rows in columns.items():
            empty = np.empty((self._slots, 0), np.int64)
            starts, lengths = (
                _with_room(table, self._used, (slot + 1, len(order)))
                for table in self._bounds.get(name, (empty, empty))
            )
            starts[slot, : len(order)] = self._first(name, slot, rows.values) + rows.offsets[order]
            lengths[slot, : len(order)] = rows.lengths[order]
            self._bounds[name] = starts, lengths
        self._used = max(self._used, slot + 1)

    def take(self, slots: IntArray, rows: IntArray) -> dict[str, RowMatrix]:
        """Return row `rows[i]` of the block in slot `slots[i]`, for each i: a RowMatrix for each
        field.
        """
        taken = {}
        for name, tables in self._bounds.items():
            # (slots, rows) tables -> (taken rows,) starts and lengths
            at = slots * tables[0].shape[1] + rows
            starts, lengths = (table.reshape(-1).take(at) for table in tables)
            # (slots, bytes) -> (values,): one flat array over all slots
            values = self._memory.reshape(-1).view(self._dtypes[name])
            starts += slots * (self._memory.shape[1] // values.itemsize)
            taken[name] = RowMatrix(
                _stretches(values, int(lengths.max(initial=0)))[starts], lengths
            )
        return taken

    def _first(self, name: str, slot: int, values: Array) -> int:
        """Return the index of the first value of a field in the memory of its slot, counted in
        values.

        Raises ShardError if the field has another dtype than in earlier blocks.
        """
        self._dtypes.setdefault(name, values.dtype)
        if values.dtype != self._dtypes[name]:
            raise ShardError(
                f"expected {name} as {self._dtypes[name]} in all shards, got {values.dtype}; "
                "build them again together"
            )
        if not len(values):
            return 0
        return (_address(values) - _address(self._memory[slot])) // values.itemsize


def _address(values: Array) -> int:
    """Return the address of the first value in the memory of this process."""
    return int(values.__array_interface__["data"][0])


def _with_room(table: Array, used: int, shape: tuple[int, int]) -> Array:
    """Return the table if it has at least this shape, else a larger copy with its first `used`
    rows.

    A row of the larger table has a multiple of 64 items; items without a value are undefined.
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
