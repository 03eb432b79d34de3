"""The order of an epoch, as arithmetic: no files, no state, the same at every number of ranks.

An epoch visits the samples of a data set as a sequence: shards in a random order, blocks in a
random order within each shard, samples in a random order within each block. The sequence is cut
into 64 *streams* of equal length. The sample at position p of the epoch is the next one of stream p
mod 64, so that a batch mixes samples from 64 places, while each stream reads block after block.

Rank r of w takes the positions r, r + w, r + 2w, ...: with w dividing 64 it reads a w-th of the
streams, and other numbers of ranks work all the same, each reading in all streams. A position is
all that there is to remember.

This is no uniform draw among all orders: neighbours in a block stay near each other in their
stream. Samples were spread over shards and blocks by a hash when they were written, so what is near
in a block is near by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from noisebeam.transforms.data.hashing import permutation
from noisebeam.transforms.data.ragged import IntArray, offsets_of

STREAMS = 64
_SHARDS, _BLOCKS, _SAMPLES = 16, 17, 18  # which permutation of (seed, epoch, ...) is meant


class Places(NamedTuple):
    """Where samples lie. `block` and `row` number the blocks of a shard and the samples of a block
    as they are visited; `block_order` and `row_order` tell which ones these are.
    """

    shard: IntArray
    block: IntArray
    row: IntArray


class EpochOrder:
    """The order in which epoch `epoch` visits the samples of shards with these sizes.

    `block_samples`: samples of every block but the last of a shard. Without `shuffle` samples come
    as they lie in the shards, in one stream. Only what is asked for is computed: a place far into
    an epoch costs as much as the first.
    """

    def __init__(
        self,
        shard_samples: Sequence[int],
        block_samples: int,
        *,
        seed: int,
        epoch: int,
        shuffle: bool = True,
        streams: int = STREAMS,
    ) -> None:
        self.block_samples = block_samples
        self.shuffle = shuffle
        self.streams = streams if shuffle else 1
        self._words = (seed, epoch)
        self._sizes = np.asarray(shard_samples, dtype=np.int64)
        self._stored = self._sizes
        self._short_ends = np.full(
            len(self._sizes), -1, dtype=np.int64
        )  # where the short block ends, once it is known

    def __len__(self) -> int:
        """The number of samples in the epoch."""
        return int(self._sizes.sum())

    @property
    def blocks(self) -> int:
        """The number of blocks of all shards."""
        return int(np.sum(-(-self._stored // self.block_samples)))

    def sequence(self, positions: npt.ArrayLike) -> IntArray:
        """Where in the sequence of the epoch the samples at these positions are.

        >>> EpochOrder([10], 4, seed=0, epoch=0, streams=4).sequence(np.arange(10)).tolist()
        [0, 3, 6, 8, 1, 4, 7, 9, 2, 5]
        """
        turn, stream = np.divmod(np.asarray(positions, dtype=np.int64), self.streams)
        return self._stream_starts[stream] + turn

    def places(self, positions: npt.ArrayLike) -> Places:
        """Where the samples at these positions (0 to len - 1, any order) lie."""
        at = self.sequence(positions)
        slot = self._slots(at)
        shard = self._shards[slot]
        block, row = self._within(shard, at - self._starts[slot])
        return Places(shard, block, row)

    def shards(self, positions: npt.ArrayLike) -> IntArray:
        """The shards of the samples at these positions, from the sizes of shards alone."""
        return self._shards[self._slots(self.sequence(positions))]

    def block_order(self, shard: int) -> IntArray:
        """The blocks of a shard in the order in which they are visited."""
        return self._permutation(
            _BLOCKS, shard, size=-(-int(self._stored[shard]) // self.block_samples)
        )

    def row_order(self, shard: int, block: int) -> IntArray:
        """The samples of a block, numbered as they lie in it, in the order in which they are
        visited.
        """
        rows = self._rows(shard, block)
        return rows[self._permutation(_SAMPLES, shard, block, size=len(rows))]

    def samples(self, positions: npt.ArrayLike) -> IntArray:
        """The samples at these positions, numbered through all shards as they lie in them."""
        shards, numbers = self.stored(positions)
        return offsets_of(self._stored)[shards] + numbers

    def stored(self, positions: npt.ArrayLike) -> tuple[IntArray, IntArray]:
        """The shards of the samples at these positions, and the samples numbered as they lie in
        their shard.
        """
        shards, slots, rows = self.places(positions)
        numbers = np.empty_like(rows)
        for shard, slot in sorted(set(zip(shards.tolist(), slots.tolist(), strict=True))):
            here = np.flatnonzero((shards == shard) & (slots == slot))
            block = int(self.block_order(shard)[slot])
            numbers[here] = block * self.block_samples + self.row_order(shard, block)[rows[here]]
        return shards, numbers

    def _slots(self, at: IntArray) -> IntArray:
        return np.searchsorted(self._starts, at, side="right") - 1

    @cached_property
    def _shards(self) -> IntArray:
        return self._permutation(_SHARDS, size=len(self._sizes))

    @cached_property
    def _missing(self) -> IntArray:
        """(shards,): how many samples the short block has less than others."""
        return -self._sizes % self.block_samples

    @cached_property
    def _stream_starts(self) -> IntArray:
        length, longer = divmod(len(self), self.streams)
        streams = np.arange(self.streams)
        return streams * length + np.minimum(streams, longer)

    @cached_property
    def _starts(self) -> IntArray:
        return offsets_of(self._sizes[self._shards])

    def _rows(self, shard: int, block: int) -> IntArray:
        """The samples of a block that are visited, as they lie in it."""
        return np.arange(
            min(self.block_samples, int(self._stored[shard]) - block * self.block_samples)
        )

    def _within(self, shard: IntArray, at: IntArray) -> tuple[IntArray, IntArray]:
        """Block and row of place `at` of a shard, whose last block may be short and is visited at
        any time.
        """
        for one in np.flatnonzero(np.bincount(shard.ravel())).tolist():
            if self._short_ends[one] < 0:
                order = self.block_order(one)
                before = int(np.flatnonzero(order == len(order) - 1)[0])
                self._short_ends[one] = (before + 1) * self.block_samples - self._missing[one]
        after_short = at >= self._short_ends[shard]
        return np.divmod(at + after_short * self._missing[shard], self.block_samples)

    def _permutation(self, *words: int, size: int) -> IntArray:
        return permutation((*self._words, *words), size) if self.shuffle else np.arange(size)
