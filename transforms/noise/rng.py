"""Counter-based random numbers: SplitMix64, keyed by (seed, epoch, sample key, stream).

Draw i of the stream with key k is `mix64(k + (i + 1) * GAMMA)`, the output function of SplitMix64
(Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014), whose state
advances by GAMMA at each draw. Any draw of any stream can be computed alone, and the draws of a
sample are the same in every batch, process, platform and numpy version.

    seed, epoch, stream -> root --mix with sample keys--> stream keys (samples,)
    stream keys + counts (samples,) -> draws (sum of counts,), end to end
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from noisebeam.transforms.data.hashing import GAMMA, mix64
from noisebeam.transforms.data.keys import text_key
from noisebeam.transforms.data.ragged import Array, IntArray, offsets_of

UIntArray = npt.NDArray[np.uint64]

LANES = 4  # 16-bit numbers in a draw
LANE_RANGE = 1 << 16

_STEP = np.uint64(GAMMA)
_HALF = np.uint64(32)
_LITTLE = {size: np.dtype(f"<u{size}") for size in (2, 4, 8)}
_CACHED = 1 << 16


class Stream(IntEnum):
    """Name of a stream of random numbers: one for each random decision of a corruption.

    A value never changes its meaning: noise drawn by older versions must stay reproducible.
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


def stream_keys(seed: int, epoch: int, keys: UIntArray, *numbers: Stream | int) -> UIntArray:
    """Return the key of the random numbers of each sample: (samples,) uint64 for one stream, else
    (streams, samples).

    `keys` (samples,) are the keys of the samples; `numbers` are members of `Stream`, or results of
    `stream_of`. Seed and epoch count modulo 2**64.
    """
    roots = _roots(seed, epoch, numbers)
    return mix64(keys ^ roots) if len(numbers) > 1 else mix64(keys ^ roots[0])


def draw(streams: UIntArray, counts: IntArray) -> UIntArray:
    """Return the first `counts[i]` random numbers of each stream i, one stream after another: (sum
    of counts,) uint64.

    `streams` (streams,) are keys from `stream_keys`.

    >>> [hex(x) for x in draw(np.zeros(1, dtype=np.uint64), np.array([2])).tolist()]
    ['0xe220a8397b1dcdaf', '0x6e789e6aa1b965f4']
    """
    starts = (counts.cumsum() - counts).astype(np.uint64)
    starts *= _STEP
    counters = (streams - starts).repeat(counts)
    counters += _multiples(len(counters))
    return mix64(counters)


def draw_lanes(streams: UIntArray, counts: IntArray) -> tuple[npt.NDArray[np.uint16], IntArray]:
    """Return 16-bit random numbers of each stream, one stream after another, and their offsets
    (streams + 1,).

    Stream i has `counts[i]` numbers, rounded up to a multiple of four. One 64-bit random number
    makes four, the lowest bits first.
    """
    blocks = (counts + (LANES - 1)) // LANES
    # (draws,) uint64 -> (4 * draws,) uint16
    lanes = draw(streams, blocks).astype(_LITTLE[8], copy=False).view(_LITTLE[2])
    return lanes, offsets_of(blocks * LANES)


def draw_halves(streams: UIntArray, count: int, limits: IntArray) -> IntArray:
    """Return random numbers from 0 to `limits[i]` - 1 for each stream i: (streams, `count` rounded
    up to even) int64.

    Limits are up to 2**32. One 64-bit random number makes two, the upper 32 bits before the lower.
    The last column is the first number drawn. The bias is at most the limit times 2**-32.
    """
    # (streams, 1) + (draws,) -> (streams, draws) uint64, then viewed as (streams, 2 * draws) uint32
    draws = mix64(streams[:, None] + _multiples((count + 1) // 2)[::-1])
    numbers = draws.astype(_LITTLE[8], copy=False).view(_LITTLE[4]).astype(np.uint64)
    numbers *= limits.view(np.uint64)[:, None]
    numbers >>= _HALF
    return numbers.view(np.int64)


def draw_at(streams: UIntArray, indices: IntArray) -> UIntArray:
    """Return the random number with index `indices[i]` of each stream i: (streams,) uint64."""
    counters = indices.astype(np.uint64)
    counters += np.uint64(1)
    counters *= _STEP
    counters += streams
    return mix64(counters)


def below(draws: UIntArray, limits: Array | int) -> IntArray:
    """Return a number from 0 to `limits` - 1 for each 64-bit random number: int64; limits are 1 to
    2**32.

    The upper 32 bits of the random number are multiplied by the limit; the bias is at most limit *
    2**-32.
    """
    scaled = draws >> _HALF
    scaled *= np.asarray(limits, dtype=np.uint64)
    scaled >>= _HALF
    return scaled.view(np.int64)


def happens(draws: UIntArray, probability: float) -> npt.NDArray[np.bool_]:
    """Return a bool array that is True for each 64-bit random number with this probability, 0 to 1.

    The probability is rounded to a multiple of 2**-32.
    """
    return np.asarray((draws >> _HALF) < np.uint64(round(probability * (1 << 32))))


def pick(draws: UIntArray, weights: Sequence[float]) -> IntArray:
    """Return an index into `weights` for each 64-bit random number; probabilities are in proportion
    to the weights.
    """
    ends = np.cumsum(np.asarray(weights, dtype=np.float64))
    bounds = np.rint(ends[:-1] / ends[-1] * 2.0**32).astype(np.uint64)
    return np.searchsorted(bounds, draws >> _HALF, side="right").astype(np.int64)


def stream_of(name: str) -> int:
    """Return the number of a plugin's own stream of random numbers, for `stream_keys`.

    `name` should contain the package and the decision. The number differs from all members of
    `Stream`.

    >>> stream_of("my-package: starts of swaps") >= 2**63
    True
    """
    return text_key(name) | 1 << 63


def counting(count: int, dtype: str = "int64") -> npt.NDArray[Any]:
    """Return the numbers 0 to `count` - 1 as a read-only array; up to 65,536 numbers are cached."""
    return _counting(_CACHED, dtype)[:count] if count <= _CACHED else np.arange(count, dtype=dtype)


@lru_cache(maxsize=256)
def _roots(seed: int, epoch: int, numbers: tuple[int, ...]) -> UIntArray:
    """Return the mix of seed, epoch and each stream number: (numbers, 1) uint64."""
    states = np.zeros((len(numbers), 1), dtype=np.uint64)
    for values in ([seed], [epoch], numbers):
        rng_key = [(value + GAMMA) % (1 << 64) for value in values]
        states = mix64(states ^ mix64(np.array(rng_key, dtype=np.uint64)[:, None]))
    return states


def _multiples(count: int) -> UIntArray:
    """Return GAMMA times 1, 2, ... up to `count`: (count,) uint64."""
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
