"""64-bit hashes of numbers with SplitMix64: the source of every order that Noisebeam uses.

SplitMix64 is Guy Steele, Doug Lea and Christine Flood, "Fast splittable pseudorandom number
generators" (OOPSLA 2014), with the constants of Sebastiano Vigna's public-domain `splitmix64.c`.
Hashes are the same on every platform and with every numpy version.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

UInts = npt.NDArray[np.uint64]

GAMMA = 0x9E3779B97F4A7C15
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def mix64(values: UInts) -> UInts:
    """Return the SplitMix64 finaliser of each value, a bijection of 64-bit numbers: uint64, of the
    same shape.

    >>> state = np.arange(1, 4, dtype=np.uint64) * np.uint64(GAMMA)  # seed 0: its first three draws
    >>> [f"{draw:x}" for draw in mix64(state)]
    ['e220a8397b1dcdaf', '6e789e6aa1b965f4', '6c45d188009454f']
    """
    mixed = values >> _SHIFTS[0]
    mixed ^= values
    mixed *= _FACTORS[0]
    shifted = mixed >> _SHIFTS[1]
    mixed ^= shifted
    mixed *= _FACTORS[1]
    np.right_shift(mixed, _SHIFTS[2], out=shifted)
    mixed ^= shifted
    return mixed


def hash64(rng_key: tuple[int, ...], values: npt.ArrayLike) -> UInts:
    """Return a hash of each value under a key of several numbers: uint64, of the same shape.

    For one key it is a bijection: different values never have the same hash.

    >>> [f"{value:x}" for value in hash64((), [0, 1])]
    ['e220a8397b1dcdaf', '910a2dec89025cc1']
    """
    return mix64((_state(rng_key) ^ np.asarray(values, dtype=np.uint64)) + np.uint64(GAMMA))


@lru_cache(maxsize=1024)
def _state(rng_key: tuple[int, ...]) -> UInts:
    """Return the mix of the numbers of a key, to which values are added: (1,) uint64."""
    if not rng_key:
        return np.zeros(1, dtype=np.uint64)
    # all but the last are often known
    return mix64((_state(rng_key[:-1]) ^ np.uint64(rng_key[-1])) + np.uint64(GAMMA))


def permutation(rng_key: tuple[int, ...], size: int) -> npt.NDArray[np.int64]:
    """Return a random permutation of 0 to `size` - 1 under a key: the numbers sorted by their
    hashes; (size,) int64.

    >>> permutation((17, 0), 6).tolist()
    [0, 5, 2, 3, 4, 1]
    """
    # of distinct values: any kind of sort
    return np.argsort(hash64(rng_key, np.arange(size, dtype=np.uint64)))
