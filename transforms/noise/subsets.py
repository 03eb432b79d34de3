"""Uniformly random subsets of an exact size, for all samples of a batch at once.

Numbers are drawn from the range of each sample, and the first so many different ones are taken.
Where more than half are wanted, those to leave out are drawn instead. So every subset of the size
is equally likely.
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
    """`counts[i]` of the `sizes[i]` numbers from `bases[i]` on, ascending, for each sample i, end
    to end.

    Counts are 0 up to and including the size.

    >>> streams, sizes = np.arange(2, dtype=np.uint64), np.array([10, 4])
    >>> choose_subsets(streams, sizes, np.array([3, 4]), bases=np.array([0, 10])).tolist()[3:]
    [10, 11, 12, 13]
    """
    starts = sizes.cumsum()
    total = int(starts[-1]) if len(starts) else 0
    starts -= sizes
    chosen = take_places(streams, starts, sizes, counts, total).nonzero()[0]
    chosen += (bases - starts).repeat(counts)
    return chosen


def take_places(
    streams: UIntArray,
    starts: IntArray,
    sizes: IntArray,
    counts: IntArray,
    total: int,
    excluded: IntArray | None = None,
    allowed: IntArray | None = None,
) -> BoolArray:
    """(total,): True at `counts[i]` of the `sizes[i]` places from `starts[i]` on, for each sample
    i.

    `excluded` are places not to take, and `allowed` (samples,) is the number of the others.
    """
    available = sizes if allowed is None else allowed
    inverted = counts * 2 > available
    any_inverted = np.count_nonzero(inverted)
    if any_inverted:
        counts = np.where(inverted, available - counts, counts)
    taken = np.zeros(total, dtype=np.bool_)
    taken[draw_places(streams, starts, sizes, counts, total, excluded, allowed)] = True
    if any_inverted:
        taken ^= inverted.repeat(sizes)
        if excluded is not None:
            taken[excluded] = False
    return taken


def draw_places(
    streams: UIntArray,
    starts: IntArray,
    sizes: IntArray,
    counts: IntArray,
    total: int,
    excluded: IntArray | None = None,
    allowed: IntArray | None = None,
) -> IntArray:
    """The same places in any order, but slow where more than half are wanted."""
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
    """Rows that need about as many draws, to be worked on as one table, and its width."""
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
    """About how many draws give `count` different ones, with a good margin. It decides the speed
    alone.
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
    """The first `counts[i]` different places that are drawn for row i. About `width` draws are
    tried at first.
    """
    seen = np.empty(total + 1, dtype=np.int32)  # a row of size 0 draws the place after it
    while True:
        places = draw_halves(streams, width, sizes)  # (rows, draws), the first draw last
        places += starts[:, None]
        flat = places.reshape(-1)
        order = counting(len(flat), "int32")
        seen[flat] = order  # of several values for one place the last stays: the first draw of it
        if excluded is not None:
            seen[excluded] = -1
        usable = seen.take(flat) == order
        nth = usable.cumsum().reshape(places.shape)
        ends = nth[:, -1]
        skipped = ends - counts
        if skipped[0] >= 0 and not np.count_nonzero(skipped[1:] < ends[:-1]):
            usable &= (nth > skipped[:, None]).reshape(-1)
            return flat.compress(usable)
        width *= 2
