"""Small steps that several corruptions share: ranges of positions, dtypes, parts of a batch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from noisebeam.transforms.noise.draws import Purpose, counting, draw, happens, stream_keys
from noisebeam.transforms.samples import Array, FlatBatch, IntArray, Ragged


def ranges(starts: IntArray, lengths: IntArray) -> IntArray:
    """The numbers of half-open ranges, end to end.

    >>> ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    ends = np.cumsum(lengths)
    numbers = np.repeat(starts - ends + lengths, lengths)
    numbers += counting(len(numbers))
    return numbers


def dtype_for(dtype: npt.DTypeLike, largest: int) -> np.dtype[np.signedinteger | np.unsignedinteger]:  # type: ignore[type-arg]
    """The integer dtype itself if it holds `largest`, else int32 or int64.

    >>> dtype_for(np.uint8, 50264)
    dtype('int32')
    """
    candidates = (np.dtype(dtype), np.dtype(np.int32), np.dtype(np.int64))
    return next(candidate for candidate in candidates if largest <= np.iinfo(candidate).max)


def without_sentences(batch: FlatBatch, ids: Array, offsets: IntArray) -> FlatBatch:
    """The batch with other ids. Sentences are forgotten: their ends would be wrong."""
    return FlatBatch(ids, offsets, batch.keys, np.zeros(0, dtype=np.int64), np.zeros(len(batch) + 1, dtype=np.int64))


def samples_between(batch: FlatBatch, first: int, last: int) -> FlatBatch:
    """The samples from `first` up to, not including, `last`; ids are not copied."""
    begin, end = batch.offsets[first], batch.offsets[last]
    sentences = slice(batch.sentence_offsets[first], batch.sentence_offsets[last])
    alternatives = heads = None
    if batch.alternatives is not None and batch.head_lengths is not None:
        bounds = batch.alternatives.offsets[sentences.start : sentences.stop + 1]
        alternatives = Ragged(batch.alternatives.values[bounds[0] : bounds[-1]], bounds - bounds[0])
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
    """(samples,): the numbers, but 0 for the samples that the corruption passes over (with 1 - `probability`)."""
    if probability == 1:
        return numbers
    streams = stream_keys(seed, epoch, batch.keys, purpose)
    return numbers * happens(draw(streams, np.ones(len(batch), dtype=np.int64)), probability)
