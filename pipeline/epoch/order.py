"""The order of an epoch, as arithmetic: no files, no state, the same at every number of ranks.

    position p -> stream p mod 64, turn p // 64 -> index in the sequence -> shard, block, row

An epoch visits the samples of a data set as a sequence: shards in random order, blocks in random
order within each shard, samples in random order within each block. The sequence is cut into 64
*streams* of equal length. The sample at position p of the epoch is the next one of stream p mod 64,
so that a batch mixes samples from 64 parts of the data set, while each stream reads block after
block.

Rank r of w has the positions r, r + w, r + 2w, ... If w divides 64, it reads a w-th of the streams;
other numbers of ranks work too, and each rank then reads all streams. A position is all that a
training run has to remember.

Not all orders are equally likely: samples of one block are near each other in their stream. But
samples were assigned to shards and blocks by a hash, so neighbours in a block are random samples.
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
_SHARDS, _BLOCKS, _SAMPLES = 16, 17, 18  # first number of the key of each permutation


class Location(NamedTuple):
    """Location of samples: shard, block and row, three int64 arrays of one shape.

    `shard` is the number of the shard in the manifest. `block` (consecutive samples stored together
    in a shard) and `row` (sample in the block) count in the shuffled order of the epoch.
    `EpochOrder.block_order` and `row_order` map them to block and row as stored.
    """

    shard: IntArray
    block: IntArray
    row: IntArray


class EpochOrder:
    """The order of samples in one epoch, computed from (seed, epoch) for any position.

    `shard_samples` is the number of samples of each shard. `block_samples` is the number of samples
    of a block; the last block of a shard may have fewer. Without `shuffle`, samples are in the
    order of storage. `streams` is the number of parts of the data set from which the epoch takes
    samples in turn. The cost of locating a position does not depend on how far into the epoch it
    is.
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
        self._rng_key = (seed, epoch)
        self._sizes = np.asarray(shard_samples, dtype=np.int64)
        self._stored = self._sizes
        # (shards,): index behind the short last block of a shard; -1 until it is computed
        self._short_ends = np.full(len(self._sizes), -1, dtype=np.int64)

    def __len__(self) -> int:
        """Return the number of samples of this epoch."""
        return int(self._sizes.sum())

    @property
    def blocks(self) -> int:
        """Number of blocks of all shards together."""
        return int(np.sum(-(-self._stored // self.block_samples)))

    def sequence(self, positions: npt.ArrayLike) -> IntArray:
        """Return the index in the shuffled sequence of the data set, for each position of the
        epoch.

        The sequence (shards, blocks and rows shuffled, one after another) is cut into `streams`
        equal parts, and the epoch takes one sample of each part in turn. The result is int64, of
        the shape of `positions`.

        >>> EpochOrder([10], 4, seed=0, epoch=0, streams=4).sequence(np.arange(10)).tolist()
        [0, 3, 6, 8, 1, 4, 7, 9, 2, 5]
        """
        turn, stream = np.divmod(np.asarray(positions, dtype=np.int64), self.streams)
        return self._stream_starts[stream] + turn

    def locate(self, positions: npt.ArrayLike) -> Location:
        """Return the shard, block and row of the sample at each position of the epoch.

        Positions are 0 to len(self) - 1, in any order and shape.
        """
        at = self.sequence(positions)
        slot = self._slots(at)
        shard = self._shards[slot]
        block, row = self._within(shard, at - self._starts[slot])
        return Location(shard, block, row)

    def shards(self, positions: npt.ArrayLike) -> IntArray:
        """Return the shard of the sample at each position of the epoch, from the sizes of shards
        alone: int64.
        """
        return self._shards[self._slots(self.sequence(positions))]

    def block_order(self, shard: int) -> IntArray:
        """Return the numbers of the blocks of a shard, in the order in which the epoch reads them:
        (blocks,) int64.
        """
        return self._permutation(
            _BLOCKS, shard, size=-(-int(self._stored[shard]) // self.block_samples)
        )

    def row_order(self, shard: int, block: int) -> IntArray:
        """Return the rows of a block in the order of the epoch, each as its index in the stored
        block: (rows,) int64.

        `block` is the number of the block as stored.
        """
        rows = self._rows(shard, block)
        return rows[self._permutation(_SAMPLES, shard, block, size=len(rows))]

    def samples(self, positions: npt.ArrayLike) -> IntArray:
        """Return the number of the sample at each position of the epoch, counted through all shards
        as stored: int64.
        """
        shards, numbers = self.stored(positions)
        return offsets_of(self._stored)[shards] + numbers

    def stored(self, positions: npt.ArrayLike) -> tuple[IntArray, IntArray]:
        """Return two int64 arrays: the shard of the sample at each position of the epoch, and the
        index of the sample in that shard as stored.
        """
        shards, slots, rows = self.locate(positions)
        numbers = np.empty_like(rows)
        for shard, slot in sorted(set(zip(shards.tolist(), slots.tolist(), strict=True))):
            here = np.flatnonzero((shards == shard) & (slots == slot))
            block = int(self.block_order(shard)[slot])
            numbers[here] = block * self.block_samples + self.row_order(shard, block)[rows[here]]
        return shards, numbers

    def _slots(self, at: IntArray) -> IntArray:
        """Return the index in the shuffled list of shards, for each index in the sequence of the
        epoch.
        """
        return np.searchsorted(self._starts, at, side="right") - 1

    @cached_property
    def _shards(self) -> IntArray:
        """Numbers of the shards in the order in which the epoch reads them: (shards,) int64."""
        return self._permutation(_SHARDS, size=len(self._sizes))

    @cached_property
    def _missing(self) -> IntArray:
        """Number of samples by which the last block of each shard is shorter than the other blocks:
        (shards,) int64.
        """
        return -self._sizes % self.block_samples

    @cached_property
    def _stream_starts(self) -> IntArray:
        """Index in the sequence of the epoch at which each stream begins: (streams,) int64."""
        length, longer = divmod(len(self), self.streams)
        streams = np.arange(self.streams)
        return streams * length + np.minimum(streams, longer)

    @cached_property
    def _starts(self) -> IntArray:
        """Index in the sequence of the epoch at which each shard begins, in the order of reading,
        and the total: (shards + 1,) int64.
        """
        return offsets_of(self._sizes[self._shards])

    def _rows(self, shard: int, block: int) -> IntArray:
        """Return the rows of a block that belong to the epoch, as indexes in the stored block,
        ascending: (rows,) int64.

        `block` is the number of the block as stored. A subclass may leave out rows.
        """
        return np.arange(
            min(self.block_samples, int(self._stored[shard]) - block * self.block_samples)
        )

    def _within(self, shard: IntArray, at: IntArray) -> tuple[IntArray, IntArray]:
        """Return the block and the row of the sample with index `at` in each `shard`, both in the
        order of the epoch.

        The last block of a shard, which may be short, can be anywhere in that order. All arrays
        have one shape.
        """
        for one in np.flatnonzero(np.bincount(shard.ravel())).tolist():
            if self._short_ends[one] < 0:
                order = self.block_order(one)
                before = int(np.flatnonzero(order == len(order) - 1)[0])
                self._short_ends[one] = (before + 1) * self.block_samples - self._missing[one]
        after_short = at >= self._short_ends[shard]
        return np.divmod(at + after_short * self._missing[shard], self.block_samples)

    def _permutation(self, *rng_key: int, size: int) -> IntArray:
        """Return a permutation of 0 to size - 1 drawn from `rng_key`; the numbers in order if the
        epoch is not shuffled.
        """
        return permutation((*self._rng_key, *rng_key), size) if self.shuffle else np.arange(size)
