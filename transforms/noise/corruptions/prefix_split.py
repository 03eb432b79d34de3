"""Prefixes: the first tokens of a sample are given, a model sees them in both directions and learns
to go on.

The rest is read from left to right, as by a causal model; labels are -100 on the prefix (Raffel et
al. 2019, figure 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from noisebeam.transforms.data.ragged import IntArray, Ragged
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import differences, ranges
from noisebeam.transforms.noise.checks import check_share
from noisebeam.transforms.noise.corruptions.masking import mlm_labels
from noisebeam.transforms.noise.ordinary_tokens import budgets
from noisebeam.transforms.noise.rng import Purpose, below, draw, stream_keys


@dataclass(frozen=True)
class PrefixSplit:
    """Settings of `split_prefixes`: how long prefixes are, as shares of the sample's tokens,
    special ones included.

    All lengths from the smallest to the largest are equally likely. A token is in the prefix at
    least, and one in the rest; a sample of one token is all rest.
    """

    name: ClassVar[str] = "prefix-split"

    smallest: float = 0.0
    largest: float = 1.0

    def __post_init__(self) -> None:
        check_share(self.name, "smallest", self.smallest)
        check_share(self.name, "largest", self.largest)
        if self.smallest > self.largest:
            raise ValueError(
                f"{self.name}: smallest is {self.smallest!r}; expected at most largest, which is {self.largest!r}"
            )

    def check(self, vocabulary: Vocabulary) -> None:
        """Any vocabulary will do."""


_DEFAULTS = PrefixSplit()


def split_prefixes(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: PrefixSplit | None = None,
    *,
    seed: int,
    epoch: int = 0,
) -> Ragged:
    """The labels: -100 on a prefix of each sample, and the ids after it."""
    return prefix_labels(batch, choose_prefixes(batch, options or _DEFAULTS, seed, epoch))


def prefix_labels(batch: FlatBatch, lengths: IntArray) -> Ragged:
    """-100 on the first `lengths[i]` tokens of sample i, and the ids after them; int32, or int64
    where the ids are.
    """
    return mlm_labels(
        batch, ranges(batch.offsets[:-1] + lengths, differences(batch.offsets) - lengths)
    )


def choose_prefixes(batch: FlatBatch, options: PrefixSplit, seed: int, epoch: int) -> IntArray:
    """(samples,): draw how many tokens the prefix of each sample has."""
    sizes = differences(batch.offsets)
    most = np.maximum(sizes - 1, 0)
    lows, highs = (
        budgets(sizes, share).clip(1).clip(max=most)
        for share in (options.smallest, options.largest)
    )
    draws = draw(
        stream_keys(seed, epoch, batch.keys, Purpose.PREFIX_LENGTH),
        np.ones(len(batch), dtype=np.int64),
    )
    lengths: IntArray = lows + below(draws, highs - lows + 1)
    return lengths
