"""Samples, and flat batches of samples: what noise kernels process and shards store.

    window 0: 0 7 8 9 2    window 1: 0 5 2         each with prefix 0 and suffix 2
    ids              0 7 8 9 2 0 5 2               (tokens,)
    offsets          0 5 8                         (samples + 1,)
    sentence_ends    3 4 7                         (sentences,): window 0 has two sentences
    sentence_offsets 0 2 3                         (samples + 1,)

A kernel processes all samples of a flat batch in a few numpy calls, without padding and without a
Python loop over samples.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noisebeam.transforms.data.ragged import Array, IntArray, Ragged, offsets_of


@dataclass(frozen=True, slots=True)
class Sample:
    """One encoded window.

    `key` (0 to 2**64 - 1) is a hash of the document's id, its text and the window's index. It seeds
    the random numbers and the shuffle, so that both are independent of the order in which samples
    arrive.

    `fields` holds one-dimensional arrays, by name:

    - `ids`: token ids, special tokens included.
    - `sentence_lengths`: tokens of each sentence. Together they cover `ids` except for prefix and
      suffix. White space before a sentence belongs to the sentence.
    - `head_lengths`, `alternative_lengths` (a number per sentence) and `alternatives` (ids), if the
      tokenizer encodes the first word of a text differently from the same word after white space. A
      sentence that becomes the first one, or stops being it, has its first `head_lengths` tokens
      replaced by its `alternative_lengths` tokens of `alternatives`.
    - `input_ids`, `labels` and other fields of the objective, if noise is baked in.
    """

    key: int
    document: str
    window: int
    fields: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class FlatBatch:
    """Many samples in flat arrays.

    `ids` (tokens,) has any integer dtype; sample i is `ids[offsets[i]:offsets[i + 1]]`. Sentences
    are numbered through the batch: sample i has those from `sentence_offsets[i]` to
    `sentence_offsets[i + 1]` - 1, and `sentence_ends` (sentences,) are exclusive ends, positions in
    `ids`. The first sentence of a sample begins after the prefix. `head_lengths` (sentences,) and
    `alternatives` (a row per sentence) are as in `Sample`, or None.
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
    """Return the flat batch of samples, given their fields (those of `Sample`), a row a sample, and
    keys.

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
    """Return the flat batch of some samples (at least one), in their order."""
    columns = {
        name: Ragged.of([sample.fields[name] for sample in samples]) for name in samples[0].fields
    }
    return flat_batch(
        columns, np.array([sample.key for sample in samples], dtype=np.uint64), prefix_length
    )


def sample_to_bytes(sample: Sample) -> bytes:
    """Return a sample as bytes, the same for equal samples; reading them runs no code."""
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
    """Return the sample of its bytes, the inverse of `sample_to_bytes`."""
    position = 4 + int.from_bytes(data[:4], "little")
    header = json.loads(data[4:position])
    fields = {}
    for name, dtype, length in header["fields"]:
        fields[name] = np.frombuffer(data, dtype=np.dtype(dtype), count=length, offset=position)
        position += fields[name].nbytes
    return Sample(header["key"], header["document"], header["window"], fields)
