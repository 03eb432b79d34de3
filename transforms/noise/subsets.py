"""Uniformly random subsets of an exact size, for all samples of a batch at once.

For each sample, random numbers from its range are drawn, and the first `count` different ones are
chosen. If more than half of a range is wanted, the numbers to leave out are drawn instead. So every
subset of that size is equally likely.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from noisebeam.transforms.data.ragged import IntArray
from noisebeam.transforms.noise.rng import UIntArray, counting, draw_halves

BoolArray = npt.NDArray[np.bool_]


def choose_subsets(
    streams: UIntArray, sizes: IntArray, counts: IntArray, bases: IntArray
) -> IntArray:
    """Return `counts[i]` different random integers from `bases[i]` to `bases[i] + sizes[i]` - 1 for
    each sample i.

    They ascend in each sample, one sample after another: (sum of counts,). Counts are 0 to the
    size. `streams` (samples,) are the keys of the random numbers.

    >>> streams, sizes = np.arange(2, dtype=np.uint64), np.array([10, 4])
    >>> choose_subsets(streams, sizes, np.array([3, 4]), bases=np.array([0, 10])).tolist()[3:]
    [10, 11, 12, 13]
    """
    starts = sizes.cumsum()
    total = int(starts[-1]) if len(starts) else 0
    starts -= sizes
    chosen = mark_subsets(streams, starts, sizes, counts, total).nonzero()[0]
    chosen += (bases - starts).repeat(counts)
    return chosen


def mark_subsets(
    streams: UIntArray,
    starts: IntArray,
    sizes: IntArray,
    counts: IntArray,
    total: int,
    excluded: IntArray | None = None,
    allowed: IntArray | None = None,
) -> BoolArray:
    """Return a mask (total,) that is True at `counts[i]` random positions of each sample i.

    Sample i has the positions `starts[i]` to `starts[i] + sizes[i]` - 1. Positions in `excluded`
    stay False; `allowed` (samples,) is then the number of other positions of each sample. `streams`
    (samples,) are the keys of the random numbers.
    """
    available = sizes if allowed is None else allowed
    inverted = counts * 2 > available
    any_inverted = np.count_nonzero(inverted)
    if any_inverted:
        counts = np.where(inverted, available - counts, counts)
    taken = np.zeros(total, dtype=np.bool_)
    taken[draw_subsets(streams, starts, sizes, counts, total, excluded, allowed)] = True
    if any_inverted:
        taken ^= inverted.repeat(sizes)
        if excluded is not None:
            taken[excluded] = False
    return taken


def draw_subsets(
    streams: UIntArray,
    starts: IntArray,
    sizes: IntArray,
    counts: IntArray,
    total: int,
    excluded: IntArray | None = None,
    allowed: IntArray | None = None,
) -> IntArray:
    """Return `counts[i]` different random positions of each sample i, in no order: (sum of
    counts,).

    Sample i has the positions `starts[i]` to `starts[i] + sizes[i]` - 1, of `total` positions in
    all. Positions in `excluded` are not chosen; `allowed` (samples,) is then the number of other
    positions of each sample. `streams` (samples,) are the keys of the random numbers. Slow if more
    than half of the positions of a sample are wanted.
    """
    allowed = sizes if allowed is None else allowed
    parts = [
        _first_different(
            streams[rows], starts[rows], sizes[rows], counts[rows], width, total, excluded
        )
        for width, rows in _tables(sizes, allowed, counts)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def _tables(
    sizes: IntArray, allowed: IntArray, counts: IntArray
) -> Iterator[tuple[int, slice | IntArray]]:
    """Yield groups of samples that need a similar number of random draws: that number, and which
    samples.

    `sizes`, `allowed` and `counts` (samples,) are as in `mark_subsets`.
    """
    if not len(counts):
        return
    some = np.maximum(allowed, 1)
    shares, losses = counts / some, sizes / some
    numbers, loss = counts.tolist(), losses.max()
    most = max(numbers)
    if most <= 2 * min(numbers) + 8 and loss <= 2:
        yield _width(most, shares.max(), loss), slice(None)
        return
    classes = np.frexp((counts + 8) * losses)[1]
    for number in np.unique(classes):
        rows = (classes == number).nonzero()[0]
        yield _width(counts[rows].max(), shares[rows].max(), losses[rows].max()), rows


def _width(count: int, share: float, loss: float) -> int:
    """Return how many random draws should be enough to get `count` different usable positions.

    `share` is the share of the usable positions that is wanted, `loss` how many positions there are
    for each usable one. The result affects speed alone: samples with too few positions are drawn
    again.
    """
    repeated = count * share * (0.5 + 0.6 * share)
    return int((count + repeated + 5 * math.sqrt(repeated) + 2) * loss) if count else 1


def _first_different(
    streams: UIntArray,
    starts: IntArray,
    sizes: IntArray,
    counts: IntArray,
    width: int,
    total: int,
    excluded: IntArray | None,
) -> IntArray:
    """Return the first `counts[i]` different positions drawn at random for each sample i, one
    sample after another.

    `width` is the number of draws of the first try; it doubles until every sample has enough. Other
    arguments are as in `mark_subsets`.
    """
    seen = np.empty(total + 1, dtype=np.int32)  # a row of size 0 draws the position after it
    while True:
        positions = draw_halves(streams, width, sizes)  # (rows, draws), the first draw last
        positions += starts[:, None]
        flat = positions.reshape(-1)  # (rows * draws,)
        order = counting(len(flat), "int32")
        seen[flat] = order  # of equal positions the last write stays: that of the first draw
        if excluded is not None:
            seen[excluded] = -1
        usable = seen.take(flat) == order
        nth = usable.cumsum().reshape(positions.shape)  # (rows, draws): usable draws up to here
        ends = nth[:, -1]
        skipped = ends - counts
        if skipped[0] >= 0 and not np.count_nonzero(skipped[1:] < ends[:-1]):
            usable &= (nth > skipped[:, None]).reshape(-1)
            return flat.compress(usable)
        width *= 2
