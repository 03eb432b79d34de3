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
    """Rows of different lengths: `values` holds them end to end, row i is
    `values[offsets[i]:offsets[i + 1]]`.
    """

    values: Array  # (total,)
    offsets: IntArray  # (rows + 1,), from 0 up to total

    @classmethod
    def of(cls, rows: Sequence[Array]) -> Ragged:
        """Rows put end to end; int64 if there are none.

        >>> Ragged.of([np.array([5, 6]), np.array([7])])
        Ragged(values=array([5, 6, 7]), offsets=array([0, 2, 3]))
        """
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        return cls(
            np.concatenate(rows) if len(rows) else np.zeros(0, dtype=np.int64), offsets_of(lengths)
        )

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Ragged:
        """The rows of all parts (one at least), one after the other.

        >>> Ragged.joined([Ragged.of([np.array([5, 6])]), Ragged.of([np.array([7])])])
        Ragged(values=array([5, 6, 7]), offsets=array([0, 2, 3]))
        """
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(np.concatenate([part.values for part in parts]), offsets_of(lengths))

    def __iter__(self) -> Iterator[Array]:
        """To unpack: `values, offsets = ragged`."""
        return iter((self.values, self.offsets))

    @property
    def lengths(self) -> IntArray:
        """(rows,): the lengths of the rows."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def longest(self) -> int:
        """The length of the longest row; 0 if there is none."""
        return int(self.lengths.max(initial=0))

    def row(self, i: int) -> Array:
        """Row i, as a view."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def rows(self) -> list[Array]:
        """All rows, as views."""
        return [self.values[start:end] for start, end in pairwise(self.offsets.tolist())]

    def between(self, first: int, last: int) -> Ragged:
        """The rows from `first` up to, not including, `last`, and no more than there are; values
        are not copied.
        """
        bounds = self.offsets[first : last + 1]
        return Ragged(self.values[bounds[0] : bounds[-1]], bounds - bounds[0])

    def split(self, bounds: IntArray) -> Iterator[Ragged]:
        """The rows from each of these bounds up to, not including, the next; values are not
        copied.
        """
        return (self.between(first, last) for first, last in pairwise(bounds.tolist()))

    def take(self, rows: IntArray) -> Ragged:
        """These rows, in this order; values are copied.

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
        """(rows, width): True where a row has values."""
        return within(self.lengths, width)

    def fill_up(self, fill: int) -> None:
        """Do what can be done ahead of `padded` with this `fill`, for these rows and parts of them:
        here nothing.
        """

    def padded(self, mask: Mask, fill: int) -> IntArray:
        """(rows, width) int64: the rows where their `mask` is True, and else `fill`.

        >>> rows = Ragged.of([np.array([5, 6]), np.array([7])])
        >>> rows.padded(rows.mask(2), fill=0).tolist()
        [[5, 6], [7, 0]]
        """
        padded = np.full(mask.shape, fill, dtype=np.int64)
        padded[mask] = self.values
        return padded


class LazyRagged(Ragged):
    """Rows of known lengths, whose `values` are put end to end when they are asked for."""

    __setattr__ = (
        object.__setattr__
    )  # for `__init__`: that of a frozen class takes three times as long

    def __init__(self, lengths: IntArray) -> None:
        self._lengths = lengths

    @cached_property
    def values(self) -> Array:
        """(total,): the rows end to end."""
        return self._joined()

    @cached_property
    def offsets(self) -> IntArray:
        """(rows + 1,): where each row begins in `values`, and the end."""
        return offsets_of(self._lengths)

    @property
    def lengths(self) -> IntArray:
        """(rows,): the lengths of the rows."""
        return self._lengths

    @abstractmethod
    def _joined(self) -> Array:
        """The rows end to end."""


def offsets_of(lengths: Array) -> IntArray:
    """The offsets of rows with these lengths.

    >>> offsets_of(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def within(lengths: IntArray, width: int) -> Mask:
    """(rows, width): True where a row of this length has values.

    >>> within(np.array([2, 0]), 3).tolist()
    [[True, True, False], [False, False, False]]
    """
    return _steps(1 << width.bit_length())[:, :width][np.minimum(lengths, width)]


@lru_cache(maxsize=32)
def _steps(width: int) -> Mask:
    """(width + 1, width): row n begins with n times True. To copy rows of it is several times as
    fast as to compare.

    It takes two bytes for each column, for its rows overlap.
    """
    return sliding_window_view(np.arange(2 * width) < width, width)[::-1]
