"""Warm-up of the sequence length: samples are truncated at the start of training."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray, Ragged, offsets_of

# a number for each sentence
_SENTENCE_FIELDS = (
    "sentence_lengths",
    "head_lengths",
    "alternative_lengths",
)


@dataclass(frozen=True)
class LengthWarmup:
    """Truncation of samples at the beginning of training: to `start` tokens at first, to more and
    more tokens later, and not at all after `samples` samples.

    The limit grows linearly with the number of samples seen in training, rounded down to a multiple
    of `multiple` tokens. It depends on the step alone: it is the same for all samples of a global
    batch. Samples are counted from the first epoch on, so that a resumed run continues. Li, Zhang
    and He, "The stability-efficiency dilemma" (2022), truncate batches in this way. The truncated
    rest of a sample is not trained on in that epoch. Noise is drawn after truncation, and the
    special tokens at the end of a sample stay.
    """

    samples: int
    start: int = 64
    multiple: int = 8

    def __post_init__(self) -> None:
        for name in ("samples", "start", "multiple"):
            if operator.index(getattr(self, name)) < 1:
                raise ValueError(
                    f"LengthWarmup: expected {name} of at least 1, got {getattr(self, name)}"
                )

    def tokens(self, done: int, longest: int) -> int | None:
        """Return the maximum number of tokens of a sample after `done` samples of training.

        `longest` is the length of the longest sample, in tokens. Returns None if no sample is
        truncated any more.

        >>> warmup = LengthWarmup(samples=1000, start=64)
        >>> [warmup.tokens(done, longest=512) for done in (0, 500, 999, 1000)]
        [64, 288, 504, None]
        """
        if done >= self.samples or self.start >= longest:
            return None
        grown = self.start + (longest - self.start) * done // self.samples
        return max(self.start, grown // self.multiple * self.multiple)


def truncate(
    columns: Mapping[str, Ragged], most: IntArray, prefix: int, suffix: int
) -> dict[str, Ragged]:
    """Return clean samples, each truncated to a number of tokens of its own.

    `columns` has the fields of `Sample` by name, a row for each sample. `most` (samples,) is the
    maximum number of tokens of each sample, special tokens included. The first `prefix` and the
    last `suffix` tokens of a sample are special tokens and stay. Sentence lengths and other fields
    are shortened likewise.

    >>> ids, sentences = Ragged.of([np.array([0, 5, 6, 7, 2])]), Ragged.of([np.array([1, 2])])
    >>> columns = {"ids": ids, "sentence_lengths": sentences}
    >>> short = truncate(columns, np.array([3]), prefix=1, suffix=1)
    >>> short["ids"].values.tolist(), short["sentence_lengths"].values.tolist()
    ([0, 5, 2], [1])
    """
    ids = columns["ids"]
    kept = np.minimum(ids.lengths, np.maximum(most, prefix + suffix))
    removed = ids.lengths - kept
    index, length = _index_in_row(ids), np.repeat(ids.lengths, ids.lengths)
    stay = (index < np.repeat(kept - suffix, ids.lengths)) | (index >= length - suffix)
    out = {**columns, "ids": _rows(ids, stay)}
    if "sentence_lengths" not in columns:
        return out
    sentences = columns["sentence_lengths"]
    ends = np.cumsum(sentences.values, dtype=np.int64)
    # where text ends now, of all text end to end
    body_ends = np.append(0, ends)[sentences.offsets[1:]] - removed
    lengths = np.minimum(
        sentences.values, np.repeat(body_ends, sentences.lengths) - (ends - sentences.values)
    )
    stay = lengths > 0
    shortened = {"sentence_lengths": lengths}
    if "alternatives" in columns:
        shortened["head_lengths"] = np.minimum(columns["head_lengths"].values, lengths)
        words = np.repeat(stay, columns["alternative_lengths"].values)
        out["alternatives"] = _rows(columns["alternatives"], words)
    for name in _SENTENCE_FIELDS:
        if name in columns:
            values = shortened.get(name, columns[name].values)
            out[name] = _rows(Ragged(values, sentences.offsets), stay)
    return out


def _index_in_row(rows: Ragged) -> IntArray:
    """Return the index of each value within its row, for all rows end to end: (values,) int64."""
    return np.arange(rows.offsets[-1]) - np.repeat(rows.offsets[:-1], rows.lengths)


def _rows(rows: Ragged, stay: Array) -> Ragged:
    """Return the rows with only those values where `stay` (values,) bool is True."""
    return Ragged(rows.values[stay], offsets_of(stay)[rows.offsets])
