"""Small operations on flat batches and ragged arrays that several corruptions use.

A flat batch has the samples one after another in 1-D arrays; sample i has the ids `offsets[i]` to
`offsets[i + 1]` - 1.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from noisebeam.transforms.data.ragged import Array, IntArray
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.noise.rng import Stream, UIntArray, counting, draw, happens, stream_keys


class Replacements(NamedTuple):
    """Tokens to write over others: positions in `FlatBatch.ids`, in any order, and the new ids.

    `ids` is (positions,), or has shape () for the same id everywhere.
    """

    positions: IntArray  # in `FlatBatch.ids`, in any order
    ids: Array  # (positions,), or () for the same id everywhere


def differences(offsets: IntArray) -> IntArray:
    """Return the lengths of rows (rows,), given their offsets (rows + 1,).

    The same as `numpy.diff`, in a quarter of its time on short arrays.

    >>> differences(np.array([0, 2, 2, 5])).tolist()
    [2, 0, 3]
    """
    return offsets[1:] - offsets[:-1]


def ranges(starts: IntArray, lengths: IntArray) -> IntArray:
    """Return the integers of several ranges, one range after another: (sum of lengths,) int64.

    Range i has `lengths[i]` integers, from `starts[i]` on.

    >>> ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    # (ranges,) -> (total,): number = index in the result + (start - offset of the range)
    shifts = starts + lengths
    shifts -= lengths.cumsum()
    numbers = shifts.repeat(lengths)
    numbers += counting(len(numbers))
    return numbers


def dtype_for(dtype: npt.DTypeLike, largest: int) -> np.dtype[Any]:
    """Return the integer type `dtype` if it can hold `largest`, else int32, else int64.

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
    """Return the largest of some ids; 0 if there are none."""
    return int(ids.max(initial=0)) if ids.ndim else int(ids)


def without_sentences(batch: FlatBatch, ids: Array, offsets: IntArray) -> FlatBatch:
    """Return the samples of a flat batch with new ids and offsets, and without sentence ends, which
    would be wrong.
    """
    return FlatBatch(
        ids,
        offsets,
        batch.keys,
        np.zeros(0, dtype=np.int64),
        np.zeros(len(batch) + 1, dtype=np.int64),
    )


def replace_tokens(batch: FlatBatch, replacements: Replacements) -> FlatBatch:
    """Return the flat batch with tokens replaced; lengths and sentences are unchanged.

    >>> from noisebeam.transforms.data.samples import Sample, batch_samples
    >>> fields = {"ids": np.array([0, 7, 8, 2]), "sentence_lengths": np.array([2])}
    >>> batch = batch_samples([Sample(1, "d", 0, fields)], prefix_length=1)
    >>> replace_tokens(batch, Replacements(np.array([2]), np.array([9]))).ids.tolist()
    [0, 7, 9, 2]
    """
    ids = batch.ids.astype(dtype_for(batch.ids.dtype, largest_of(replacements.ids)))
    ids[replacements.positions] = replacements.ids[()]
    return FlatBatch(
        ids,
        batch.offsets,
        batch.keys,
        batch.sentence_ends,
        batch.sentence_offsets,
        batch.head_lengths,
        batch.alternatives,
    )


def samples_between(batch: FlatBatch, first: int, last: int) -> FlatBatch:
    """Return samples `first` to `last` - 1 of a flat batch as a flat batch; ids are not copied."""
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
    numbers: IntArray, batch: FlatBatch, probability: float, seed: int, epoch: int, stream: Stream
) -> IntArray:
    """Return `numbers` (samples,) with 0 for the samples that a corruption skips.

    Each sample is skipped with probability 1 - `probability`, with random numbers of `stream`.
    """
    if probability == 1:
        return numbers
    streams = stream_keys(seed, epoch, batch.keys, stream)
    return numbers * happens(draw(streams, np.ones(len(batch), dtype=np.int64)), probability)


def order_within(rows: IntArray, draws: UIntArray) -> IntArray:
    """Return the order (items,) that shuffles the items of each row: indices sorted by row, then by
    random number.

    `rows` (items,) is the row of each item, ascending; `draws` (items,) uint64 are random numbers,
    of which the upper 48 bits count.
    """
    if len(rows) and rows[-1] >= 1 << 16:
        return np.lexsort((draws >> 16, rows))
    packed = draws >> 16
    packed |= rows.astype(np.uint64) << 48
    return np.argsort(packed, kind="stable")
