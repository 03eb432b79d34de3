"""Which of several parts comes next, so that each has its share all along: positions -> (part,
place in that part).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from noisebeam.transforms.data.ragged import Array, IntArray, offsets_of

_HAND = 2**16  # positions that are worked out together
_TURNS = 63_000  # thousandths, thirds, sevenths, eighths and ninths are whole numbers of turns


class Dealt(NamedTuple):
    """What comes at each of some positions: `part`, and its how-manieth (`place`, from 0)."""

    part: IntArray
    place: IntArray


class Deal:
    """An endless sequence of parts, in which part i comes `counts[i]` times in every `len(deal)`
    positions.

    Among the first n positions, n up to 65,536, part i has come less than one time more or less
    than n times its share; where `len(deal)` is at most that, this holds for every n. (Further into
    a longer one the difference stays below 1.5 + share * parts / 2.) Any position costs as much as
    the first.

    >>> deal = Deal([3, 1])
    >>> part, place = deal.at(np.arange(8))
    >>> part.tolist(), place.tolist()
    ([0, 0, 1, 0, 0, 0, 1, 0], [0, 1, 0, 2, 3, 4, 1, 5])
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self.counts = np.array(counts, dtype=np.int64)
        if len(self.counts) == 0 or self.counts.min() < 0 or self.counts.sum() == 0:
            raise ValueError(
                f"expected counts of at least 0, one of them above 0, got {list(counts)}"
            )
        hands = -(-len(self) // _HAND)
        ends = [
            [(2 * count * hand + hands) // (2 * hands) for count in counts]
            for hand in range(hands + 1)
        ]
        self._dealt = np.array(
            ends, dtype=np.int64
        )  # (hands + 1, parts): how often each part has come
        self._starts = self._dealt.sum(axis=1)

    def __len__(self) -> int:
        """The number of positions after which the sequence repeats."""
        return int(self.counts.sum())

    def at(self, positions: npt.ArrayLike) -> Dealt:
        """What comes at these positions, in any order and from 0 on."""
        cycle, at = np.divmod(np.asarray(positions, dtype=np.int64), len(self))
        hands = np.searchsorted(self._starts, at, side="right") - 1
        part, place = np.empty_like(at), np.empty_like(at)
        for hand in np.unique(hands).tolist():
            here = np.flatnonzero(hands == hand)
            counts = np.diff(self._dealt[hand : hand + 2], axis=0)[0]
            within = at[here] - self._starts[hand]
            part[here], place[here] = (values[within] for values in _hand(tuple(counts.tolist())))
            place[here] += self._dealt[hand, part[here]]
        return Dealt(part, place + cycle * self.counts[part])


def shares(weights: Sequence[float]) -> list[int]:
    """Small whole numbers in the proportion of `weights`, exact for those that are multiples of
    1/63000 of their sum.

    Others are rounded so that the largest remainders are rounded up.

    >>> shares([0.7, 0.2, 0.1]), shares([1, 1, 1]), shares([1, 2**0.5])
    ([7, 2, 1], [1, 1, 1], [5219, 7381])
    """
    exact = np.array(weights, dtype=np.float64) * (_TURNS / sum(weights))
    nearest = np.rint(exact)
    exact = np.where(np.abs(exact - nearest) < 1e-6, nearest, exact)
    turns = np.floor(exact).astype(np.int64)
    turns[np.argsort(turns - exact, kind="stable")[: _TURNS - int(turns.sum())]] += 1
    return [int(count) for count in turns // np.gcd.reduce(turns)]


@lru_cache(maxsize=8)
def _hand(counts: tuple[int, ...]) -> tuple[Array, IntArray]:
    """The parts in turn, and how often each has come before: a solution of the chairman assignment
    problem.

    R. Tijdeman, "The chairman assignment problem" (1980): turn j of a part with c of n positions
    may come from position (j + e) n / c on, and must come by position (j + 1 - e) n / c, where e =
    1 / (2 parts - 2). Of the turns that may come the most pressing one does. The difference from
    the share is then never above 1 - e.
    """
    total, twice = sum(counts), max(2, 2 * len(counts) - 2)
    turns = []
    for part, count in enumerate(counts):
        turn = np.arange(count, dtype=np.int64) * twice
        first = -(-total * (turn + 1) // (twice * max(1, count)))
        last = total * (turn + twice - 1) // (twice * max(1, count))
        turns.append(np.stack([first, last * len(counts) + part]))
    first, last = np.concatenate(turns, axis=1)
    order = np.argsort(first, kind="stable")
    waiting: list[int] = []
    dealt, coming = [], list(zip(first[order].tolist(), last[order].tolist(), strict=True))[::-1]
    for position in range(1, total + 1):
        while coming and coming[-1][0] <= position:
            heappush(waiting, coming.pop()[1])
        dealt.append(heappop(waiting) % len(counts))
    parts = np.array(dealt, dtype=np.int64)
    by_part = np.argsort(parts, kind="stable")
    place = np.empty(total, dtype=np.int64)
    place[by_part] = np.arange(total) - np.repeat(offsets_of(np.array(counts))[:-1], counts)
    return parts, place
