"""Plan of batches: which samples make a row, and which rows a batch on each rank.

    positions  0 1 2 3 4 5 | 6 7 8 9 ...     planning windows of the epoch
    rows       a b c d e f | g h i j         rows of each window, made by the batching
    batches    [a b c d] [e f g h] ...       global batches of `size` rows
    rank r     rows r, r + world_size, ...   of each global batch

An epoch is a sequence of samples; a position is the index of a sample in it. A planning window is
`window` consecutive samples whose rows are planned together. A *batching* makes the rows of each
window: one sample a row in order (`OneByOne`), one sample a row with similar lengths near each
other (`GroupByLength`), or several samples a row (`packing.Pack`). Rank r of w takes rows r, r + w,
... of each global batch.

So global batches are the same at every number of ranks, if the global batch size is the same. The
place in a run is one number, the samples of the rows that were returned: it determines the window,
and how many of its rows are done.
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
    """Protocol of a batching: how samples become rows, and rows a batch."""

    @property
    def window(self) -> int:
        """Number of consecutive samples of the epoch whose rows are planned together."""

    @property
    def sample_rows(self) -> bool:
        """True if each row has exactly one sample."""

    def checked(self, objective: str, max_tokens: int) -> Batching:
        """Return the batching set up for an objective, by its name; `clean` is text without noise.

        `max_tokens` is the length of the longest sample. Raises ValueError if the batching does not
        fit.
        """

    def rows(self, count: int, lengths: Lengths, rng_key: tuple[int, ...]) -> Ragged:
        """Return the rows of `count` samples that are planned together: each row has the numbers, 0
        to count - 1, of its samples.

        `lengths` returns the token counts of the samples, (count,); `rng_key` seeds random draws.
        """

    def collate(self, fields: Mapping[str, Ragged], bounds: IntArray, collate: Collate) -> Batch:
        """Return the batch of samples: row i has the samples `bounds[i]` to `bounds[i + 1]` - 1.

        `fields` has the ragged fields of all samples by name; `collate` pads ragged rows to
        tensors.
        """


@dataclass(frozen=True)
class OneByOne:
    """Batching with one sample in a row, in the order of the epoch."""

    window: ClassVar[int] = WINDOW
    sample_rows: ClassVar[bool] = True

    def checked(self, objective: str, max_tokens: int) -> OneByOne:
        """Return this batching unchanged: it fits every objective."""
        return self

    def rows(self, count: int, lengths: Lengths, rng_key: tuple[int, ...]) -> Ragged:
        """Return one row for each of `count` samples, in order; other arguments are not used."""
        return Ragged(np.arange(count), np.arange(count + 1))

    def collate(self, fields: Mapping[str, Ragged], bounds: IntArray, collate: Collate) -> Batch:
        """Return the batch of samples, one in a row, padded by `collate`."""
        return collate(fields)


ONE_BY_ONE = OneByOne()


@dataclass(frozen=True)
class GroupByLength:
    """Batching with one sample in a row, and samples of similar lengths in a batch, for less
    padding.

    Each `groups` x `size` consecutive samples of the epoch are divided into groups of `size`
    samples of similar length, and the groups are shuffled. `size` should be the global batch size,
    or a multiple of it. The last samples of the epoch, if they fill no group, stay at its end.
    Starting at any position reads the indexes of the shards of these samples.
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
        """Number of consecutive samples of the epoch that are sorted together."""
        return self.size * self.groups

    def checked(self, objective: str, max_tokens: int) -> GroupByLength:
        """Return this batching unchanged: it fits every objective."""
        return self

    def rows(self, count: int, lengths: Lengths, rng_key: tuple[int, ...]) -> Ragged:
        """Return one row for each of `count` samples, in groups of similar length, the groups
        shuffled.

        `lengths` returns the token counts of the samples, (count,); `rng_key` seeds the shuffle. A
        row has the number, 0 to count - 1, of its sample.

        >>> lengths = np.array([9, 1, 8, 2, 9, 1])
        >>> GroupByLength(2, groups=3).rows(6, lambda: lengths, (0,)).values.tolist()
        [3, 2, 0, 4, 1, 5]
        """
        groups, rest = divmod(count, self.size)
        # (groups * size,) samples by length -> (groups, size), shuffled -> (groups * size,)
        by_length = np.argsort(lengths()[: count - rest], kind="stable").reshape(groups, self.size)
        shuffled = by_length[permutation((*rng_key, _GROUPS), groups)].ravel()
        return Ragged(np.append(shuffled, np.arange(count - rest, count)), np.arange(count + 1))

    def collate(self, fields: Mapping[str, Ragged], bounds: IntArray, collate: Collate) -> Batch:
        """Return the batch of samples, one in a row, padded by `collate`."""
        return collate(fields)


