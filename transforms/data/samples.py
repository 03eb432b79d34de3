"""Samples, and flat batches of them: what the noise kernels work on and what a shard stores.

A *sample* is one encoded window. A *flat batch* holds many samples one after the other in flat
arrays, so that a kernel treats all of them in a handful of numpy calls, without padding and without
a Python loop per sample.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_LONG = (
    64  # values: rows that are longer are quicker to copy one by one than by an index of each value
)


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of different lengths: `values` holds them end to end, row i is
    `values[offsets[i]:offsets[i + 1]]`.
    """

    values: Array  # (total,)
    offsets: IntArray  # (rows + 1,), from 0 up to total

    @classmethod
    def of(cls, rows: Sequence[Array]) -> Ragged:
        """Rows put end to end; int64 if there are none.

        >>> Ragged.of([np.array([5, 6]), np.array([7])])
        Ragged(values=array([5, 6, 7]), offsets=array([0, 2, 3]))
        """
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        return cls(
            np.concatenate(rows) if len(rows) else np.zeros(0, dtype=np.int64), offsets_of(lengths)
        )

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Ragged:
        """The rows of all parts (one at least), one after the other.

        >>> Ragged.joined([Ragged.of([np.array([5, 6])]), Ragged.of([np.array([7])])])
        Ragged(values=array([5, 6, 7]), offsets=array([0, 2, 3]))
        """
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(np.concatenate([part.values for part in parts]), offsets_of(lengths))

    def __iter__(self) -> Iterator[Array]:
        """To unpack: `values, offsets = ragged`."""
        return iter((self.values, self.offsets))

    @property
    def lengths(self) -> IntArray:
        """(rows,): the lengths of the rows."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def longest(self) -> int:
        """The length of the longest row; 0 if there is none."""
        return int(self.lengths.max(initial=0))

    def row(self, i: int) -> Array:
        """Row i, as a view."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def rows(self) -> list[Array]:
        """All rows, as views."""
        return [self.values[start:end] for start, end in pairwise(self.offsets.tolist())]

    def between(self, first: int, last: int) -> Ragged:
        """The rows from `first` up to, not including, `last`, and no more than there are; values
        are not copied.
        """
        bounds = self.offsets[first : last + 1]
        return Ragged(self.values[bounds[0] : bounds[-1]], bounds - bounds[0])

    def split(self, bounds: IntArray) -> Iterator[Ragged]:
        """The rows from each of these bounds up to, not including, the next; values are not
        copied.
        """
        return (self.between(first, last) for first, last in pairwise(bounds.tolist()))

    def take(self, rows: IntArray) -> Ragged:
        """These rows, in this order; values are copied.

        >>> Ragged.of([np.array([5, 6]), np.array([7])]).take(np.array([1, 0]))
        Ragged(values=array([7, 5, 6]), offsets=array([0, 1, 3]))
        """
        starts, ends = self.offsets[rows], self.offsets[rows + 1]
        offsets = offsets_of(ends - starts)
        if offsets[-1] > _LONG * len(rows):  # few long copies
            parts = [
                self.values[start:end]
                for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
            ]
            return Ragged(np.concatenate(parts), offsets)
        return Ragged(
            self.values[np.repeat(starts - offsets[:-1], ends - starts) + np.arange(offsets[-1])],
            offsets,
        )

    def mask(self, width: int) -> Mask:
        """(rows, width): True where a row has values."""
        return within(self.lengths, width)

    def fill_up(self, fill: int) -> None:
        """Do what can be done ahead of `padded` with this `fill`, for these rows and parts of them:
        here nothing.
        """

    def padded(self, mask: Mask, fill: int) -> IntArray:
        """(rows, width) int64: the rows where their `mask` is True, and else `fill`.

        >>> rows = Ragged.of([np.array([5, 6]), np.array([7])])
        >>> rows.padded(rows.mask(2), fill=0).tolist()
        [[5, 6], [7, 0]]
        """
        padded = np.full(mask.shape, fill, dtype=np.int64)
        padded[mask] = self.values
        return padded


class LazyRagged(Ragged):
    """Rows of known lengths, whose `values` are put end to end when they are asked for."""

    __setattr__ = (
        object.__setattr__
    )  # for `__init__`: that of a frozen class takes three times as long

    def __init__(self, lengths: IntArray) -> None:
        self._lengths = lengths

    @cached_property
    def values(self) -> Array:
        """(total,): the rows end to end."""
        return self._joined()

    @cached_property
    def offsets(self) -> IntArray:
        """(rows + 1,): where each row begins in `values`, and the end."""
        return offsets_of(self._lengths)

    @property
    def lengths(self) -> IntArray:
        """(rows,): the lengths of the rows."""
        return self._lengths

    @abstractmethod
    def _joined(self) -> Array:
        """The rows end to end."""


