"""Token deletion: tokens are removed, and a model has to find out where they were missing.

Lewis et al. 2020 (BART), section 2.2, "Token Deletion".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from noisebeam.transforms.data.ragged import IntArray
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import only_some, without_sentences
from noisebeam.transforms.noise.checks import check_share
from noisebeam.transforms.noise.corruption import Change, Trace, numbered
from noisebeam.transforms.noise.ordinary_tokens import budgets, choose_ordinary, ordinary_tokens
from noisebeam.transforms.noise.rng import Stream, stream_keys


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
        """Accept any vocabulary."""

    def apply(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> FlatBatch:
        """Return the batch with tokens deleted, as `delete_tokens`."""
        return delete_tokens(batch, vocabulary, self, seed=seed, epoch=epoch)

    def trace(self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int) -> Trace:
        """Return which tokens of a batch of one sample are deleted."""
        deleted = choose_deletion(batch, vocabulary, self, seed, epoch)
        return Trace(remove_tokens(numbered(batch), deleted).ids, gone=Change.DELETED)


_DEFAULTS = TokenDeletion()


def delete_tokens(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: TokenDeletion | None = None,
    *,
    seed: int,
    epoch: int = 0,
) -> FlatBatch:
    """Return the batch with random ordinary tokens deleted; the others keep their order.

    The result has no sentences.
    """
    return remove_tokens(
        batch, choose_deletion(batch, vocabulary, options or _DEFAULTS, seed, epoch)
    )


def remove_tokens(batch: FlatBatch, positions: IntArray) -> FlatBatch:
    """Return the batch without the tokens at these ascending positions in `ids`.

    >>> from noisebeam.transforms.data.samples import Sample, batch_samples
    >>> fields = {"ids": np.array([0, 7, 8, 2]), "sentence_lengths": np.array([2])}
    >>> batch = batch_samples([Sample(1, "d", 0, fields)], prefix_length=1)
    >>> remove_tokens(batch, np.array([1])).ids.tolist()
    [0, 8, 2]
    """
    keep = np.ones(len(batch.ids), dtype=np.bool_)
    keep[positions] = False
    # (samples + 1,): each offset moves down by the number of removed positions before it
    return without_sentences(
        batch, batch.ids[keep], batch.offsets - np.searchsorted(positions, batch.offsets)
    )


def choose_deletion(
    batch: FlatBatch, vocabulary: Vocabulary, options: TokenDeletion, seed: int, epoch: int
) -> IntArray:
    """Draw the positions in `ids` of the tokens to delete, ascending."""
    ordinary = ordinary_tokens(batch, vocabulary)
    counts = budgets(ordinary.counts, options.share)
    counts = only_some(counts, batch, options.probability, seed, epoch, Stream.DELETION_HAPPENS)
    streams = stream_keys(seed, epoch, batch.keys, Stream.DELETED_TOKENS)
    return choose_ordinary(streams, batch, ordinary, counts)
