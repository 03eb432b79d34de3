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
    """Rows of different lengths in one flat array: row i is `values[offsets[i]:offsets[i + 1]]`."""

    values: Array  # (total,)
    offsets: IntArray  # (rows + 1,), from 0 up to total

    @classmethod
    def of(cls, rows: Sequence[Array]) -> Ragged:
        """Return the concatenation of some rows; without rows its dtype is int64.

        >>> Ragged.of([np.array([5, 6]), np.array([7])])
        Ragged(values=array([5, 6, 7]), offsets=array([0, 2, 3]))
        """
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        return cls(
            np.concatenate(rows) if len(rows) else np.zeros(0, dtype=np.int64), offsets_of(lengths)
        )

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Ragged:
        """Return the rows of all parts (at least one part), in order.

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
        """Length of each row: (rows,)."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def longest(self) -> int:
        """Length of the longest row; 0 without rows."""
        return int(self.lengths.max(initial=0))

    def row(self, i: int) -> Array:
        """Return row i, as a view."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def rows(self) -> list[Array]:
        """Return all rows, as views."""
        return [self.values[start:end] for start, end in pairwise(self.offsets.tolist())]

    def between(self, first: int, last: int) -> Ragged:
        """Return rows `first` to `last` - 1, or fewer if there are not as many; values are not
        copied.
        """
        bounds = self.offsets[first : last + 1]
        return Ragged(self.values[bounds[0] : bounds[-1]], bounds - bounds[0])

    def split(self, bounds: IntArray) -> Iterator[Ragged]:
        """Yield the rows between each two neighbouring bounds; values are not copied."""
        return (self.between(first, last) for first, last in pairwise(bounds.tolist()))

    def take(self, rows: IntArray) -> Ragged:
        """Return the rows with these numbers, in this order; values are copied.

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
        """Return a mask (rows, width) that is True at the values of each row."""
        return within(self.lengths, width)

    def fill_up(self, fill: int) -> None:
        """Prepare for `padded` with this fill value; subclasses may, this class does nothing."""

    def padded(self, mask: Mask, fill: int) -> IntArray:
        """Return the rows as int64 (rows, width): their values where `mask` is True, else `fill`.

        >>> rows = Ragged.of([np.array([5, 6]), np.array([7])])
        >>> rows.padded(rows.mask(2), fill=0).tolist()
        [[5, 6], [7, 0]]
        """
        padded = np.full(mask.shape, fill, dtype=np.int64)
        padded[mask] = self.values
        return padded


class LazyRagged(Ragged):
    """Rows of known lengths whose `values` are concatenated when they are first used."""

    # for `__init__`: that of a frozen class takes three times as long
    __setattr__ = object.__setattr__

    def __init__(self, lengths: IntArray) -> None:
        self._lengths = lengths

    @cached_property
    def values(self) -> Array:
        """Values of all rows, end to end: (total,)."""
        return self._joined()

    @cached_property
    def offsets(self) -> IntArray:
        """Start of each row in `values`, and the end: (rows + 1,)."""
        return offsets_of(self._lengths)

    @property
    def lengths(self) -> IntArray:
        """Length of each row: (rows,)."""
        return self._lengths

    @abstractmethod
    def _joined(self) -> Array:
        """Return the values of all rows, end to end."""


def offsets_of(lengths: Array) -> IntArray:
    """Return the offsets (rows + 1,) of rows with these lengths (rows,).

    >>> offsets_of(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def in_smallest_dtype(lengths: IntArray) -> Array:
    """Return lengths, none of them negative, in the smallest unsigned dtype that holds them all.

    >>> in_smallest_dtype(np.array([3, 255])).dtype, in_smallest_dtype(np.array([256])).dtype
    (dtype('uint8'), dtype('uint16'))
    """
    return lengths.astype(np.min_scalar_type(int(lengths.max(initial=0))))


def within(lengths: IntArray, width: int) -> Mask:
    """Return a mask (rows, width) that is True at the first `lengths[i]` columns of row i.

    >>> within(np.array([2, 0]), 3).tolist()
    [[True, True, False], [False, False, False]]
    """
    return _steps(1 << width.bit_length())[:, :width][np.minimum(lengths, width)]


@lru_cache(maxsize=32)
def _steps(width: int) -> Mask:
    """Return a matrix (width + 1, width) whose row n begins with n times True.

    To copy rows of it is several times as fast as to compare. Its rows overlap in memory, so that
    it takes two bytes a column.
    """
    return sliding_window_view(np.arange(2 * width) < width, width)[::-1]
