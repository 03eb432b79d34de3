"""Uniformly random subsets of an exact size, for all samples of a batch at once.

Each element is taken if its 16-bit number is under a threshold, which gives nearly the right count; then a few elements
are taken or dropped at random to make it exact. Neither step tells one element from another, so every subset of the
size is equally likely.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from noisebeam.transforms.noise.draws import LANE_RANGE, LANES, UIntArray, below, counting, draw, draw_lanes, mix64
from noisebeam.transforms.samples import IntArray

BoolArray = npt.NDArray[np.bool_]

_CORRECTION = np.uint64(0x5851F42D4C957F2D)  # separates the stream of the second step from that of the first


def choose_subsets(streams: UIntArray, sizes: IntArray, counts: IntArray, bases: IntArray) -> IntArray:
    """`counts[i]` of the `sizes[i]` numbers that begin at `bases[i]`, ascending, for each sample i, end to end.

    Counts are 0 up to and including the size. Bases rise by at least the sizes.

    >>> streams, sizes = np.arange(2, dtype=np.uint64), np.array([10, 4])
    >>> choose_subsets(streams, sizes, np.array([3, 4]), bases=np.array([0, 10])).tolist()[3:]
    [10, 11, 12, 13]
    """
    inverted = counts * 2 > sizes
    any_inverted = bool(inverted.any())
    wanted = np.where(inverted, sizes - counts, counts) if any_inverted else counts
    taken, starts = _take_about(streams, sizes, wanted)
    _correct(streams, sizes, wanted, taken, starts)
    if any_inverted:
        taken ^= np.repeat(inverted, np.diff(starts))
        _clear_unused(taken, starts, sizes)
    chosen = taken.nonzero()[0]
    shifts = bases - starts[:-1]
    if shifts.any():
        chosen += np.repeat(shifts, counts)
    return chosen


def _take_about(streams: UIntArray, sizes: IntArray, counts: IntArray) -> tuple[BoolArray, IntArray]:
    lanes, starts = draw_lanes(streams, sizes)
    thresholds = (counts * LANE_RANGE // np.maximum(sizes, 1)).astype(np.uint16)
    blocks = np.diff(starts) // LANES
    taken = (lanes.reshape(-1, LANES) < np.repeat(thresholds, blocks)[:, None]).reshape(-1)
    _clear_unused(taken, starts, sizes)
    return taken, starts


def _clear_unused(taken: BoolArray, starts: IntArray, sizes: IntArray) -> None:
    ends = starts[:-1] + sizes
    for offset in range(LANES - 1):
        unused = ends + offset
        taken[unused[unused < starts[1:]]] = False


def _correct(streams: UIntArray, sizes: IntArray, counts: IntArray, taken: BoolArray, starts: IntArray) -> None:
    """Take or drop elements of each row until `counts` are taken: the first so many different ones that are drawn."""
    members = taken.nonzero()[0]
    member_starts = np.searchsorted(members, starts)
    missing = counts - np.diff(member_starts)
    rows = missing.nonzero()[0]
    if not len(rows):
        return
    missing = missing[rows]
    drop = missing < 0
    needed = np.abs(missing)
    limits = np.where(drop, np.diff(member_starts)[rows], sizes[rows])
    streams = mix64(streams[rows] ^ _CORRECTION)
    tries = needed * 2 + 6
    while True:
        offsets = below(draw(streams, tries), np.repeat(limits, tries))
        row_drops = np.repeat(drop, tries)
        positions = np.repeat(np.where(drop, member_starts[rows], starts[rows]), tries) + offsets
        positions[row_drops] = members[positions[row_drops]]
        usable = _first_seen(positions, len(taken))
        usable &= taken[positions] == row_drops
        nth = np.cumsum(usable)
        ends = np.cumsum(tries)
        before = np.concatenate(([0], nth[ends[:-1] - 1]))
        if (nth[ends - 1] - before >= needed).all():
            break
        tries = tries * 2
    usable &= nth <= np.repeat(before + needed, tries)
    positions = positions[usable]
    taken[positions] = ~taken[positions]


def _first_seen(positions: IntArray, size: int) -> BoolArray:
    order = counting(len(positions))
    seen = np.empty(size, dtype=np.int64)
    seen[positions[::-1]] = order[::-1]  # of several values for one place the last stays
    return seen[positions] == order
