"""Blank infilling, the objective of GLM (Du et al. 2022, section 2.1 and figure 2).

Part A is the text with a mask in place of each span; part B is the spans in random order, each
after a start token. A model sees all of part A from everywhere, and part B from left to right:

    x1 x2 x3 x4 x5 x6   without x3 and x5 x6:

    input_ids            x1   x2   [M]  x4   [M]  [S]  x5   x6   [S]  x3
    position_ids         0    1    2    3    4    4    4    4    2    2
    block_position_ids   0    0    0    0    0    1    2    3    1    2
    labels               -100 -100 -100 -100 -100 x5   x6   [E]  x3   [E]

A label is at the position that predicts it, so no model may shift labels. Spans never touch, and
never contain special tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray, Ragged, offsets_of
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import (
    differences,
    dtype_for,
    order_within,
    ranges,
    without_sentences,
)
from noisebeam.transforms.noise.checks import check_share, check_token, token_id
from noisebeam.transforms.noise.corruption import NEW, Change, Trace, numbered
from noisebeam.transforms.noise.labels import IGNORED, label_dtype
from noisebeam.transforms.noise.ordinary_tokens import budgets, ordinary_tokens
from noisebeam.transforms.noise.rng import Stream, counting, draw, stream_keys
from noisebeam.transforms.noise.span_lengths import (
    LENGTHS_METADATA,
    POISSON_3,
    SpanLengths,
    check_lengths,
)
from noisebeam.transforms.noise.spans import Spans, draw_spans, replace_spans


class Blanks(NamedTuple):
    """Spans that GLM cuts out of each sample of a flat batch, and their order in part B.

    `spans` have length 1 or more. `order` (spans,) are numbers of spans, one sample after another.
    """

    spans: Spans  # of length 1 and more
    order: IntArray  # (spans,): numbers of spans, sample by sample


@dataclass(frozen=True)
class BlankInfilling:
    """Corruption of GLM that cuts spans out of the text and appends them; the settings of
    `infill_blanks`.

    `share` is the share of the ordinary (not special) tokens of each sample to cut out, rounded to
    the nearest; `lengths` the distribution of span lengths, of which 0 is not drawn. `mask`
    replaces each span in part A, `start` is before each span in part B, and `end` is the last label
    of each span: each is the text of a token, its role (mask, bos, eos) or its id.
    """

    name: ClassVar[str] = "blank-infilling"
    objective: ClassVar[str] = "glm"

    share: float = 0.15  # of the ordinary tokens of each sample, rounded to the nearest
    # lengths of 0 are not drawn
    lengths: SpanLengths = field(default=POISSON_3, metadata=LENGTHS_METADATA)
    mask: str | int = "mask"  # in place of each span in part A
    start: str | int = "bos"  # before each span in part B
    end: str | int = "eos"  # the last label of each span

    def __post_init__(self) -> None:
        check_share(self.name, "share", self.share)
        for key in ("mask", "start", "end"):
            check_token(self.name, key, getattr(self, key))
        check_lengths(self.name, self.lengths)

    def check(self, vocabulary: Vocabulary) -> None:
        """Raise ValueError if the vocabulary lacks the mask, start or end token of these
        settings.
        """
        self.token_ids(vocabulary)

    def token_ids(self, vocabulary: Vocabulary) -> tuple[int, int, int]:
        """Return the ids of the mask, start and end tokens; raise ValueError if the vocabulary
        lacks one.
        """
        mask, start, end = (
            token_id(self.name, key, token, vocabulary)
            for key, token in (("mask", self.mask), ("start", self.start), ("end", self.end))
        )
        return mask, start, end

    def apply(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> FlatBatch:
        """Return the flat batch with part A followed by part B as ids, without sentences; see
        `infill_blanks`.
        """
        return without_sentences(
            batch, *self.model_inputs(batch, vocabulary, seed=seed, epoch=epoch)["input_ids"]
        )

    def model_inputs(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> dict[str, Ragged]:
        """Return `input_ids`, `labels` and two kinds of positions by name, a row for each sample;
        see `infill_blanks`.
        """
        return infill_blanks(batch, vocabulary, self, seed=seed, epoch=epoch)

    def trace(self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int) -> Trace:
        """Return which tokens of a flat batch of one sample are cut out, and their positions in
        part B.
        """
        blanks = choose_blanks(batch, vocabulary, self, seed, epoch)
        origins = cut_blanks(numbered(batch), blanks, NEW, NEW, NEW)["input_ids"].values
        spans = len(blanks.order)
        part_a = len(batch.ids) - int(blanks.spans.lengths.sum()) + spans
        new = (Change.MASKED,) * spans + (Change.INSERTED,) * spans
        return Trace(origins, new, appended=part_a)


_DEFAULTS = BlankInfilling()


def infill_blanks(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: BlankInfilling | None = None,
    *,
    seed: int,
    epoch: int = 0,
) -> dict[str, Ragged]:
    """Return the fields of the GLM objective for a flat batch: `input_ids`, `labels`,
    `position_ids` and `block_position_ids`, a row for each sample.

    Part A is the text with a mask in place of each random span, part B the spans in random order.
    The four fields of a sample have the same length. `options` of None are the defaults; `seed` and
    `epoch` select the random numbers.
    """
    options = options or _DEFAULTS
    blanks = choose_blanks(batch, vocabulary, options, seed, epoch)
    return cut_blanks(batch, blanks, *options.token_ids(vocabulary))


def choose_blanks(
    batch: FlatBatch, vocabulary: Vocabulary, options: BlankInfilling, seed: int, epoch: int
) -> Blanks:
    """Draw the spans to cut out of each sample of a flat batch, and their order in part B; all
    orders are equally likely.
    """
    ordinary = ordinary_tokens(batch, vocabulary)
    covered = budgets(ordinary.counts, options.share)
    spans = draw_spans(batch, ordinary, covered, options.lengths, seed, epoch, empty=False)
    draws = draw(stream_keys(seed, epoch, batch.keys, Stream.BLANK_ORDER), spans.counts)
    return Blanks(spans, order_within(counting(len(batch)).repeat(spans.counts), draws))


def cut_blanks(
    batch: FlatBatch, blanks: Blanks, mask_id: int, start_id: int, end_id: int
) -> dict[str, Ragged]:
    """Return the fields of `infill_blanks` for spans that were chosen already.

    `mask_id` replaces each span in part A, `start_id` is before each span in part B, `end_id` is
    the last label of each span.

    >>> from noisebeam.transforms.data.samples import Sample, batch_samples
    >>> ids = {"ids": np.array([1, 2, 3, 4, 5, 6]), "sentence_lengths": np.array([6])}
    >>> blanks = Blanks(Spans(np.array([2, 4]), np.array([1, 2]), np.array([2])), np.array([1, 0]))
    >>> batch = batch_samples([Sample(1, "d", 0, ids)], 0)
    >>> fields = cut_blanks(batch, blanks, mask_id=7, start_id=8, end_id=9)
    >>> fields["input_ids"].values.tolist(), fields["labels"].values.tolist()[5:]
    ([1, 2, 7, 4, 7, 8, 5, 6, 8, 3], [5, 6, 9, 3, 9])
    """
    spans, order = blanks
    part_a = replace_spans(batch, spans, np.array(mask_id))
    lengths = spans.lengths[order]
    pieces = offsets_of(lengths + 1)  # (spans + 1,), in part B: a start token and a span each
    rows = offsets_of(spans.counts)
    ids, labels = _part_b(
        batch.ids.take(ranges(spans.starts[order], lengths)), pieces, start_id, end_id
    )
    covered = offsets_of(spans.lengths)[:-1]
    # (spans,): position of each mask in part A of its sample
    masks = spans.starts - covered + counting(len(order)) - part_a.offsets[:-1].repeat(spans.counts)
    merge = _Merge(differences(part_a.offsets), differences(pieces[rows]))
    ids_dtype = dtype_for(batch.ids.dtype, max(start_id, end_id, mask_id))
    firsts = np.zeros_like(merge.first)
    return {
        "input_ids": merge(part_a.ids, ids, ids_dtype),
        "labels": merge(np.array(IGNORED), labels, label_dtype(ids_dtype)),
        "position_ids": merge(
            ranges(firsts, merge.first), masks[order].repeat(lengths + 1), np.dtype(np.int32)
        ),
        "block_position_ids": merge(
            np.array(0), ranges(np.ones_like(lengths), lengths + 1), np.dtype(np.int32)
        ),
    }


def _part_b(tokens: Array, pieces: IntArray, start_id: int, end_id: int) -> tuple[Array, Array]:
    """Return the inputs and the labels of part B for all samples: a start token before each span,
    and an end token after each span.

    `tokens` are the tokens of all spans in order, `pieces` (spans + 1,) the offsets of the spans
    with their extra token; both results have shape (pieces[-1],).
    """
    inputs, labels = np.empty((2, pieces[-1]), dtype=np.int64)
    for values, edges, id_ in ((inputs, pieces[:-1], start_id), (labels, pieces[1:] - 1, end_id)):
        is_token = np.ones(len(values), dtype=np.bool_)
        is_token[edges] = False
        values[edges] = id_
        values[is_token] = tokens
    return inputs, labels


class _Merge:
    """Joins two ragged arrays row by row: row i has `first[i]` values of the first array, then
    `second[i]` values of the second.
    """

    def __init__(self, first: IntArray, second: IntArray) -> None:
        self.first = first
        self.offsets = offsets_of(first + second)
        # (total,): False for the values of the first part of each row, True for the second
        self._is_second = np.tile([False, True], len(first)).repeat(
            np.stack([first, second], 1).reshape(-1)
        )

    def __call__(self, first: Array, second: Array, dtype: np.dtype[np.generic]) -> Ragged:
        """Return the joined rows as `dtype`, given the flat values of both ragged arrays."""
        values: Array = np.empty(len(self._is_second), dtype=dtype)
        values[~self._is_second] = first
        values[self._is_second] = second
        return Ragged(values, self.offsets)
