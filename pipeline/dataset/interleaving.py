"""Weighted round robin: merges several sources so that each has its share among the first n items,
for every n.

    position in the merged sequence -> (source, number of the item in that source)

A period is the shortest part of the sequence that repeats. Positions of a period are computed in
rounds of about 65,536.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from noisebeam.transforms.data.ragged import Array, IntArray, offsets_of

_ROUND = 2**16  # positions that are computed together
_TURNS = 63_000  # thousandths, thirds, sevenths, eighths and ninths are whole numbers of turns


class Drawn(NamedTuple):
    """Result of interleaving: for each position in the merged sequence, the source and the number
    of the item in that source.

    Two int64 arrays of the shape of the positions.
    """

    source: IntArray
    item: IntArray


class Interleaving:
    """An endless sequence of sources in which source i occurs `counts[i]` times in each period.

    A period has `len(interleaving)` positions. Among the first n positions, n up to 65,536, the
    count of source i differs from n times its share by less than one; for periods of at most 65,536
    positions this holds for every n. (Further into a longer period the difference is below 1.5 +
    share * sources / 2.) The cost of computing a position does not depend on how far it is. Raises
    ValueError for negative counts, or if all are 0.

    >>> interleaving = Interleaving([3, 1])
    >>> source, index = interleaving.at(np.arange(8))
    >>> source.tolist(), index.tolist()
    ([0, 0, 1, 0, 0, 0, 1, 0], [0, 1, 0, 2, 3, 4, 1, 5])
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self.counts = np.array(counts, dtype=np.int64)
        if len(self.counts) == 0 or self.counts.min() < 0 or self.counts.sum() == 0:
            raise ValueError(
                f"expected counts of at least 0, one of them above 0, got {list(counts)}"
            )
        rounds = -(-len(self) // _ROUND)
        ends = [
            [(2 * count * number + rounds) // (2 * rounds) for count in counts]
            for number in range(rounds + 1)
        ]
        # (rounds + 1, sources): draws of each source before each round
        self._drawn = np.array(ends, dtype=np.int64)
        self._starts = self._drawn.sum(axis=1)

    def __len__(self) -> int:
        """Return the number of positions of a period, after which the sequence of sources
        repeats.
        """
        return int(self.counts.sum())

    def at(self, positions: npt.ArrayLike) -> Drawn:
        """Return the source at each position of the merged sequence, and the number of the item in
        that source.

        Positions are 0 or more, in any order and shape.
        """
        cycle, at = np.divmod(np.asarray(positions, dtype=np.int64), len(self))
        # (positions,): number of the round of each position
        rounds = np.searchsorted(self._starts, at, side="right") - 1
        source, index = np.empty_like(at), np.empty_like(at)
        for number in np.unique(rounds).tolist():
            here = np.flatnonzero(rounds == number)
            counts = np.diff(self._drawn[number : number + 2], axis=0)[0]
            within = at[here] - self._starts[number]
            source[here], index[here] = (
                values[within] for values in _round(tuple(counts.tolist()))
            )
            index[here] += self._drawn[number, source[here]]
        return Drawn(source, index + cycle * self.counts[source])


def shares(weights: Sequence[float]) -> list[int]:
    """Return small integers in proportion to `weights`, one for each weight.

    Weights that are multiples of 1/63000 of their sum are exact. Others are rounded to such
    multiples; those with the largest remainders are rounded up.

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
def _round(counts: tuple[int, ...]) -> tuple[Array, IntArray]:
    """Return one round of the interleaving, in which source i occurs `counts[i]` times: two arrays
    (sum of counts,), the source and the number of its item in the round.

    A solution of R. Tijdeman, "The chairman assignment problem" (1980): item j of a source with c
    of n positions may be at position (j + e) n / c or later, and must be at position (j + 1 - e) n
    / c or earlier, where e = 1 / (2 sources - 2). Of the items that may be next, the one with the
    earliest deadline is taken. The count of a source then differs from its share by at most 1 - e.
    """
    total, twice = sum(counts), max(2, 2 * len(counts) - 2)
    turns = []
    for source, count in enumerate(counts):
        turn = np.arange(count, dtype=np.int64) * twice
        first = -(-total * (turn + 1) // (twice * max(1, count)))
        last = total * (turn + twice - 1) // (twice * max(1, count))
        # (2, draws): earliest position, and deadline with the number of the source
        turns.append(np.stack([first, last * len(counts) + source]))
    first, last = np.concatenate(turns, axis=1)
    order = np.argsort(first, kind="stable")
    waiting: list[int] = []
    drawn, coming = [], list(zip(first[order].tolist(), last[order].tolist(), strict=True))[::-1]
    for position in range(1, total + 1):
        while coming and coming[-1][0] <= position:
            heappush(waiting, coming.pop()[1])
        drawn.append(heappop(waiting) % len(counts))
    sources = np.array(drawn, dtype=np.int64)
    by_source = np.argsort(sources, kind="stable")
    index = np.empty(total, dtype=np.int64)
    index[by_source] = np.arange(total) - np.repeat(offsets_of(np.array(counts))[:-1], counts)
    return sources, index
