"""Document rotation: a sample begins at a random token, and a model has to find its start.

Lewis et al. 2020 (BART), section 2.2, "Document Rotation".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from noisebeam.transforms.data.ragged import IntArray
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import only_some, ranges, without_sentences
from noisebeam.transforms.noise.checks import check_share
from noisebeam.transforms.noise.corruption import Change, Trace, numbered
from noisebeam.transforms.noise.ordinary_tokens import Ordinary, ordinary_tokens
from noisebeam.transforms.noise.rng import Stream, below, draw, stream_keys


@dataclass(frozen=True)
class DocumentRotation:
    """Corruption that rotates the tokens of each sample; the settings of `rotate_documents`.

    `probability` is that of a sample to be rotated at all.
    """

    name: ClassVar[str] = "document-rotation"

    probability: float = 1.0  # that a sample is rotated at all

    def __post_init__(self) -> None:
        check_share(self.name, "probability", self.probability)

    def check(self, vocabulary: Vocabulary) -> None:
        """Accept any vocabulary; no special token is needed."""

    def apply(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> FlatBatch:
        """Return the flat batch with samples rotated; see `rotate_documents`."""
        return rotate_documents(batch, vocabulary, self, seed=seed, epoch=epoch)

    def trace(self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int) -> Trace:
        """Return, for a flat batch of one sample, the position before the rotation of each token
        after it.
        """
        ordinary = ordinary_tokens(batch, vocabulary)
        starts = choose_rotation(batch, ordinary, self, seed, epoch)
        origins = rotate_to(numbered(batch), ordinary, starts).ids
        moved = origins < np.arange(len(origins))
        return Trace(origins, moved=moved, moves=Change.ROTATED)


_DEFAULTS = DocumentRotation()


def rotate_documents(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: DocumentRotation | None = None,
    *,
    seed: int,
    epoch: int = 0,
) -> FlatBatch:
    """Return the flat batch with each sample rotated to begin at a random token, without sentences.

    Only ordinary tokens move; special tokens stay where they are. Every new start is equally
    likely; a sample of fewer than two ordinary tokens is unchanged. `options` of None are the
    defaults; `seed` and `epoch` select the random numbers.
    """
    ordinary = ordinary_tokens(batch, vocabulary)
    return rotate_to(
        batch, ordinary, choose_rotation(batch, ordinary, options or _DEFAULTS, seed, epoch)
    )


def rotate_to(batch: FlatBatch, ordinary: Ordinary, starts: IntArray) -> FlatBatch:
    """Return the flat batch rotated so that each sample begins with a given ordinary (not special)
    token, without sentences.

    `starts` (samples,) counts ordinary tokens from 0 in each sample; 0 changes nothing.

    >>> from noisebeam.transforms.data.samples import Sample, batch_samples
    >>> fields = {"ids": np.array([0, 7, 8, 9, 2]), "sentence_lengths": np.array([3])}
    >>> batch = batch_samples([Sample(1, "d", 0, fields)], prefix_length=1)
    >>> ordinary = ordinary_tokens(batch, Vocabulary(size=10, special_ids=(0, 1, 2)))
    >>> rotate_to(batch, ordinary, np.array([2])).ids.tolist()
    [0, 9, 7, 8, 2]
    """
    free = np.ones(len(batch.ids), dtype=np.bool_)
    free[ordinary.specials] = False
    # (2 * samples,): of each sample the tokens from its start on, then those before it
    begins = np.stack((ordinary.offsets[:-1] + starts, ordinary.offsets[:-1]), axis=1).reshape(-1)
    lengths = np.stack((ordinary.counts - starts, starts), axis=1).reshape(-1)
    ids = batch.ids.copy()
    ids[free] = batch.ids[free][ranges(begins, lengths)]
    return without_sentences(batch, ids, batch.offsets)


def choose_rotation(
    batch: FlatBatch, ordinary: Ordinary, options: DocumentRotation, seed: int, epoch: int
) -> IntArray:
    """Draw the ordinary (not special) token with which each sample begins after rotation:
    (samples,), counted in the sample; 0 for no rotation.
    """
    streams = stream_keys(seed, epoch, batch.keys, Stream.ROTATION_START)
    draws = draw(streams, np.ones(len(batch), dtype=np.int64))
    starts = np.where(ordinary.counts > 1, 1 + below(draws, np.maximum(ordinary.counts - 1, 1)), 0)
    return only_some(starts, batch, options.probability, seed, epoch, Stream.ROTATION_HAPPENS)
