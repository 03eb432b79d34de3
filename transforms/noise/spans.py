"""Spans of tokens, and putting one token in place of each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray, offsets_of
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.noise.batch_ops import dtype_for, largest_of, ranges, without_sentences
from noisebeam.transforms.noise.ordinary_tokens import Ordinary
from noisebeam.transforms.noise.rng import counting
from noisebeam.transforms.noise.subsets import BoolArray


class Spans(NamedTuple):
    """Spans of many samples, in ascending order. Those of length 0 lie before the token at their
    start.
    """

    starts: IntArray  # (spans,), positions in `ids`
    lengths: IntArray  # (spans,), 0 or more
    counts: IntArray  # (samples,), spans of each sample


def replace_spans(batch: FlatBatch, spans: Spans, ids: Array | None) -> FlatBatch:
    """The batch with the token `ids[j]` in place of span j, or nothing where `ids` is None; without
    sentences.

    `ids` of shape () is the same token for all.

    >>> from noisebeam.transforms.data.samples import Sample, batch_samples
    >>> sample = Sample(1, "d", 0, {"ids": np.array([0, 7, 8, 9, 2]), "sentence_lengths": np.array([3])})
    >>> spans = Spans(np.array([1, 4]), np.array([2, 0]), np.array([2]))
    >>> replace_spans(batch_samples([sample], prefix_length=1), spans, np.array([50, 51])).ids.tolist()
    [0, 50, 9, 51, 2]
    """
    covered, before = offsets_of(spans.lengths), offsets_of(spans.counts)
    offsets = batch.offsets - covered[before]
    places = spans.starts - covered[:-1]  # in the result, of what follows each span
    if ids is None:
        return without_sentences(batch, _gather(batch.ids, places, covered, offsets[-1]), offsets)
    offsets += before
    numbers = counting(len(places) + 1)
    places += numbers[1:]
    values = _gather(batch.ids, places, covered - numbers, offsets[-1])
    values = values.astype(dtype_for(batch.ids.dtype, largest_of(ids)), copy=False)
    values[places - 1] = ids[()]
    return without_sentences(batch, values, offsets)


def _gather(ids: Array, bounds: IntArray, shifts: IntArray, total: int) -> Array:
    """(total,): entry o is `ids[o + shifts[j]]`, where j is the number of `bounds` that are at most
    o.
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
    """Spans given by numbers of ordinary tokens, as spans of positions; a span with special tokens
    inside is divided.

    `starts` and `lengths` are ascending and do not touch; a span of length 0 may lie after the last
    ordinary token of its sample. Spans of length 0 may be at one place.
    """
    if not ordinary.scattered:
        return Spans(starts + ordinary.leads.repeat(counts), lengths, counts)
    after = (lengths == 0) & (starts == np.repeat(ordinary.offsets[1:], counts))
    return _divide(ordinary, starts, lengths, counts, after)


def _divide(
    ordinary: Ordinary, starts: IntArray, lengths: IntArray, counts: IntArray, after: BoolArray
) -> Spans:
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
