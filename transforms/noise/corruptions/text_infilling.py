"""Text infilling: spans of random length become one mask each, and a model has to restore them.

Lewis et al. 2020 (BART), section 2.2, "Text Infilling". A span of length 0 inserts a mask. Spans
never overlap or touch. Every way to place the spans, in their order, between the tokens that stay
is equally likely.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import (
    Replacements,
    only_some,
    ranges,
    replace_tokens,
    without_sentences,
)
from noisebeam.transforms.noise.checks import check_share, require_mask
from noisebeam.transforms.noise.corruption import NEW, Change, Trace, numbered
from noisebeam.transforms.noise.ordinary_tokens import budgets, ordinary_tokens
from noisebeam.transforms.noise.rng import Stream
from noisebeam.transforms.noise.span_lengths import (
    LENGTHS_METADATA,
    POISSON_3,
    SpanLengths,
    check_lengths,
)
from noisebeam.transforms.noise.spans import Spans, draw_spans, replace_spans


@dataclass(frozen=True)
class TextInfilling:
    """Corruption that replaces spans of tokens by masks; the settings of `infill_text`.

    `share` is the share of the ordinary (not special) tokens of each sample to replace, rounded to
    the nearest; `lengths` is the distribution of span lengths. `replace_length` is 1 for one mask
    for each span, 0 for none, -1 for one mask for each token (a span of length 0 then inserts
    nothing). `probability` is that of a sample to be noised at all.
    """

    name: ClassVar[str] = "text-infilling"

    share: float = 0.3  # of the ordinary tokens of each sample, rounded to the nearest
    lengths: SpanLengths = field(default=POISSON_3, metadata=LENGTHS_METADATA)
    replace_length: int = 1  # masks for a span: 1, 0, or -1 for one a token (no insertions then)
    probability: float = 1.0  # that a sample is noised at all

    def __post_init__(self) -> None:
        check_share(self.name, "share", self.share)
        check_share(self.name, "probability", self.probability)
        if self.replace_length not in (0, 1, -1) or isinstance(self.replace_length, bool):
            raise ValueError(
                f"{self.name}: replace_length is {self.replace_length!r}; expected 0, 1 or -1"
            )
        check_lengths(self.name, self.lengths)

    def check(self, vocabulary: Vocabulary) -> None:
        """Raise ValueError if these settings write masks and the vocabulary has no mask token."""
        if self.replace_length:
            require_mask(self.name, vocabulary, "set replace_length to 0")

    def apply(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> FlatBatch:
        """Return the flat batch with spans replaced by masks; see `infill_text`."""
        return infill_text(batch, vocabulary, self, seed=seed, epoch=epoch)

    def trace(self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int) -> Trace:
        """Return which tokens of a flat batch of one sample are replaced by masks."""
        spans = choose_infilling(batch, vocabulary, self, seed, epoch)
        origins = fill_spans(numbered(batch), spans, NEW, self.replace_length).ids
        return Trace(
            origins,
            (Change.MASKED,) * int(np.count_nonzero(origins == NEW)),
            gone=Change.COVERED if self.replace_length else Change.DELETED,
            one_for_one=self.replace_length == -1,
        )


_DEFAULTS = TextInfilling()


def infill_text(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: TextInfilling | None = None,
    *,
    seed: int,
    epoch: int = 0,
) -> FlatBatch:
    """Return the flat batch with random spans of ordinary (not special) tokens replaced by masks,
    without sentences.

    `options` of None are the defaults; `seed` and `epoch` select the random numbers.
    """
    options = options or _DEFAULTS
    spans = choose_infilling(batch, vocabulary, options, seed, epoch)
    return fill_spans(batch, spans, vocabulary.mask_id, options.replace_length)


def fill_spans(
    batch: FlatBatch, spans: Spans, mask_id: int | None, replace_length: int = 1
) -> FlatBatch:
    """Return the flat batch with the given spans replaced by masks, without sentences.

    `replace_length` is 1 for one mask for each span, -1 for one mask for each token, 0 for none.

    >>> from noisebeam.transforms.data.samples import Sample, batch_samples
    >>> fields = {"ids": np.array([0, 7, 8, 9, 2]), "sentence_lengths": np.array([3])}
    >>> batch = batch_samples([Sample(1, "d", 0, fields)], prefix_length=1)
    >>> spans = Spans(np.array([1, 4]), np.array([2, 0]), np.array([2]))
    >>> [fill_spans(batch, spans, 50, length).ids.tolist() for length in (1, -1, 0)]
    [[0, 50, 9, 50, 2], [0, 50, 50, 9, 2], [0, 9, 2]]
    """
    if replace_length == -1:
        positions = ranges(spans.starts, spans.lengths)
        masked = replace_tokens(batch, Replacements(positions, np.full(len(positions), mask_id)))
        return without_sentences(batch, masked.ids, batch.offsets)
    return replace_spans(batch, spans, np.array(mask_id) if replace_length else None)


def choose_infilling(
    batch: FlatBatch, vocabulary: Vocabulary, options: TextInfilling, seed: int, epoch: int
) -> Spans:
    """Draw the spans of a flat batch to replace by masks: lengths and positions."""
    options.check(vocabulary)
    ordinary = ordinary_tokens(batch, vocabulary)
    covered = budgets(ordinary.counts, options.share)
    covered = only_some(covered, batch, options.probability, seed, epoch, Stream.INFILLING_HAPPENS)
    return draw_spans(batch, ordinary, covered, options.lengths, seed, epoch)
