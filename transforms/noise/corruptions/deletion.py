"""Token deletion: tokens go, and a model has to find out where they were missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from noisebeam.transforms.data.ragged import IntArray
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import only_some, without_sentences
from noisebeam.transforms.noise.checks import check_share
from noisebeam.transforms.noise.ordinary_tokens import budgets, choose_ordinary, ordinary_tokens
from noisebeam.transforms.noise.rng import Purpose, stream_keys


@dataclass(frozen=True)
class TokenDeletion:
    """Settings of `delete_tokens`."""

    name: ClassVar[str] = "token-deletion"

    share: float = 0.15  # of the ordinary tokens of each sample, rounded to the nearest
    probability: float = 1.0  # that a sample loses tokens at all

    def __post_init__(self) -> None:
        check_share(self.name, "share", self.share)
        check_share(self.name, "probability", self.probability)

    def check(self, vocabulary: Vocabulary) -> None:
        """Any vocabulary will do."""


_DEFAULTS = TokenDeletion()


def delete_tokens(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: TokenDeletion | None = None,
    *,
    seed: int,
    epoch: int = 0,
) -> FlatBatch:
    """The batch with tokens deleted and without sentences; what is left keeps its order."""
    return remove_tokens(
        batch, choose_deletion(batch, vocabulary, options or _DEFAULTS, seed, epoch)
    )


def remove_tokens(batch: FlatBatch, positions: IntArray) -> FlatBatch:
    """The batch without the tokens at these ascending positions in `ids`.

    >>> from noisebeam.transforms.data.samples import Sample, batch_samples
    >>> sample = Sample(1, "d", 0, {"ids": np.array([0, 7, 8, 2]), "sentence_lengths": np.array([2])})
    >>> batch = batch_samples([sample], prefix_length=1)
    >>> remove_tokens(batch, np.array([1])).ids.tolist()
    [0, 8, 2]
    """
    keep = np.ones(len(batch.ids), dtype=np.bool_)
    keep[positions] = False
    return without_sentences(
        batch, batch.ids[keep], batch.offsets - np.searchsorted(positions, batch.offsets)
    )


def choose_deletion(
    batch: FlatBatch, vocabulary: Vocabulary, options: TokenDeletion, seed: int, epoch: int
) -> IntArray:
    """Draw the positions of the tokens to delete."""
    ordinary = ordinary_tokens(batch, vocabulary)
    counts = budgets(ordinary.counts, options.share)
    counts = only_some(counts, batch, options.probability, seed, epoch, Purpose.DELETION_HAPPENS)
    streams = stream_keys(seed, epoch, batch.keys, Purpose.DELETED_TOKENS)
    return choose_ordinary(streams, batch, ordinary, counts)
