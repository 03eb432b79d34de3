"""Ragged arrays: rows of different lengths in one flat array, and their offsets.

rows      [5 6] [7] [8 9 9]
values    5 6 7 8 9 9          (total,)
offsets   0 2 3 6              (rows + 1,): row i is values[offsets[i]:offsets[i + 1]]
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_LONG = (
    64  # values: rows that are longer are quicker to copy one by one than by an index of each value
)


@dataclass(frozen=True, eq=False)
class Ragged:
    """Ragged array: rows of different lengths in one flat array.

    Row i is `values[offsets[i]:offsets[i + 1]]`. `values` is (total,), `offsets` (rows + 1,) int64,
    from 0 up to total.
    """

    values: Array  # (total,)
    offsets: IntArray  # (rows + 1,), from 0 up to total

    @classmethod
    def of(cls, rows: Sequence[Array]) -> Ragged:
        """Return the ragged array of a list of rows; without rows its dtype is int64.

        >>> Ragged.of([np.array([5, 6]), np.array([7])])
        Ragged(values=array([5, 6, 7]), offsets=array([0, 2, 3]))
        """
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        return cls(
            np.concatenate(rows) if len(rows) else np.zeros(0, dtype=np.int64), offsets_of(lengths)
        )

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Ragged:
        """Return the rows of several ragged arrays (at least one), one array after another.

        >>> Ragged.joined([Ragged.of([np.array([5, 6])]), Ragged.of([np.array([7])])])
        Ragged(values=array([5, 6, 7]), offsets=array([0, 2, 3]))
        """
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(np.concatenate([part.values for part in parts]), offsets_of(lengths))

    def __iter__(self) -> Iterator[Array]:
        """Yield values and offsets, to unpack: `values, offsets = ragged`."""
        return iter((self.values, self.offsets))

    @property
    def lengths(self) -> IntArray:
        """Length of each row of this ragged array: (rows,) int64."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def longest(self) -> int:
        """Length of the longest row; 0 if there are no rows."""
        return int(self.lengths.max(initial=0))

    def row(self, i: int) -> Array:
        """Return row i as a view of the values."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def rows(self) -> list[Array]:
        """Return a list of all rows, as views of the values."""
        return [self.values[start:end] for start, end in pairwise(self.offsets.tolist())]

    def between(self, first: int, last: int) -> Ragged:
        """Return rows `first` to `last` - 1, or fewer if there are not so many; values are not
        copied.
        """
        bounds = self.offsets[first : last + 1]
        return Ragged(self.values[bounds[0] : bounds[-1]], bounds - bounds[0])

    def split(self, bounds: IntArray) -> Iterator[Ragged]:
        """Yield the rows between each two neighbouring `bounds` (indexes of rows) as a ragged
        array; values are not copied.
        """
        return (self.between(first, last) for first, last in pairwise(bounds.tolist()))

    def take(self, rows: IntArray) -> Ragged:
        """Return the rows with these indexes, in this order; values are copied.

        >>> Ragged.of([np.array([5, 6]), np.array([7])]).take(np.array([1, 0]))
        Ragged(values=array([7, 5, 6]), offsets=array([0, 1, 3]))
        """
        starts, ends = self.offsets[rows], self.offsets[rows + 1]
        offsets = offsets_of(ends - starts)
        if offsets[-1] > _LONG * len(rows):  # few long copies
            parts = [
                self.values[start:end]
                for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
            ]
            return Ragged(np.concatenate(parts), offsets)
        return Ragged(
            self.values[np.repeat(starts - offsets[:-1], ends - starts) + np.arange(offsets[-1])],
            offsets,
        )

    def mask(self, width: int) -> Mask:
        """Return a mask (rows, width) bool that is True at the values of each row and False behind
        its end.
        """
        return within(self.lengths, width)

    def fill_up(self, fill: int) -> None:
        """Prepare for calls of `padded` with this fill value, if a subclass can; do nothing
        here.
        """

    def padded(self, mask: Mask, fill: int) -> IntArray:
        """Return the rows as an int64 matrix of the shape of `mask`: values where `mask` is True,
        else `fill`.

        `mask` is the result of `mask(width)`.

        >>> rows = Ragged.of([np.array([5, 6]), np.array([7])])
        >>> rows.padded(rows.mask(2), fill=0).tolist()
        [[5, 6], [7, 0]]
        """
        padded = np.full(mask.shape, fill, dtype=np.int64)
        padded[mask] = self.values
        return padded


class LazyRagged(Ragged):
    """Base class of ragged arrays whose `values` are put together when they are first used.

    `lengths` (rows,) are known from the start.
    """

    # for `__init__`: that of a frozen class takes three times as long
    __setattr__ = object.__setattr__

    def __init__(self, lengths: IntArray) -> None:
        self._lengths = lengths

    @cached_property
    def values(self) -> Array:
        """Values of all rows, one row after another: (total,)."""
        return self._joined()

    @cached_property
    def offsets(self) -> IntArray:
        """Start of each row in `values`, and the total: (rows + 1,) int64."""
        return offsets_of(self._lengths)

    @property
    def lengths(self) -> IntArray:
        """Length of each row of this ragged array: (rows,) int64."""
        return self._lengths

    @abstractmethod
    def _joined(self) -> Array:
        """Return the values of all rows, one row after another: (total,)."""


def offsets_of(lengths: Array) -> IntArray:
    """Return the offsets of rows with these lengths, (rows,): the start of each row, and the total;
    (rows + 1,) int64.

    >>> offsets_of(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def in_smallest_dtype(lengths: IntArray) -> Array:
    """Return lengths (0 or more) in the smallest unsigned integer type that can hold them all.

    >>> in_smallest_dtype(np.array([3, 255])).dtype, in_smallest_dtype(np.array([256])).dtype
    (dtype('uint8'), dtype('uint16'))
    """
    return lengths.astype(np.min_scalar_type(int(lengths.max(initial=0))))


def within(lengths: IntArray, width: int) -> Mask:
    """Return a mask (rows, width) bool that is True at the first `lengths[i]` columns of row i.

    >>> within(np.array([2, 0]), 3).tolist()
    [[True, True, False], [False, False, False]]
    """
    return _steps(1 << width.bit_length())[:, :width][np.minimum(lengths, width)]


@lru_cache(maxsize=32)
def _steps(width: int) -> Mask:
    """Return a bool matrix (width + 1, width) whose row n is True in its first n columns.

    Copying rows of it is several times as fast as comparing numbers. Its rows overlap in memory, so
    that it takes two bytes for each column.
    """
    return sliding_window_view(np.arange(2 * width) < width, width)[::-1]
