"""Blank infilling, the objective of GLM (Du et al. 2022, section 2.1 and figure 2).

Part A is the text with a mask in place of each span; part B follows it: the spans in random order,
each led by a start token. A model sees all of part A from everywhere, and part B from left to
right, so that it fills each blank knowing the text around it and the blanks filled before:

    x1 x2 x3 x4 x5 x6   without x3 and x5 x6:

    input_ids            x1   x2   [M]  x4   [M]  [S]  x5   x6   [S]  x3
    position_ids         0    1    2    3    4    4    4    4    2    2
    block_position_ids   0    0    0    0    0    1    2    3    1    2
    labels               -100 -100 -100 -100 -100 x5   x6   [E]  x3   [E]

Labels stand where they are predicted, so that no model must shift them. Spans never touch or hold
special tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray, Ragged, offsets_of
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import differences, dtype_for, order_within, ranges
from noisebeam.transforms.noise.checks import check_share, check_token, token_id
from noisebeam.transforms.noise.corruptions.masking import IGNORED, label_dtype
from noisebeam.transforms.noise.corruptions.text_infilling import draw_spans
from noisebeam.transforms.noise.ordinary_tokens import budgets, ordinary_tokens
from noisebeam.transforms.noise.rng import Purpose, counting, draw, stream_keys
from noisebeam.transforms.noise.span_lengths import SpanLengths
from noisebeam.transforms.noise.spans import Spans, replace_spans


class Blanks(NamedTuple):
    """Spans to cut out, and the order in which part B has them."""

    spans: Spans  # of length 1 and more
    order: IntArray  # (spans,): numbers of spans; those of a sample stay together


@dataclass(frozen=True)
class BlankInfilling:
    """Settings of `infill_blanks`. A token is given by its text, its role (mask, bos, eos) or its
    id.
    """

    name: ClassVar[str] = "blank-infilling"

    share: float = 0.15  # of the ordinary tokens of each sample, rounded to the nearest
    lengths: SpanLengths = field(default_factory=SpanLengths)  # lengths of 0 are not drawn
    mask: str | int = "mask"  # in place of each span in part A
    start: str | int = "bos"  # before each span in part B
    end: str | int = "eos"  # the last label of each span

    def __post_init__(self) -> None:
        check_share(self.name, "share", self.share)
        for key in ("mask", "start", "end"):
            check_token(self.name, key, getattr(self, key))
        if not isinstance(self.lengths, SpanLengths):
            raise ValueError(
                f"{self.name}: lengths is {self.lengths!r}; expected span lengths, as in {{poisson: 3}}"
            )

    def check(self, vocabulary: Vocabulary) -> None:
        """ValueError if the vocabulary lacks what these settings need."""
        self.token_ids(vocabulary)

    def token_ids(self, vocabulary: Vocabulary) -> tuple[int, int, int]:
        """The ids of mask, start and end; ValueError if the vocabulary lacks one."""
        mask, start, end = (
            token_id(self.name, key, token, vocabulary)
            for key, token in (("mask", self.mask), ("start", self.start), ("end", self.end))
        )
        return mask, start, end


_DEFAULTS = BlankInfilling()


def infill_blanks(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: BlankInfilling | None = None,
    *,
    seed: int,
    epoch: int = 0,
) -> dict[str, Ragged]:
    """`input_ids`, `labels`, `position_ids` and `block_position_ids` of each sample, rows of the
    same lengths.
    """
    options = options or _DEFAULTS
    blanks = choose_blanks(batch, vocabulary, options, seed, epoch)
    return cut_blanks(batch, blanks, *options.token_ids(vocabulary))


def choose_blanks(
    batch: FlatBatch, vocabulary: Vocabulary, options: BlankInfilling, seed: int, epoch: int
) -> Blanks:
    """Draw the spans, and their order: all orders are equally likely."""
    ordinary = ordinary_tokens(batch, vocabulary)
    covered = budgets(ordinary.counts, options.share)
    spans = draw_spans(batch, ordinary, covered, options.lengths, seed, epoch, empty=False)
    draws = draw(stream_keys(seed, epoch, batch.keys, Purpose.BLANK_ORDER), spans.counts)
    return Blanks(spans, order_within(counting(len(batch)).repeat(spans.counts), draws))


def cut_blanks(
    batch: FlatBatch, blanks: Blanks, mask_id: int, start_id: int, end_id: int
) -> dict[str, Ragged]:
    """The fields of `infill_blanks` for these blanks.

    >>> from noisebeam.transforms.data.samples import Sample, batch_samples
    >>> ids = {"ids": np.array([1, 2, 3, 4, 5, 6]), "sentence_lengths": np.array([6])}
    >>> blanks = Blanks(Spans(np.array([2, 4]), np.array([1, 2]), np.array([2])), np.array([1, 0]))
    >>> fields = cut_blanks(batch_samples([Sample(1, "d", 0, ids)], 0), blanks, mask_id=7, start_id=8, end_id=9)
    >>> fields["input_ids"].values.tolist(), fields["labels"].values.tolist()[5:]
    ([1, 2, 7, 4, 7, 8, 5, 6, 8, 3], [5, 6, 9, 3, 9])
    """
    spans, order = blanks
    part_a = replace_spans(batch, spans, np.array(mask_id))
    lengths = spans.lengths[order]
    pieces = offsets_of(lengths + 1)  # of part B: a start token and a span
    rows = offsets_of(spans.counts)
    ids, labels = _part_b(
        batch.ids.take(ranges(spans.starts[order], lengths)), pieces, start_id, end_id
    )
    covered = offsets_of(spans.lengths)[:-1]
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
    """Inputs and labels: the tokens of each piece after the start token, and before the end
    token.
    """
    inputs, labels = np.empty((2, pieces[-1]), dtype=np.int64)
    for values, places, id_ in ((inputs, pieces[:-1], start_id), (labels, pieces[1:] - 1, end_id)):
        is_token = np.ones(len(values), dtype=np.bool_)
        is_token[places] = False
        values[places] = id_
        values[is_token] = tokens
    return inputs, labels


class _Merge:
    """Puts rows of two parts together, row by row: `first[i]` values of the one, then `second[i]`
    of the other.
    """

    def __init__(self, first: IntArray, second: IntArray) -> None:
        self.first = first
        self.offsets = offsets_of(first + second)
        self._is_second = np.tile([False, True], len(first)).repeat(
            np.stack([first, second], 1).reshape(-1)
        )

    def __call__(self, first: Array, second: Array, dtype: np.dtype[np.generic]) -> Ragged:
        values: Array = np.empty(len(self._is_second), dtype=dtype)
        values[~self._is_second] = first
        values[self._is_second] = second
        return Ragged(values, self.offsets)
