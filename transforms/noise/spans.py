"""Spans of tokens, and putting one token in place of each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from noisebeam.transforms.noise.ordinary import Ordinary
from noisebeam.transforms.noise.ragged import dtype_for, ranges, without_sentences
from noisebeam.transforms.samples import Array, FlatBatch, IntArray, offsets_of


class Spans(NamedTuple):
    """Spans of many samples, in ascending order. Those of length 0 lie before the token at their start."""

    starts: IntArray  # (spans,), positions in `ids`
    lengths: IntArray  # (spans,), 0 or more
    counts: IntArray  # (samples,), spans of each sample


def replace_spans(batch: FlatBatch, spans: Spans, ids: Array | None) -> FlatBatch:
    """The batch with the token `ids[j]` in place of span j, or nothing where `ids` is None; without sentences.

    >>> from noisebeam.transforms.samples import flat_batch
    >>> batch = flat_batch({"ids": np.array([0, 7, 8, 9, 2]), "sentence_lengths": np.array([3])},
    ...                    lengths=np.array([5]), sentence_counts=np.array([1]), keys=np.array([1]), prefix_length=1)
    >>> spans = Spans(np.array([1, 4]), np.array([2, 0]), np.array([2]))
    >>> replace_spans(batch, spans, np.array([50, 50])).ids.tolist()
    [0, 50, 9, 50, 2]
    """
    keep = np.ones(len(batch.ids), dtype=np.bool_)
    keep[ranges(spans.starts, spans.lengths)] = False
    kept = batch.ids[keep]
    covered = offsets_of(spans.lengths)
    before = offsets_of(spans.counts)
    offsets = batch.offsets - covered[before]
    if ids is None or not len(ids):
        return without_sentences(batch, kept, offsets)
    places = spans.starts - covered[:-1] + np.arange(len(ids))
    free = np.ones(len(kept) + len(ids), dtype=np.bool_)
    free[places] = False
    values = np.empty(len(free), dtype=dtype_for(batch.ids.dtype, int(ids.max())))
    values[places] = ids
    values[free] = kept
    return without_sentences(batch, values, offsets + before)


def spans_of_ordinary(ordinary: Ordinary, starts: IntArray, lengths: IntArray, counts: IntArray) -> Spans:
    """Spans given by numbers of ordinary tokens, as spans of positions; a span with special tokens inside is divided.

    `starts` and `lengths` are ascending and do not touch; a span of length 0 may lie after the last ordinary token of
    its sample.
    """
    last = (np.cumsum(counts) - 1)[counts > 0]
    after = np.zeros(len(starts), dtype=np.int64)
    after[last] = (lengths[last] == 0) & (starts[last] == ordinary.offsets[1:][counts > 0])
    firsts = ordinary.positions(starts - after) + after
    tails = np.maximum(lengths - 1, 0)
    divided = ordinary.positions(starts - after + tails) + after - firsts != tails
    if not divided.any():
        return Spans(firsts, lengths, counts)
    return _divide(ordinary, starts, lengths, counts, after)


def _divide(ordinary: Ordinary, starts: IntArray, lengths: IntArray, counts: IntArray, after: IntArray) -> Spans:
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
