"""Which samples make a row, and which rows a batch: a function of an epoch's order and of the
lengths in the indexes.

An epoch is a sequence of samples, each at its position. A *batching* takes the positions window by
window and makes rows of each window: one sample a row in their order (`OneByOne`), the same with
similar lengths near each other (`GroupByLength`), or several samples a row (`packing.Pack`). The
rows of all windows, one after the other, are cut into global batches, and rank r of w takes the
rows r, r + w, ... of each.

So the batches are the same at every number of ranks whose batches are together as large. The place
in them is one number, the samples of the rows that were given out: it tells the window, and how
many of its rows are done.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice, pairwise
from typing import ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from noisebeam.pipeline.batching.collate import Batch
from noisebeam.transforms.data.hashing import permutation
from noisebeam.transforms.data.ragged import IntArray, Ragged

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
        """The batching for samples of this objective (`clean` if there is none); ValueError if it
        cannot batch them.
        """

    def rows(self, count: int, lengths: Lengths, rng_key: tuple[int, ...]) -> Ragged:
        """Rows of the numbers 0 to `count` - 1 of a window's samples, which have these lengths.

        Draws are made with `rng_key`, which name the window.
        """

    def collate(self, fields: Mapping[str, Ragged], bounds: IntArray, collate: Collate) -> Batch:
        """The batch of samples with these fields; row i has those from `bounds[i]` up to `bounds[i
        + 1]`.
        """


@dataclass(frozen=True)
class OneByOne:
    """Each sample is a row, in the order of the epoch."""

    window: ClassVar[int] = WINDOW
    sample_rows: ClassVar[bool] = True

    def checked(self, objective: str, max_tokens: int) -> OneByOne:
        """The same: this goes with everything."""
        return self

    def rows(self, count: int, lengths: Lengths, rng_key: tuple[int, ...]) -> Ragged:
        """The samples as they come."""
        return Ragged(np.arange(count), np.arange(count + 1))

    def collate(self, fields: Mapping[str, Ragged], bounds: IntArray, collate: Collate) -> Batch:
        """The samples, padded."""
        return collate(fields)


ONE_BY_ONE = OneByOne()


@dataclass(frozen=True)
class GroupByLength:
    """Each sample is a row, and batches hold samples of similar lengths, for less padding.

    Of each `groups` x `size` samples those of similar length make groups of `size`, and the groups
    are shuffled: give the global batch size, or a multiple of it. Samples that fill no group come
    at the end of the epoch.

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

    def rows(self, count: int, lengths: Lengths, rng_key: tuple[int, ...]) -> Ragged:
        """The samples by length, in shuffled groups.

        >>> GroupByLength(2, groups=3).rows(6, lambda: np.array([9, 1, 8, 2, 9, 1]), (0,)).values.tolist()
        [3, 2, 0, 4, 1, 5]
        """
        groups, rest = divmod(count, self.size)
        by_length = np.argsort(lengths()[: count - rest], kind="stable").reshape(groups, self.size)
        shuffled = by_length[permutation((*rng_key, _GROUPS), groups)].ravel()
        return Ragged(np.append(shuffled, np.arange(count - rest, count)), np.arange(count + 1))

    def collate(self, fields: Mapping[str, Ragged], bounds: IntArray, collate: Collate) -> Batch:
        """The samples, padded."""
        return collate(fields)


class GlobalBatches(NamedTuple):
    """The rows of all ranks at one step or more that follow one another: positions of samples, row
    by row.
    """

    rows: Ragged
    start: int  # samples of the epoch that were given out before
    ends: list[int]  # and after each batch
    repeated: int = 0  # rows at the end of the last that are those of the beginning of the epoch

    def share(self, rank: int, world_size: int, chosen: slice = slice(None)) -> Ragged:
        """The rows of a rank, of all batches or of those chosen."""
        numbers = np.arange(len(self.rows.lengths)).reshape(len(self.ends), -1)[
            chosen, rank::world_size
        ]
        return (
            self.rows if numbers.size == len(self.rows.lengths) else self.rows.take(numbers.ravel())
        )


