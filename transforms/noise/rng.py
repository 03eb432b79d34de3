"""Counter-based random numbers: SplitMix64, keyed by (seed, epoch, sample key, purpose) and indexed
by position.

Draw i of stream k is `mix64(k + (i + 1) * GAMMA)`, the output function of SplitMix64 (Steele, Lea
and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014), whose state advances by
GAMMA at each draw. So any draw of any stream can be had alone, and a sample's draws are the same in
every batch, process, platform and numpy version.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from noisebeam.transforms.data.hashing import GAMMA, mix64
from noisebeam.transforms.data.ragged import Array, IntArray, offsets_of

UIntArray = npt.NDArray[np.uint64]

LANES = 4  # 16-bit numbers in a draw
LANE_RANGE = 1 << 16

_STEP = np.uint64(GAMMA)
_HALF = np.uint64(32)
_LITTLE = {size: np.dtype(f"<u{size}") for size in (2, 4, 8)}
_CACHED = 1 << 16


class Purpose(IntEnum):
    """What a stream of draws is for. Numbers never change meaning, or old noise could not be
    replayed.
    """

    MASKED_TOKENS = 1
    MASKING_KIND = 2
    RANDOM_IDS = 3
    MASKING_HAPPENS = 4
    DELETED_TOKENS = 5
    DELETION_HAPPENS = 6
    SPAN_LENGTHS = 7
    SPAN_PLACES = 8
    INFILLING_HAPPENS = 9
    SENTENCE_ORDER = 10
    PERMUTATION_HAPPENS = 11
    ROTATION_START = 12
    ROTATION_HAPPENS = 13
    INSERTED_PLACES = 14
    INSERTION_KIND = 15
    INSERTED_IDS = 16
    INSERTION_HAPPENS = 17
    DENOISER = 18
    NOISE_CUTS = 19
    KEPT_CUTS = 20
    BLANK_ORDER = 21
    PREFIX_LENGTH = 22


def stream_keys(seed: int, epoch: int, keys: UIntArray, *purposes: Purpose | int) -> UIntArray:
    """(purposes, samples), or (samples,) for one: the stream of each sample for each purpose.

    Seed, epoch, purpose and key are mixed in one by one; seed and epoch count modulo 2**64.
    """
    roots = _roots(seed, epoch, purposes)
    return mix64(keys ^ roots) if len(purposes) > 1 else mix64(keys ^ roots[0])


def draw(streams: UIntArray, counts: IntArray) -> UIntArray:
    """(sum of counts,): draws 0 up to `counts[i]` of each stream i, end to end.

    >>> [hex(x) for x in draw(np.zeros(1, dtype=np.uint64), np.array([2])).tolist()]
    ['0xe220a8397b1dcdaf', '0x6e789e6aa1b965f4']
    """
    starts = (counts.cumsum() - counts).astype(np.uint64)
    starts *= _STEP
    counters = (streams - starts).repeat(counts)
    counters += _multiples(len(counters))
    return mix64(counters)


def draw_lanes(streams: UIntArray, counts: IntArray) -> tuple[npt.NDArray[np.uint16], IntArray]:
    """16-bit numbers, four to a draw, the lowest bits first, and where those of each stream start.

    Row i has room for `counts[i]` rounded up to a multiple of four.
    """
    blocks = (counts + (LANES - 1)) // LANES
    lanes = draw(streams, blocks).astype(_LITTLE[8], copy=False).view(_LITTLE[2])
    return lanes, offsets_of(blocks * LANES)


def draw_halves(streams: UIntArray, count: int, limits: IntArray) -> IntArray:
    """(streams, `count` rounded up to even): numbers from 0 up to `limits[i]` (0 to 2**32), two
    from each draw.

    The last column holds the first number; the upper 32 bits of a draw come before the lower. The
    bias is at most the limit times 2**-32.
    """
    draws = mix64(streams[:, None] + _multiples((count + 1) // 2)[::-1])
    numbers = draws.astype(_LITTLE[8], copy=False).view(_LITTLE[4]).astype(np.uint64)
    numbers *= limits.view(np.uint64)[:, None]
    numbers >>= _HALF
    return numbers.view(np.int64)


def draw_at(streams: UIntArray, indices: IntArray) -> UIntArray:
    """Draw `indices[i]` of stream i."""
    counters = indices.astype(np.uint64)
    counters += np.uint64(1)
    counters *= _STEP
    counters += streams
    return mix64(counters)


def below(draws: UIntArray, limits: Array | int) -> IntArray:
    """Numbers from 0 up to `limits` (1 to 2**32), by multiplication of the upper 32 bits (bias:
    limit * 2**-32).
    """
    scaled = draws >> _HALF
    scaled *= np.asarray(limits, dtype=np.uint64)
    scaled >>= _HALF
    return scaled.view(np.int64)


def happens(draws: UIntArray, probability: float) -> npt.NDArray[np.bool_]:
    """True with this probability (0 to 1, to the nearest 2**-32)."""
    return np.asarray((draws >> _HALF) < np.uint64(round(probability * (1 << 32))))


def pick(draws: UIntArray, weights: Sequence[float]) -> IntArray:
    """Indices into `weights`, each as often as its weight says."""
    ends = np.cumsum(np.asarray(weights, dtype=np.float64))
    bounds = np.rint(ends[:-1] / ends[-1] * 2.0**32).astype(np.uint64)
    return np.searchsorted(bounds, draws >> _HALF, side="right").astype(np.int64)


def counting(count: int, dtype: str = "int64") -> npt.NDArray[Any]:
    """0 up to `count`, read-only."""
    return _counting(_CACHED, dtype)[:count] if count <= _CACHED else np.arange(count, dtype=dtype)


@lru_cache(maxsize=256)
def _roots(seed: int, epoch: int, purposes: tuple[int, ...]) -> UIntArray:
    states = np.zeros((len(purposes), 1), dtype=np.uint64)
    for numbers in ([seed], [epoch], purposes):
        words = [(number + GAMMA) % (1 << 64) for number in numbers]
        states = mix64(states ^ mix64(np.array(words, dtype=np.uint64)[:, None]))
    return states


def _multiples(count: int) -> UIntArray:
    if count <= _CACHED:
        return _cached_multiples(_CACHED)[:count]
    return np.arange(1, count + 1, dtype=np.uint64) * _STEP


@lru_cache(maxsize=1)
def _cached_multiples(count: int) -> UIntArray:
    multiples = np.arange(1, count + 1, dtype=np.uint64) * _STEP
    multiples.flags.writeable = False
    return multiples


@lru_cache(maxsize=2)
def _counting(count: int, dtype: str) -> npt.NDArray[Any]:
    numbers: npt.NDArray[Any] = np.arange(count, dtype=dtype)
    numbers.flags.writeable = False
    return numbers
