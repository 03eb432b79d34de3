"""Text infilling: spans of random length each become one mask, and a model has to restore them,
whatever their length.

A span of length 0 inserts a mask. Spans never overlap or touch: there is a token between any two.
Where they lie is uniformly random: every way to put the spans, in their order, between the tokens
that stay is equally likely.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from noisebeam.transforms.data.ragged import IntArray, offsets_of
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import differences, only_some, ranges, without_sentences
from noisebeam.transforms.noise.checks import check_share
from noisebeam.transforms.noise.corruptions.masking import (
    Replacements,
    replace_tokens,
    require_mask,
)
from noisebeam.transforms.noise.ordinary_tokens import Ordinary, budgets, ordinary_tokens
from noisebeam.transforms.noise.rng import Purpose, stream_keys
from noisebeam.transforms.noise.span_lengths import SpanLengths, draw_lengths
from noisebeam.transforms.noise.spans import Spans, replace_spans, spans_of_ordinary
from noisebeam.transforms.noise.subsets import choose_subsets


@dataclass(frozen=True)
class TextInfilling:
    """Settings of `infill_text`."""

    name: ClassVar[str] = "text-infilling"

    share: float = 0.3  # of the ordinary tokens of each sample, rounded to the nearest
    lengths: SpanLengths = field(default_factory=SpanLengths)
    # masks for a span: 1, or 0 for none, or -1 for one a token; at 0 and -1 nothing is inserted
    replace_length: int = 1
    probability: float = 1.0  # that a sample is noised at all

    def __post_init__(self) -> None:
        check_share(self.name, "share", self.share)
        check_share(self.name, "probability", self.probability)
        if self.replace_length not in (0, 1, -1) or isinstance(self.replace_length, bool):
            raise ValueError(
                f"{self.name}: replace_length is {self.replace_length!r}; expected 0, 1 or -1"
            )
        if not isinstance(self.lengths, SpanLengths):
            raise ValueError(
                f"{self.name}: lengths is {self.lengths!r}; expected span lengths, as in {{poisson: 3}}"
            )

    def check(self, vocabulary: Vocabulary) -> None:
        """ValueError if the vocabulary lacks what these settings need."""
        if self.replace_length:
            require_mask(self.name, vocabulary, "set replace_length to 0")


_DEFAULTS = TextInfilling()


def infill_text(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: TextInfilling | None = None,
    *,
    seed: int,
    epoch: int = 0,
) -> FlatBatch:
    """The batch with spans of tokens masked, without sentences."""
    options = options or _DEFAULTS
    spans = choose_infilling(batch, vocabulary, options, seed, epoch)
    return fill_spans(batch, spans, vocabulary.mask_id, options.replace_length)


def fill_spans(
    batch: FlatBatch, spans: Spans, mask_id: int | None, replace_length: int = 1
) -> FlatBatch:
    """The batch with these spans masked: by one mask each (1), one for each token (-1), or none
    (0).

    >>> from noisebeam.transforms.data.samples import Sample, batch_samples
    >>> sample = Sample(1, "d", 0, {"ids": np.array([0, 7, 8, 9, 2]), "sentence_lengths": np.array([3])})
    >>> batch = batch_samples([sample], prefix_length=1)
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
    """Draw the lengths of the spans, and where they lie."""
    options.check(vocabulary)
    ordinary = ordinary_tokens(batch, vocabulary)
    covered = budgets(ordinary.counts, options.share)
    covered = only_some(covered, batch, options.probability, seed, epoch, Purpose.INFILLING_HAPPENS)
    return draw_spans(batch, ordinary, covered, options.lengths, seed, epoch)


def draw_spans(
    batch: FlatBatch,
    ordinary: Ordinary,
    covered: IntArray,
    distribution: SpanLengths,
    seed: int,
    epoch: int,
    *,
    empty: bool = True,
) -> Spans:
    """Spans over `covered[i]` ordinary tokens of sample i, anywhere, but never touching.

    Unless `empty`, lengths of 0 are left out: the others are drawn as much more often.
    """
    slots = ordinary.counts - covered + 1
    length_streams, place_streams = stream_keys(
        seed, epoch, batch.keys, Purpose.SPAN_LENGTHS, Purpose.SPAN_PLACES
    )
    lengths, counts = draw_lengths(length_streams, covered, slots, distribution)
    if not empty:
        filled = lengths > 0
        lengths, counts = lengths[filled], differences(offsets_of(filled)[offsets_of(counts)])
    bases = ordinary.offsets[:-1] + covered - covered.cumsum()
    starts = choose_subsets(place_streams, slots, counts, bases)
    starts += lengths.cumsum() - lengths
    return spans_of_ordinary(ordinary, starts, lengths, counts)
