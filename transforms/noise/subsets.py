"""Uniformly random subsets of an exact size, for all samples of a batch at once.

Numbers are drawn from the range of each sample, and the first so many different ones are taken. Where more than half are
wanted, those to leave out are drawn instead. So every subset of the size is equally likely, and none depends on others.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from noisebeam.transforms.noise.draws import UIntArray, counting, draw_halves
from noisebeam.transforms.samples import IntArray

BoolArray = npt.NDArray[np.bool_]


def choose_subsets(streams: UIntArray, sizes: IntArray, counts: IntArray, bases: IntArray) -> IntArray:
    """`counts[i]` of the `sizes[i]` numbers from `bases[i]` on, ascending, for each sample i, end to end.

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
    """(total,): True at `counts[i]` of the `sizes[i]` places from `starts[i]` on, for each sample i.

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
    tries = _expected_tries(sizes, sizes if allowed is None else allowed, counts)
    parts = [
        _first_different(streams[rows], starts[rows], sizes[rows], counts[rows], width, total, excluded)
        for width, rows in _similar(tries)
    ]
    return np.concatenate(parts) if len(parts) != 1 else parts[0]


def _expected_tries(sizes: IntArray, available: IntArray, counts: IntArray) -> npt.NDArray[np.float64]:
    """About how many draws give `counts` different ones, with a good margin. It decides the speed alone."""
    some = np.maximum(available, 1)
    repeated = counts * counts * 0.8 / some
    tries = counts + repeated + 5 * np.sqrt(repeated) + 4
    return tries if available is sizes else tries * (sizes / some)


def _similar(tries: npt.NDArray[np.float64]) -> Iterator[tuple[int, slice | IntArray]]:
    """Rows that have about as many tries, to be worked on as one table, and its width."""
    numbers = tries.tolist()
    if numbers and max(numbers) <= 2 * min(numbers):
        yield int(max(numbers)), slice(None)
        return
    classes = np.frexp(tries)[1]
    for number in np.unique(classes):
        rows = (classes == number).nonzero()[0]
        yield int(tries[rows].max()), rows


def _first_different(
    streams: UIntArray,
    starts: IntArray,
    sizes: IntArray,
    counts: IntArray,
    width: int,
    total: int,
    excluded: IntArray | None,
) -> IntArray:
    """The first `counts[i]` different places that are drawn for row i. About `width` draws are tried at first."""
    seen = np.empty(total + 1, dtype=np.int32)  # a row of size 0 draws the place after it
    while True:
        places = draw_halves(streams, width, sizes)  # (rows, draws), the first draw last
        places += starts[:, None]
        flat = places.reshape(-1)
        order = counting(len(flat), np.int32)
        seen[flat] = order  # of several values for one place the last stays: the first draw of it
        if excluded is not None:
            seen[excluded] = -1
        usable = seen.take(flat) == order
        nth = usable.cumsum().reshape(places.shape)
        ends = nth[:, -1]
        skipped = ends - counts
        if skipped[0] >= 0 and not np.count_nonzero(skipped[1:] < ends[:-1]):
            usable &= (nth > skipped[:, None]).reshape(-1)
            return flat[usable]
        width *= 2
