"""Document rotation: a sample begins at a random token and goes round, and a model has to find its
start.
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
from noisebeam.transforms.noise.ordinary_tokens import Ordinary, ordinary_tokens
from noisebeam.transforms.noise.rng import Purpose, below, draw, stream_keys


@dataclass(frozen=True)
class DocumentRotation:
    """Settings of `rotate_documents`."""

    name: ClassVar[str] = "document-rotation"

    probability: float = 1.0  # that a sample is rotated at all

    def __post_init__(self) -> None:
        check_share(self.name, "probability", self.probability)

    def check(self, vocabulary: Vocabulary) -> None:
        """Any vocabulary will do."""


_DEFAULTS = DocumentRotation()


def rotate_documents(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: DocumentRotation | None = None,
    *,
    seed: int,
    epoch: int = 0,
) -> FlatBatch:
    """The batch with the ordinary tokens of each sample rotated, special tokens where they were,
    without sentences.

    Every start but the old one is equally likely; samples of fewer than two ordinary tokens stay.
    """
    ordinary = ordinary_tokens(batch, vocabulary)
    return rotate_to(
        batch, ordinary, choose_rotation(batch, ordinary, options or _DEFAULTS, seed, epoch)
    )


def rotate_to(batch: FlatBatch, ordinary: Ordinary, starts: IntArray) -> FlatBatch:
    """The batch with ordinary token `starts[i]` (counted in the sample, 0 for no change) of each
    sample first.

    >>> from noisebeam.transforms.data.samples import Sample, batch_samples
    >>> sample = Sample(1, "d", 0, {"ids": np.array([0, 7, 8, 9, 2]), "sentence_lengths": np.array([3])})
    >>> batch = batch_samples([sample], prefix_length=1)
    >>> ordinary = ordinary_tokens(batch, Vocabulary(size=10, special_ids=(0, 1, 2)))
    >>> rotate_to(batch, ordinary, np.array([2])).ids.tolist()
    [0, 9, 7, 8, 2]
    """
    free = np.ones(len(batch.ids), dtype=np.bool_)
    free[ordinary.specials] = False
    begins = np.stack((ordinary.offsets[:-1] + starts, ordinary.offsets[:-1]), axis=1).reshape(-1)
    lengths = np.stack((ordinary.counts - starts, starts), axis=1).reshape(-1)
    ids = batch.ids.copy()
    ids[free] = batch.ids[free][ranges(begins, lengths)]
    return without_sentences(batch, ids, batch.offsets)


def choose_rotation(
    batch: FlatBatch, ordinary: Ordinary, options: DocumentRotation, seed: int, epoch: int
) -> IntArray:
    """(samples,): draw the ordinary token that each sample is to begin with."""
    streams = stream_keys(seed, epoch, batch.keys, Purpose.ROTATION_START)
    draws = draw(streams, np.ones(len(batch), dtype=np.int64))
    starts = np.where(ordinary.counts > 1, 1 + below(draws, np.maximum(ordinary.counts - 1, 1)), 0)
    return only_some(starts, batch, options.probability, seed, epoch, Purpose.ROTATION_HAPPENS)