@dataclass(frozen=True)
class Plan:
    """The global batches of an epoch of `samples` samples, `size` rows each.

    `lengths` gives those of the samples at some positions. What is left at the end is dropped, or
    filled up with rows from the beginning of the epoch.

    >>> plan = Plan(10, len, OneByOne(), (), size=4, tail="pad")
    >>> [batch.rows.values.tolist() for batch in plan.batches(start=2)], plan.count(start=2)
    ([[2, 3, 4, 5], [6, 7, 8, 9]], 2)
    >>> [batch.rows.values.tolist() for batch in plan.batches(start=7)]
    [[7, 8, 9, 0]]
    >>> [(batches.rows.values.tolist(), batches.ends) for batches in plan.batches(start=0, samples=8)]
    [([0, 1, 2, 3, 4, 5, 6, 7], [4, 8]), ([8, 9, 0, 1], [10])]
    >>> [batches.ends for batches in plan.batches(start=0, samples=9)]
    [[4, 8, 10]]
    """

    samples: int
    lengths: Callable[[IntArray], IntArray]
    batching: Batching
    rng_key: tuple[int, ...]
    size: int
    tail: Tail

    def batches(self, start: int, samples: int = 1) -> Iterator[GlobalBatches]:
        """The batches after `start` samples: so many together as have `samples` samples, and at the
        end what is left.

        ValueError if `start` is in the middle of a row.
        """
        at, waiting, count = start, [_NO_ROWS], 0
        for window in self._windows(start):
            waiting.append(window)
            count += len(window.values)
            if count >= samples:
                rows = Ragged.joined(waiting)
                ends = rows.offsets[:: self.size]
                cuts = _cuts(ends, samples)
                for first, last in pairwise(cuts):
                    chosen = rows.between(first * self.size, last * self.size)
                    yield GlobalBatches(
                        chosen, at + int(ends[first]), (at + ends[first + 1 : last + 1]).tolist()
                    )
                rest = rows.between(cuts[-1] * self.size, len(rows.lengths))
                at, waiting, count = at + int(ends[cuts[-1]]), [rest], len(rest.values)
        rows = Ragged.joined(waiting)
        missing = -len(rows.lengths) % self.size if self.tail == "pad" else 0
        if missing:
            rows = Ragged.joined([rows, self._beginning(missing)])
        ends = np.minimum(at + rows.offsets[:: self.size], self.samples)
        if len(ends) > 1:
            yield GlobalBatches(
                rows.between(0, (len(ends) - 1) * self.size), at, ends[1:].tolist(), missing
            )

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

    def _windows(self, start: int) -> Iterator[Ragged]:
        """The rows of each window, from the place where `start` samples are done."""
        for first in range(
            start - start % self.batching.window, self.samples, self.batching.window
        ):
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
        rng_key = (*self.rng_key, first // self.batching.window)
        rows = self.batching.rows(
            count, lambda: self.lengths(np.arange(first, first + count)), rng_key
        )
        return Ragged(rows.values + first, rows.offsets)

    def _beginning(self, count: int) -> Ragged:
        """So many rows of the beginning of the epoch, which begins again where it is too short."""
        return Ragged.of(
            list(islice(cycle(row for window in self._windows(0) for row in window.rows()), count))
        )


_NO_ROWS = Ragged(np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64))


def _cuts(ends: IntArray, samples: int) -> list[int]:
    """How many batches there are before each group of as few as have `samples` samples together,
    and after the last.

    >>> _cuts(np.array([0, 4, 8, 12, 16]), samples=7)
    [0, 2, 4]
    """
    cuts = [0]
    while (last := int(np.searchsorted(ends, ends[cuts[-1]] + samples))) < len(ends):
        cuts.append(last)
    return cuts
