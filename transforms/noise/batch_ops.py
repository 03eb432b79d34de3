"""Small steps that several corruptions share: ranges of positions, dtypes, parts of a batch."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from noisebeam.transforms.data.ragged import Array, IntArray
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.noise.rng import Purpose, UIntArray, counting, draw, happens, stream_keys


def differences(offsets: IntArray) -> IntArray:
    """The lengths of rows with these offsets (`numpy.diff`, in a quarter of its time on short
    arrays).

    >>> differences(np.array([0, 2, 2, 5])).tolist()
    [2, 0, 3]
    """
    return offsets[1:] - offsets[:-1]


def ranges(starts: IntArray, lengths: IntArray) -> IntArray:
    """The numbers of half-open ranges, end to end.

    >>> ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    shifts = starts + lengths
    shifts -= lengths.cumsum()
    numbers = shifts.repeat(lengths)
    numbers += counting(len(numbers))
    return numbers


def dtype_for(dtype: npt.DTypeLike, largest: int) -> np.dtype[Any]:
    """The integer dtype itself if it holds `largest`, else int32 or int64.

    >>> dtype_for(np.uint8, 50264)
    dtype('int32')
    """
    return _dtype_for(np.dtype(dtype), largest.bit_length())


@lru_cache
def _dtype_for(dtype: np.dtype[Any], bits: int) -> np.dtype[Any]:
    candidates = (dtype, np.dtype(np.int32), np.dtype(np.int64))
    return next(
        candidate for candidate in candidates if bits <= int(np.iinfo(candidate).max).bit_length()
    )


def largest_of(ids: Array) -> int:
    """The largest of some ids, 0 of none."""
    return int(ids.max(initial=0)) if ids.ndim else int(ids)


def without_sentences(batch: FlatBatch, ids: Array, offsets: IntArray) -> FlatBatch:
    """The batch with other ids. Sentences are forgotten: their ends would be wrong."""
    return FlatBatch(
        ids,
        offsets,
        batch.keys,
        np.zeros(0, dtype=np.int64),
        np.zeros(len(batch) + 1, dtype=np.int64),
    )


def samples_between(batch: FlatBatch, first: int, last: int) -> FlatBatch:
    """The samples from `first` up to, not including, `last`; ids are not copied."""
    begin, end = batch.offsets[first], batch.offsets[last]
    sentences = slice(batch.sentence_offsets[first], batch.sentence_offsets[last])
    alternatives = heads = None
    if batch.alternatives is not None and batch.head_lengths is not None:
        alternatives = batch.alternatives.between(sentences.start, sentences.stop)
        heads = batch.head_lengths[sentences]
    return FlatBatch(
        batch.ids[begin:end],
        batch.offsets[first : last + 1] - begin,
        batch.keys[first:last],
        batch.sentence_ends[sentences] - begin,
        batch.sentence_offsets[first : last + 1] - sentences.start,
        heads,
        alternatives,
    )


def only_some(
    numbers: IntArray, batch: FlatBatch, probability: float, seed: int, epoch: int, purpose: Purpose
) -> IntArray:
    """(samples,): the numbers, but 0 for the samples that the corruption passes over (with 1 -
    `probability`).
    """
    if probability == 1:
        return numbers
    streams = stream_keys(seed, epoch, batch.keys, purpose)
    return numbers * happens(draw(streams, np.ones(len(batch), dtype=np.int64)), probability)


def order_within(rows: IntArray, draws: UIntArray) -> IntArray:
    """Indices that sort by row (ascending already), and by the upper 48 bits of the draws within a
    row.
    """
    if len(rows) and rows[-1] >= 1 << 16:
        return np.lexsort((draws >> 16, rows))
    packed = draws >> 16
    packed |= rows.astype(np.uint64) << 48
    return np.argsort(packed, kind="stable")
