"""Filtering by length: the order of an epoch without samples that are too short or too long."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noisebeam.pipeline.epoch.order import EpochOrder
from noisebeam.transforms.data.ragged import Array, IntArray, offsets_of

_READS = 8  # indexes at a time

Lengths = Callable[[int], Array]  # (samples,): the tokens of each sample of a shard


@dataclass(frozen=True)
class LengthFilter:
    """Filter that keeps samples of `least` to `most` tokens, both included; None is no limit.

    Raises ValueError if no sample could be within the limits.
    """

    least: int | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        for name, value, lowest in (("min_tokens", self.least, 0), ("max_tokens", self.most, 1)):
            if value is not None and operator.index(value) < lowest:
                raise ValueError(f"expected {name} of at least {lowest}, got {value}")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError(
                f"expected min_tokens up to max_tokens, got {self.least} and {self.most}; "
                "no sample would be left"
            )

    def __bool__(self) -> bool:
        return self.least is not None or self.most is not None

    def keeps(self, lengths: Array) -> npt.NDArray[np.bool_]:
        """Return a mask (samples,) bool that is True for samples whose length, in tokens, is within
        the limits.

        >>> LengthFilter(least=3).keeps(np.array([2, 3, 4])).tolist()
        [False, True, True]
        """
        kept = np.ones(len(lengths), dtype=np.bool_)
        if self.least is not None:
            kept &= lengths >= self.least
        if self.most is not None:
            kept &= lengths <= self.most
        return kept

    def count(self, lengths: Lengths, shards: int) -> list[int]:
        """Return the number of samples that the filter keeps in each shard, by reading the index of
        every shard once.

        `lengths` returns the token counts of the samples of a shard, given its number; `shards` is
        the number of shards.
        """
        with ThreadPoolExecutor(_READS) as pool:
            return list(
                pool.map(lambda shard: int(self.keeps(lengths(shard)).sum()), range(shards))
            )


class FilteredOrder(EpochOrder):
    """Order of an epoch that has only the samples kept by a length filter.

    `lengths` returns the token counts of the samples of a shard, given its number. `kept` is the
    number of kept samples of each shard, as `LengthFilter.count` returns it. Other arguments are
    those of `EpochOrder`.
    """

    def __init__(
        self,
        shard_samples: Sequence[int],
        block_samples: int,
        *,
        length_filter: LengthFilter,
        lengths: Lengths,
        kept: Sequence[int],
        seed: int,
        epoch: int,
        shuffle: bool = True,
    ) -> None:
        super().__init__(shard_samples, block_samples, seed=seed, epoch=epoch, shuffle=shuffle)
        self._filter = length_filter
        self._lengths = lengths
        self._sizes = np.asarray(kept, dtype=np.int64)

    def _rows(self, shard: int, block: int) -> IntArray:
        start = block * self.block_samples
        return np.flatnonzero(
            self._filter.keeps(self._lengths(shard)[start : start + self.block_samples])
        )

    def _within(self, shard: IntArray, at: IntArray) -> tuple[IntArray, IntArray]:
        block, row = np.empty_like(at), np.empty_like(at)
        for one in np.unique(shard).tolist():
            here = np.flatnonzero(shard == one)
            keeps = self._filter.keeps(self._lengths(one))
            sizes = np.add.reduceat(
                keeps, np.arange(0, len(keeps), self.block_samples), dtype=np.int64
            )
            starts = offsets_of(sizes[self.block_order(one)])
            block[here] = np.searchsorted(starts, at[here], side="right") - 1
            row[here] = at[here] - starts[block[here]]
        return block, row