def offsets_of(lengths: Array) -> IntArray:
    """The offsets of rows with these lengths.

    >>> offsets_of(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def within(lengths: IntArray, width: int) -> Mask:
    """(rows, width): True where a row of this length has values.

    >>> within(np.array([2, 0]), 3).tolist()
    [[True, True, False], [False, False, False]]
    """
    return _steps(1 << width.bit_length())[:, :width][np.minimum(lengths, width)]


@lru_cache(maxsize=32)
def _steps(width: int) -> Mask:
    """(width + 1, width): row n begins with n times True. To copy rows of it is several times as
    fast as to compare.

    It takes two bytes for each column, for its rows overlap.
    """
    return sliding_window_view(np.arange(2 * width) < width, width)[::-1]


@dataclass(frozen=True, slots=True)
class Sample:
    """One encoded window.

    `key` (0 to 2**64 - 1) is a hash of the document's id, its text and the window's index. It names
    the sample to the random numbers and to the shuffle, so that both are independent of the order
    in which samples arrive.

    `fields` holds one-dimensional arrays, by name:

    - `ids`: token ids, special tokens included.
    - `sentence_lengths`: tokens of each sentence; together they cover `ids` but for its special
      prefix and suffix. White space before a sentence belongs to the sentence.
    - `head_lengths`, `alternative_lengths` (a number per sentence) and `alternatives` (ids): the
      encoding of the first word of a text differs from that of the same word after white space. A
      sentence that comes to be first, or stops being first, has its first `head_lengths` tokens
      replaced by its `alternative_lengths` tokens of `alternatives`. The three are absent with
      tokenizers for which there is no such difference.
    - after noise has been baked in, the objective's own fields, `input_ids` and `labels`.
    """

    key: int
    document: str
    window: int
    fields: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class FlatBatch:
    """Many samples in flat arrays.

    `ids` (tokens,) has any integer dtype; sample i is `ids[offsets[i]:offsets[i + 1]]`. Sentences
    are numbered through: those of sample i are `sentence_offsets[i]` up to `sentence_offsets[i +
    1]`, and `sentence_ends` (sentences,) are exclusive ends as positions in `ids`. The first
    sentence of a sample begins after the special prefix. `head_lengths` (sentences,) and
    `alternatives` (a row per sentence) are as in `Sample`; None where there are none.
    """

    ids: Array  # (tokens,)
    offsets: IntArray  # (samples + 1,)
    keys: npt.NDArray[np.uint64]  # (samples,)
    sentence_ends: IntArray  # (sentences,)
    sentence_offsets: IntArray  # (samples + 1,)
    head_lengths: IntArray | None = None  # (sentences,)
    alternatives: Ragged | None = None  # a row per sentence

    def __len__(self) -> int:
        return len(self.keys)


def flat_batch(columns: Mapping[str, Ragged], keys: Array, prefix_length: int) -> FlatBatch:
    """The flat batch of samples with these keys; `columns` are their fields (those of `Sample`), a
    row a sample.

    >>> batch = flat_batch({"ids": Ragged(np.array([0, 7, 8, 9, 2, 0, 5, 2]), np.array([0, 5, 8])),
    ...                     "sentence_lengths": Ragged(np.array([2, 1, 1]), np.array([0, 2, 3]))},
    ...                    keys=np.array([11, 12]), prefix_length=1)
    >>> batch.sentence_ends.tolist(), batch.sentence_offsets.tolist()
    ([3, 4, 7], [0, 2, 3])
    """
    ids, sentences = columns["ids"], columns["sentence_lengths"]
    within = offsets_of(sentences.values)
    starts = ids.offsets[:-1] + prefix_length - within[sentences.offsets[:-1]]
    ends = within[1:] + np.repeat(starts, sentences.lengths)
    heads = alternatives = None
    if "alternatives" in columns:
        heads = columns["head_lengths"].values.astype(np.int64)
        alternatives = Ragged(
            columns["alternatives"].values, offsets_of(columns["alternative_lengths"].values)
        )
    return FlatBatch(
        ids.values,
        ids.offsets,
        keys.astype(np.uint64),
        ends,
        sentences.offsets,
        heads,
        alternatives,
    )


def batch_samples(samples: Sequence[Sample], prefix_length: int) -> FlatBatch:
    """The flat batch of these samples (at least one), in their order."""
    columns = {
        name: Ragged.of([sample.fields[name] for sample in samples]) for name in samples[0].fields
    }
    return flat_batch(
        columns, np.array([sample.key for sample in samples], dtype=np.uint64), prefix_length
    )


def sample_to_bytes(sample: Sample) -> bytes:
    """A sample as bytes, the same for equal samples. No pickle: reading it can do no more than make
    a sample.
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in sample.fields.items()}
    header = {
        "key": sample.key,
        "document": sample.document,
        "window": sample.window,
        "fields": [(name, array.dtype.str, len(array)) for name, array in arrays.items()],
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join(
        [len(text).to_bytes(4, "little"), text, *(array.tobytes() for array in arrays.values())]
    )


def sample_from_bytes(data: bytes) -> Sample:
    """The inverse of `sample_to_bytes`."""
    position = 4 + int.from_bytes(data[:4], "little")
    header = json.loads(data[4:position])
    fields = {}
    for name, dtype, length in header["fields"]:
        fields[name] = np.frombuffer(data, dtype=np.dtype(dtype), count=length, offset=position)
        position += fields[name].nbytes
    return Sample(header["key"], header["document"], header["window"], fields)
