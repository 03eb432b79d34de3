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
    """Corruption that removes random tokens; the settings of `delete_tokens`.

    `share` is the share of the ordinary (not special) tokens of each sample to remove, rounded to
    the nearest. `probability` is that of a sample to lose tokens at all.
    """

    name: ClassVar[str] = "token-deletion"

    share: float = 0.15  # of the ordinary tokens of each sample, rounded to the nearest
    probability: float = 1.0  # that a sample loses tokens at all

    def __post_init__(self) -> None:
        check_share(self.name, "share", self.share)
        check_share(self.name, "probability", self.probability)

    def check(self, vocabulary: Vocabulary) -> None:
        """Accept any vocabulary; no special token is needed."""

    def apply(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> FlatBatch:
        """Return the flat batch without random tokens; see `delete_tokens`."""
        return delete_tokens(batch, vocabulary, self, seed=seed, epoch=epoch)

    def trace(self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int) -> Trace:
        """Return which tokens of a flat batch of one sample are removed."""
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
    """Return the flat batch without random ordinary (not special) tokens; the others keep their
    order.

    The result has no sentences. `options` of None are the defaults; `seed` and `epoch` select the
    random numbers.
    """
    return remove_tokens(
        batch, choose_deletion(batch, vocabulary, options or _DEFAULTS, seed, epoch)
    )


def remove_tokens(batch: FlatBatch, positions: IntArray) -> FlatBatch:
    """Return the flat batch without the tokens at `positions` in `batch.ids`, which ascend; the
    result has no sentences.

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
    """Draw the tokens to delete from a flat batch: ascending positions in `batch.ids`."""
    ordinary = ordinary_tokens(batch, vocabulary)
    counts = budgets(ordinary.counts, options.share)
    counts = only_some(counts, batch, options.probability, seed, epoch, Stream.DELETION_HAPPENS)
    streams = stream_keys(seed, epoch, batch.keys, Stream.DELETED_TOKENS)
    return choose_ordinary(streams, batch, ordinary, counts)
