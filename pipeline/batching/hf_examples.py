"""Examples of Hugging Face data sets -> token ids, keys and flat batches.

An example is a mapping with `input_ids`, or bare ids; `noisebeam.pipeline.batching.collators` lists
its other fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray, offsets_of
from noisebeam.transforms.data.samples import FlatBatch, Sample, batch_samples
from noisebeam.transforms.data.vocabulary import Vocabulary

_HEADS = ("head_lengths", "alternative_lengths", "alternatives")


def field(example: Any, name: str) -> Any:
    """Return a field of an example by name; None if the example does not have it.

    An example is a mapping, or bare token ids, which have the field `input_ids` alone.
    """
    if isinstance(example, Mapping):
        return example.get(name)
    return example if name == "input_ids" else None


def ids_of(examples: Sequence[Any], vocabulary: Vocabulary) -> list[IntArray]:
    """Return the token ids of each example, int64, without the padding that its `attention_mask`
    marks.

    Raises ValueError, with the number of the example, if ids are missing, of a wrong type or shape,
    or not in the vocabulary.
    """
    if not len(examples):
        raise ValueError("expected one example or more, got none")
    return [_ids(example, i, vocabulary.size) for i, example in enumerate(examples)]


def _ids(example: Any, i: int, size: int) -> IntArray:
    """Return the checked ids of example number `i`: (tokens,) int64, from 0 to `size` - 1, without
    padding.
    """
    found = field(example, "input_ids")
    if found is None:
        raise ValueError(
            f"example {i}: expected input_ids, found {', '.join(map(str, example)) or 'nothing'}"
        )
    ids = np.asarray(found)
    if ids.ndim != 1 or not (np.issubdtype(ids.dtype, np.integer) or not ids.size):
        raise ValueError(
            f"example {i}: expected one row of integers as input_ids, got {ids.dtype} {ids.shape}"
        )
    mask = field(example, "attention_mask")
    if mask is not None:
        if np.shape(mask) != ids.shape:
            raise ValueError(
                f"example {i}: expected attention_mask of shape {ids.shape}, got {np.shape(mask)}"
            )
        ids = ids[np.asarray(mask) != 0]
    if ids.size and not 0 <= ids.min() <= ids.max() < size:
        raise ValueError(
            f"example {i}: expected ids from 0 to {size - 1}, got {ids.min()} to {ids.max()}; is "
            "it this tokenizer's?"
        )
    return ids.astype(np.int64)


def key_of(example: Any, ids: IntArray) -> int:
    """Return the number that seeds the noise of an example: its field `key` modulo 2**64, else a
    hash of its ids.

    >>> key_of({"key": 7}, np.array([5, 6])), key_of({}, np.array([5, 6]))
    (7, 15160603429994886397)
    """
    key = field(example, "key")
    if key is not None:
        return int(key) % 2**64
    return int.from_bytes(blake2b(ids.astype("<i8").tobytes(), digest_size=8).digest(), "little")


def flat_examples(
    examples: Sequence[Any], vocabulary: Vocabulary, with_sentences: bool
) -> FlatBatch:
    """Return a list of examples as a flat batch, whose samples are one after another in 1-D arrays.

    If `with_sentences` is True, every example must have sentence lengths; ValueError is raised if
    not.
    """
    rows = ids_of(examples, vocabulary)
    keys = [key_of(example, ids) for example, ids in zip(examples, rows, strict=True)]
    if with_sentences:
        names = (
            "sentence_lengths",
            *(name for name in _HEADS if field(examples[0], name) is not None),
        )
        samples = [
            Sample(key, "", 0, {"ids": ids, **_sentences(example, i, names, len(ids), vocabulary)})
            for i, (example, ids, key) in enumerate(zip(examples, rows, keys, strict=True))
        ]
        return batch_samples(samples, len(vocabulary.prefix))
    return flat_rows(rows, keys)


def flat_rows(rows: Sequence[IntArray], keys: Sequence[int]) -> FlatBatch:
    """Return rows of ids, and the key that seeds the noise of each row, as a flat batch without
    sentence ends.
    """
    return FlatBatch(
        ids=np.concatenate(rows),
        offsets=offsets_of(np.array([len(row) for row in rows])),
        keys=np.array(keys, dtype=np.uint64),
        sentence_ends=np.zeros(0, dtype=np.int64),
        sentence_offsets=np.zeros(len(rows) + 1, dtype=np.int64),
    )


def _sentences(
    example: Any, i: int, names: Sequence[str], tokens: int, vocabulary: Vocabulary
) -> dict[str, Array]:
    """Return the fields named `names`, which describe the sentences of example number `i`, as int64
    arrays.

    Raises ValueError if one is missing, or if the sentence lengths do not add up to the `tokens` of
    the example without special tokens.
    """
    found = {name: field(example, name) for name in names}
    missing = [name for name, values in found.items() if values is None]
    if missing:
        raise ValueError(
            f"example {i}: the recipe permutes sentences and needs {missing[0]} (tokens of each), "
            "and there is none; "
            "add it to the examples and set remove_unused_columns=False, or take a recipe without "
            "sentence-permutation"
        )
    fields = {name: np.asarray(values, dtype=np.int64) for name, values in found.items()}
    covered, framed = (
        int(fields["sentence_lengths"].sum()),
        len(vocabulary.prefix) + len(vocabulary.suffix),
    )
    if covered != tokens - framed:
        raise ValueError(
            f"example {i}: expected sentence_lengths that add up to {tokens - framed} ({tokens} "
            f"ids, {framed} of them "
            f"around the text), got {covered}; cut an example between sentences"
        )
    return fields
