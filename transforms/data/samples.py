"""Samples, and flat batches of samples: what noise processes and shards store.

    sample 0: 0 7 8 9 2    sample 1: 0 5 2         each with prefix 0 and suffix 2
    ids              0 7 8 9 2 0 5 2               (tokens,)
    offsets          0 5 8                         (samples + 1,)
    sentence_ends    3 4 7                         (sentences,): sample 0 has two sentences
    sentence_offsets 0 2 3                         (samples + 1,)

Noise processes all samples of a flat batch in a few numpy calls, without padding and without a
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
    """One encoded window: the tokens of some consecutive sentences of a document.

    `key` (0 to 2**64 - 1) is a hash of the document's id, its text and the number of the window. It
    seeds the random numbers and the shuffle, so that both are independent of the order in which
    samples arrive. `document` is the document's id, `window` the number of the window in it, from
    0.

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
    """Many samples, one after another in flat arrays.

    `ids` (tokens,) has any integer dtype; sample i is `ids[offsets[i]:offsets[i + 1]]`. `keys`
    (samples,) are the keys of the samples. Sentences are numbered through the batch: sample i has
    those from `sentence_offsets[i]` to `sentence_offsets[i + 1]` - 1, and `sentence_ends`
    (sentences,) are exclusive ends, positions in `ids`. The first sentence of a sample begins after
    the prefix. `head_lengths` (sentences,) and `alternatives` (a row per sentence) are as in
    `Sample`, or None.
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
    """Return samples as a flat batch, given the fields of `Sample` as ragged arrays, a row for each
    sample, and their keys.

    Each sample begins with `prefix_length` special tokens.

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
    """Return a list of samples (at least one) as a flat batch, in the same order.

    Each sample begins with `prefix_length` special tokens.
    """
    columns = {
        name: Ragged.of([sample.fields[name] for sample in samples]) for name in samples[0].fields
    }
    return flat_batch(
        columns, np.array([sample.key for sample in samples], dtype=np.uint64), prefix_length
    )


def sample_to_bytes(sample: Sample) -> bytes:
    """Return a sample as bytes, the same for equal samples; reading the bytes runs no code."""
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
    """Return the sample that `sample_to_bytes` wrote."""
    position = 4 + int.from_bytes(data[:4], "little")
    header = json.loads(data[4:position])
    fields = {}
    for name, dtype, length in header["fields"]:
        fields[name] = np.frombuffer(data, dtype=np.dtype(dtype), count=length, offset=position)
        position += fields[name].nbytes
    return Sample(header["key"], header["document"], header["window"], fields)
