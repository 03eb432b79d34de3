"""Prefix split: a model sees the first tokens of a sample in both directions, and predicts the
rest.

The rest is read from left to right, as by a causal model; labels are -100 on the prefix. Raffel et
al. 2020 (T5), figure 4, "Prefix LM".
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
from noisebeam.transforms.noise.corruption import Trace, numbered
from noisebeam.transforms.noise.labels import labels_at
from noisebeam.transforms.noise.ordinary_tokens import budgets
from noisebeam.transforms.noise.rng import Stream, below, draw, stream_keys


@dataclass(frozen=True)
class PrefixSplit:
    """Corruption that divides each sample into a prefix and a rest to predict; the settings of
    `split_prefixes`.

    `smallest` and `largest` bound the length of the prefix, as shares (0 to 1) of the sample's
    tokens, special ones included. All lengths between them are equally likely. Prefix and rest have
    at least one token each; a sample of one token has no prefix.
    """

    name: ClassVar[str] = "prefix-split"
    objective: ClassVar[str] = "prefix"

    smallest: float = 0.0
    largest: float = 1.0

    def __post_init__(self) -> None:
        check_share(self.name, "smallest", self.smallest)
        check_share(self.name, "largest", self.largest)
        if self.smallest > self.largest:
            raise ValueError(
                f"{self.name}: smallest is {self.smallest!r}; "
                f"expected at most largest, which is {self.largest!r}"
            )

    def check(self, vocabulary: Vocabulary) -> None:
        """Accept any vocabulary; no special token is needed."""

    def apply(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> FlatBatch:
        """Return the flat batch unchanged, since only the labels show the division."""
        return batch

    def model_inputs(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> dict[str, Ragged]:
        """Return the ids of the batch as `input_ids`, and `labels` that are -100 on the prefix; a
        row for each sample.
        """
        labels = split_prefixes(batch, vocabulary, self, seed=seed, epoch=epoch)
        return {"input_ids": Ragged(batch.ids, batch.offsets), "labels": labels}

    def trace(self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int) -> Trace:
        """Return that every token of a flat batch of one sample is unchanged."""
        return Trace(numbered(batch).ids)


_DEFAULTS = PrefixSplit()


def split_prefixes(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: PrefixSplit | None = None,
    *,
    seed: int,
    epoch: int = 0,
) -> Ragged:
    """Return the labels of a flat batch, a row for each sample: -100 on a random prefix, and the
    ids after it.

    `options` of None are the defaults; `seed` and `epoch` select the random numbers.
    """
    return prefix_labels(batch, choose_prefixes(batch, options or _DEFAULTS, seed, epoch))


def prefix_labels(batch: FlatBatch, lengths: IntArray) -> Ragged:
    """Return the labels of a flat batch, a row for each sample: -100 on the first `lengths[i]`
    tokens of sample i, else the ids.
    """
    return labels_at(
        batch, ranges(batch.offsets[:-1] + lengths, differences(batch.offsets) - lengths)
    )


def choose_prefixes(batch: FlatBatch, options: PrefixSplit, seed: int, epoch: int) -> IntArray:
    """Draw the length of the prefix of each sample in tokens: (samples,)."""
    sizes = differences(batch.offsets)
    most = np.maximum(sizes - 1, 0)
    lows, highs = (
        budgets(sizes, share).clip(1).clip(max=most)
        for share in (options.smallest, options.largest)
    )
    draws = draw(
        stream_keys(seed, epoch, batch.keys, Stream.PREFIX_LENGTH),
        np.ones(len(batch), dtype=np.int64),
    )
    lengths: IntArray = lows + below(draws, highs - lows + 1)
    return lengths
