"""Spans of tokens: drawing spans at random, and replacing each by one token."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray, offsets_of
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.noise.batch_ops import (
    differences,
    dtype_for,
    largest_of,
    ranges,
    without_sentences,
)
from noisebeam.transforms.noise.ordinary_tokens import Ordinary
from noisebeam.transforms.noise.rng import Stream, counting, stream_keys
from noisebeam.transforms.noise.span_lengths import SpanLengths, draw_lengths
from noisebeam.transforms.noise.subsets import BoolArray, choose_subsets


class Spans(NamedTuple):
    """Spans of consecutive tokens in a flat batch, ascending.

    `starts` (spans,) are positions in `batch.ids`, `lengths` (spans,) numbers of tokens, 0 or more,
    and `counts` (samples,) the number of spans in each sample. A span of length 0 is the gap before
    the token at its start.
    """

    starts: IntArray  # (spans,), positions in `ids`
    lengths: IntArray  # (spans,), 0 or more
    counts: IntArray  # (samples,), spans of each sample


def replace_spans(batch: FlatBatch, spans: Spans, ids: Array | None) -> FlatBatch:
    """Return the flat batch with token `ids[j]` in place of span j, without sentences.

    `ids` of shape () is the same token for all spans; None removes the spans.

    >>> from noisebeam.transforms.data.samples import Sample, batch_samples
    >>> fields = {"ids": np.array([0, 7, 8, 9, 2]), "sentence_lengths": np.array([3])}
    >>> batch = batch_samples([Sample(1, "d", 0, fields)], prefix_length=1)
    >>> spans = Spans(np.array([1, 4]), np.array([2, 0]), np.array([2]))
    >>> replace_spans(batch, spans, np.array([50, 51])).ids.tolist()
    [0, 50, 9, 51, 2]
    """
    covered, before = offsets_of(spans.lengths), offsets_of(spans.counts)
    offsets = batch.offsets - covered[before]
    bounds = spans.starts - covered[:-1]  # (spans,): offset in the result behind each span
    if ids is None:
        return without_sentences(batch, _gather(batch.ids, bounds, covered, offsets[-1]), offsets)
    offsets += before
    numbers = counting(len(bounds) + 1)
    bounds += numbers[1:]
    values = _gather(batch.ids, bounds, covered - numbers, offsets[-1])
    values = values.astype(dtype_for(batch.ids.dtype, largest_of(ids)), copy=False)
    values[bounds - 1] = ids[()]
    return without_sentences(batch, values, offsets)


def _gather(ids: Array, bounds: IntArray, shifts: IntArray, total: int) -> Array:
    """Return `ids[o + shifts[j]]` for each o from 0 to `total` - 1, where j is the number of
    `bounds` that are at most o.

    `bounds` (spans,) ascend; `shifts` has shape (spans + 1,).
    """
    lengths = np.empty(len(shifts), dtype=np.int64)
    lengths[:-1], lengths[-1] = bounds, total
    lengths[1:] -= bounds
    sources = shifts.repeat(lengths)
    sources += counting(total)
    return ids.take(sources, mode="clip")


def spans_of_ordinary(
    ordinary: Ordinary, starts: IntArray, lengths: IntArray, counts: IntArray
) -> Spans:
    """Return spans as positions in `batch.ids`, given as numbers of ordinary tokens (counted
    without special tokens).

    `starts` and `lengths` (spans,) ascend and do not touch; `counts` (samples,) are the spans of
    each sample. A span of length 0 may be after the last ordinary token of its sample, and several
    may be at one position. A span with special tokens inside is divided.
    """
    if not ordinary.scattered:
        return Spans(starts + ordinary.leads.repeat(counts), lengths, counts)
    after = (lengths == 0) & (starts == np.repeat(ordinary.offsets[1:], counts))
    return _divide(ordinary, starts, lengths, counts, after)


def _divide(
    ordinary: Ordinary, starts: IntArray, lengths: IntArray, counts: IntArray, after: BoolArray
) -> Spans:
    """Return spans as positions in `batch.ids`, each divided where special tokens are between its
    tokens.

    Arguments are those of `spans_of_ordinary`; `after` (spans,) is True for a span of length 0
    behind the last ordinary token of its sample.
    """
    # (spans,) -> (tokens of spans,) positions -> (pieces,) runs of neighbouring positions
    sizes = np.maximum(lengths, 1)
    positions = ordinary.positions(ranges(starts - after, sizes)) + np.repeat(after, sizes)
    begins = np.ones(len(positions), dtype=np.bool_)
    begins[1:] = np.diff(positions) != 1
    cuts = offsets_of(sizes)
    begins[cuts[:-1]] = True
    pieces = np.diff(begins.nonzero()[0], append=len(positions))
    empty = np.repeat(lengths == 0, sizes)[begins]
    piece_counts = np.diff(offsets_of(begins)[cuts[offsets_of(counts)]])
    return Spans(positions[begins], pieces * ~empty, piece_counts)


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
    """Draw spans that cover `covered[i]` ordinary (not special) tokens of each sample i, and never
    overlap or touch.

    Lengths come from `distribution`. If `empty` is False, spans of length 0 are left out.
    """
    slots = ordinary.counts - covered + 1  # (samples,): gaps between the tokens that stay
    length_streams, start_streams = stream_keys(
        seed, epoch, batch.keys, Stream.SPAN_LENGTHS, Stream.SPAN_PLACES
    )
    lengths, counts = draw_lengths(length_streams, covered, slots, distribution)
    if not empty:
        filled = lengths > 0
        lengths, counts = lengths[filled], differences(offsets_of(filled)[offsets_of(counts)])
    bases = ordinary.offsets[:-1] + covered - covered.cumsum()
    starts = choose_subsets(start_streams, slots, counts, bases)
    starts += lengths.cumsum() - lengths
    return spans_of_ordinary(ordinary, starts, lengths, counts)