class GlobalBatches(NamedTuple):
    """One or more consecutive global batches: the rows of all ranks, as positions of samples in the
    epoch.

    `start` is the number of samples of the epoch before the first batch, `ends` that after each
    batch. The last `repeated` rows are repeated from the beginning of the epoch.
    """

    rows: Ragged
    start: int  # samples of the epoch that were given out before
    ends: list[int]  # and after each batch
    repeated: int = 0  # rows at the end of the last that are those of the beginning of the epoch

    def share(self, rank: int, world_size: int, chosen: slice = slice(None)) -> Ragged:
        """Return the rows of one rank, of all batches or of those that `chosen` selects, in one
        sequence.
        """
        # (rows,) -> (batches, rows of all ranks) -> (chosen batches, rows of this rank)
        numbers = np.arange(len(self.rows.lengths)).reshape(len(self.ends), -1)[
            chosen, rank::world_size
        ]
        return (
            self.rows if numbers.size == len(self.rows.lengths) else self.rows.take(numbers.ravel())
        )


@dataclass(frozen=True)
class Plan:
    """Plan of the global batches of an epoch of `samples` samples, with `size` rows in each batch.

    `lengths` returns the token count of the sample at each position of the epoch. `rng_key` seeds
    the draws of the batching. The rows at the end of the epoch that fill no batch are dropped, or
    completed with rows from its beginning (`tail`).

    >>> plan = Plan(10, len, OneByOne(), (), size=4, tail="pad")
    >>> [batch.rows.values.tolist() for batch in plan.batches(start=2)], plan.count(start=2)
    ([[2, 3, 4, 5], [6, 7, 8, 9]], 2)
    >>> [batch.rows.values.tolist() for batch in plan.batches(start=7)]
    [[7, 8, 9, 0]]
    >>> [(both.rows.values.tolist(), both.ends) for both in plan.batches(start=0, samples=8)]
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
        """Yield the global batches after the first `start` samples of the epoch, several at a time.

        Each item has the smallest number of batches with at least `samples` samples. Raises
        ValueError if `start` is inside a row of the plan, between samples that are packed together.
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
        """Return the number of global batches after the first `start` samples of the epoch."""
        if self.batching.sample_rows:
            rows = self.samples - start
        else:
            rows = sum(len(window.lengths) for window in self._windows(start))
        return rows // self.size if self.tail == "drop" else -(-rows // self.size)

    def position(self, start: int, batches: int) -> int:
        """Return the position of the epoch after `batches` global batches from position `start`."""
        if self.batching.sample_rows:
            return min(start + batches * self.size, self.samples)
        ends = [batch.ends[0] for batch in islice(self.batches(start), batches)]
        return ends[-1] if ends else start

    def _windows(self, start: int) -> Iterator[Ragged]:
        """Yield the rows of each planning window (samples planned together), as positions of
        samples, after the first `start` samples of the epoch.

        Raises ValueError if `start` is inside a row.
        """
        for first in range(
            start - start % self.batching.window, self.samples, self.batching.window
        ):
            rows = self._window(first)
            # rows.offsets (rows + 1,): number of rows before the sample `start`
            done = int(np.searchsorted(rows.offsets, max(0, start - first)))
            if rows.offsets[done] != max(0, start - first):
                before, after = (first + rows.offsets[done - 1 : done + 1]).tolist()
                raise ValueError(
                    f"expected a position between rows, got {start}, within the row from {before} "
                    f"to {after}; "
                    "resume with the state as it was saved"
                )
            yield rows.between(done, len(rows.lengths))

    def _window(self, first: int) -> Ragged:
        """Return the rows of the planning window that begins at position `first`, as positions of
        samples.
        """
        count = min(self.batching.window, self.samples - first)
        rng_key = (*self.rng_key, first // self.batching.window)
        rows = self.batching.rows(
            count, lambda: self.lengths(np.arange(first, first + count)), rng_key
        )
        return Ragged(rows.values + first, rows.offsets)

    def _beginning(self, count: int) -> Ragged:
        """Return `count` rows from the beginning of the epoch, repeated if the epoch has fewer."""
        return Ragged.of(
            list(islice(cycle(row for window in self._windows(0) for row in window.rows()), count))
        )


_NO_ROWS = Ragged(np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64))


def _cuts(ends: IntArray, samples: int) -> list[int]:
    """Return where to divide a sequence of batches into groups, as indexes of batches, from 0.

    Each group is the smallest number of batches with at least `samples` samples. `ends` (batches +
    1,) is the number of samples before each batch, and of all.

    >>> _cuts(np.array([0, 4, 8, 12, 16]), samples=7)
    [0, 2, 4]
    """
    cuts = [0]
    # ends (batches + 1,): first batch with enough samples after the last division
    while (last := int(np.searchsorted(ends, ends[cuts[-1]] + samples))) < len(ends):
        cuts.append(last)
    return cuts
