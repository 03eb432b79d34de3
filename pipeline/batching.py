"""Which samples make a row, and which rows a batch: a function of an epoch's order and of the lengths in the indexes.

An epoch is a sequence of samples, each at its position. A *batching* takes the positions window by window and makes
rows of each window: one sample a row in their order (`OneByOne`), the same with similar lengths near each other
(`GroupByLength`), or several samples a row (`packing.Pack`). The rows of all windows, one after the other, are cut into
global batches, and rank r of w takes the rows r, r + w, ... of each.

So the batches are the same at every number of ranks whose batches are together as large. The place in them is one
number, the samples of the rows that were given out: it tells the window, and how many of its rows are done.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice, pairwise
from typing import ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from noisebeam.pipeline.collate import Batch
from noisebeam.transforms.hashing import permutation
from noisebeam.transforms.samples import IntArray, Ragged

WINDOW = 8192  # samples whose lengths are looked at together
_GROUPS = 19  # which permutation of (seed, epoch, ...) is meant

Tail = Literal["drop", "pad"]
Lengths = Callable[[], IntArray]
Collate = Callable[..., Batch]  # of fields, and `multiple`, of which widths are to be multiples


@runtime_checkable
class Batching(Protocol):
    """How samples become rows, and rows a batch."""

    @property
    def window(self) -> int:
        """The samples that are arranged together."""

    @property
    def sample_rows(self) -> bool:
        """Whether each row is one sample."""

    def checked(self, objective: str, max_tokens: int) -> Batching:
        """The batching for samples of this objective (`clean` if there is none); ValueError if it cannot batch them."""

    def rows(self, count: int, lengths: Lengths, words: tuple[int, ...]) -> Ragged:
        """Rows of the numbers 0 to `count` - 1 of a window's samples, which have these lengths.

        Draws are made with `words`, which name the window.
        """

    def collate(self, fields: Mapping[str, Ragged], bounds: IntArray, collate: Collate) -> Batch:
        """The batch of samples with these fields; row i has those from `bounds[i]` up to `bounds[i + 1]`."""


@dataclass(frozen=True)
class OneByOne:
    """Each sample is a row, in the order of the epoch."""

    window: ClassVar[int] = WINDOW
    sample_rows: ClassVar[bool] = True

    def checked(self, objective: str, max_tokens: int) -> OneByOne:
        """The same: this goes with everything."""
        return self

    def rows(self, count: int, lengths: Lengths, words: tuple[int, ...]) -> Ragged:
        """The samples as they come."""
        return Ragged(np.arange(count), np.arange(count + 1))

    def collate(self, fields: Mapping[str, Ragged], bounds: IntArray, collate: Collate) -> Batch:
        """The samples, padded."""
        return collate(fields)


ONE_BY_ONE = OneByOne()


@dataclass(frozen=True)
class GroupByLength:
    """Each sample is a row, and batches hold samples of similar lengths, for less padding.

    Of each `groups` x `size` samples those of similar length make groups of `size`, and the groups are shuffled: give
    the global batch size, or a multiple of it. Samples that fill no group come at the end of the epoch.

    A start, at any place, reads the indexes of the shards that its window lies in.
    """

    size: int
    groups: int = 128
    sample_rows: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, value in (("size", self.size), ("groups", self.groups)):
            if operator.index(value) < 1:
                raise ValueError(f"GroupByLength: expected {name} of at least 1, got {value}")

    @property
    def window(self) -> int:
        """The samples that are sorted together."""
        return self.size * self.groups

    def checked(self, objective: str, max_tokens: int) -> GroupByLength:
        """The same: all objectives may be grouped."""
        return self

    def rows(self, count: int, lengths: Lengths, words: tuple[int, ...]) -> Ragged:
        """The samples by length, in shuffled groups.

        >>> GroupByLength(2, groups=3).rows(6, lambda: np.array([9, 1, 8, 2, 9, 1]), (0,)).values.tolist()
        [3, 2, 0, 4, 1, 5]
        """
        groups, rest = divmod(count, self.size)
        by_length = np.argsort(lengths()[: count - rest], kind="stable").reshape(groups, self.size)
        shuffled = by_length[permutation((*words, _GROUPS), groups)].ravel()
        return Ragged(np.append(shuffled, np.arange(count - rest, count)), np.arange(count + 1))

    def collate(self, fields: Mapping[str, Ragged], bounds: IntArray, collate: Collate) -> Batch:
        """The samples, padded."""
        return collate(fields)


class GlobalBatches(NamedTuple):
    """The rows of all ranks at one step or more that follow one another: positions of samples, row by row."""

    rows: Ragged
    start: int  # samples of the epoch that were given out before
    ends: list[int]  # and after each batch
    repeated: int = 0  # rows at the end of the last that are those of the beginning of the epoch

    def share(self, rank: int, world_size: int, batches: slice = slice(None)) -> Ragged:
        """The rows of a rank, of all batches or of some."""
        numbers = np.arange(len(self.rows.lengths)).reshape(len(self.ends), -1)[batches, rank::world_size]
        return self.rows if numbers.size == len(self.rows.lengths) else self.rows.take(numbers.ravel())


@dataclass(frozen=True)
class Plan:
    """The global batches of an epoch of `samples` samples, `size` rows each.

    `lengths` gives those of the samples at some positions. What is left at the end is dropped, or filled up with rows
    from the beginning of the epoch.

    >>> plan = Plan(10, len, OneByOne(), (), size=4, tail="pad")
    >>> [batch.rows.values.tolist() for batch in plan.batches(start=2)], plan.count(start=2)
    ([[2, 3, 4, 5], [6, 7, 8, 9]], 2)
    >>> [batch.rows.values.tolist() for batch in plan.batches(start=7)]
    [[7, 8, 9, 0]]
    >>> [(batches.rows.values.tolist(), batches.ends) for batches in plan.batches(start=0, samples=8)]
    [([0, 1, 2, 3, 4, 5, 6, 7], [4, 8]), ([8, 9, 0, 1], [10])]
    """

    samples: int
    lengths: Callable[[IntArray], IntArray]
    batching: Batching
    words: tuple[int, ...]
    size: int
    tail: Tail

    def batches(self, start: int, samples: int = 1) -> Iterator[GlobalBatches]:
        """The batches after `start` samples: so many together as have about `samples` samples, and one at least.

        ValueError if `start` is in the middle of a row.
        """
        at, rows = start, _NO_ROWS
        for more in self._windows(start):
            rows = _joined(rows, more)
            if rows.offsets[-1] >= samples:
                yield from self._full(rows, at, samples)
                at, rows = self._rest(rows, at)
        yield from self._full(rows, at, samples)
        at, rows = self._rest(rows, at)
        if len(rows.lengths) and self.tail == "pad":
            missing = self.size - len(rows.lengths)
            yield GlobalBatches(self._filled(rows, missing), at, [self.samples], missing)

    def count(self, start: int) -> int:
        """The number of batches after `start` samples."""
        if self.batching.sample_rows:
            rows = self.samples - start
        else:
            rows = sum(len(window.lengths) for window in self._windows(start))
        return rows // self.size if self.tail == "drop" else -(-rows // self.size)

    def position(self, start: int, batches: int) -> int:
        """The samples given out after so many batches more."""
        if self.batching.sample_rows:
            return min(start + batches * self.size, self.samples)
        ends = [batch.ends[0] for batch in islice(self.batches(start), batches)]
        return ends[-1] if ends else start

    def _full(self, rows: Ragged, start: int, samples: int) -> Iterator[GlobalBatches]:
        """The batches of these rows that are full, of about so many samples together."""
        ends = (start + rows.offsets[:: self.size]).tolist()
        count = len(ends) - 1
        parts = min(count, max(1, round((ends[-1] - start) / samples)))
        for first, last in pairwise(count * part // parts for part in range(parts + 1 if parts else 0)):
            chosen = rows.between(first * self.size, last * self.size)
            yield GlobalBatches(chosen, ends[first], ends[first + 1 : last + 1])

    def _rest(self, rows: Ragged, start: int) -> tuple[int, Ragged]:
        """What fills no batch, and the samples before it."""
        full = len(rows.lengths) // self.size * self.size
        return start + int(rows.offsets[full]), rows.between(full, len(rows.lengths))

    def _windows(self, start: int) -> Iterator[Ragged]:
        """The rows of each window, from the place where `start` samples are done."""
        for first in range(start - start % self.batching.window, self.samples, self.batching.window):
            rows = self._window(first)
            done = int(np.searchsorted(rows.offsets, max(0, start - first)))
            if rows.offsets[done] != max(0, start - first):
                before, after = (first + rows.offsets[done - 1 : done + 1]).tolist()
                raise ValueError(
                    f"expected a position between rows, got {start}, within the row from {before} to {after}; "
                    "resume with the state as it was saved"
                )
            yield rows.between(done, len(rows.lengths))

    def _window(self, first: int) -> Ragged:
        count = min(self.batching.window, self.samples - first)
        words = (*self.words, first // self.batching.window)
        rows = self.batching.rows(count, lambda: self.lengths(np.arange(first, first + count)), words)
        return Ragged(rows.values + first, rows.offsets)

    def _filled(self, rows: Ragged, missing: int) -> Ragged:
        """These rows, and then so many of the beginning of the epoch."""
        beginning = cycle(row for window in self._windows(0) for row in window.rows())
        return Ragged.of([*rows.rows(), *islice(beginning, missing)])


_NO_ROWS = Ragged(np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64))


def _joined(first: Ragged, second: Ragged) -> Ragged:
    if not len(first.lengths):
        return second
    offsets = np.concatenate([first.offsets, first.offsets[-1] + second.offsets[1:]])
    return Ragged(np.concatenate([first.values, second.values]), offsets)
