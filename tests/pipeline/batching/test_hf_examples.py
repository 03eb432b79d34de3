from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import BatchEncoding

from noisebeam.pipeline.batching.hf_examples import flat_examples, ids_of, key_of
from noisebeam.transforms.data.samples import Sample, batch_samples
from noisebeam.transforms.data.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    size=100, prefix=(0,), suffix=(2,), special_ids=(0, 1, 2, 99), pad_id=1, mask_id=99, eos_id=2
)
IDS = [0, 7, 8, 9, 2]
FIELDS = {
    "sentence_lengths": [1, 2],
    "head_lengths": [1, 1],
    "alternative_lengths": [2, 1],
    "alternatives": [17, 18, 19],
}


@pytest.mark.parametrize(
    "example",
    [
        {"input_ids": IDS},
        {"input_ids": np.array(IDS, dtype=np.uint16), "token_type_ids": [0] * 5},
        {"input_ids": torch.tensor(IDS), "attention_mask": torch.ones(5)},
        {"input_ids": [1, 1, *IDS, 1], "attention_mask": [0, 0, 1, 1, 1, 1, 1, 0]},
        {"input_ids": torch.tensor([*IDS, 1]), "attention_mask": np.array([True] * 5 + [False])},
        BatchEncoding({"input_ids": IDS, "attention_mask": [1] * 5}),
        IDS,
        torch.tensor(IDS),
    ],
)
def test_lists_arrays_and_tensors_with_and_without_padding_are_one_example(example: Any):
    (ids,) = ids_of([example], VOCABULARY)
    assert ids.tolist() == IDS
    assert ids.dtype == np.int64


def test_keys_are_given_or_come_from_the_ids_alone():
    ids = np.array(IDS)
    assert (
        key_of({"key": 5}, ids)
        == key_of({"key": np.uint64(5)}, ids)
        == key_of({"key": torch.tensor(5)}, ids)
        == 5
    )
    assert key_of({"key": -1}, ids) == 2**64 - 1
    assert key_of({}, ids) == key_of(IDS, ids.astype(np.int32)) != key_of({}, ids[:-1])


def test_examples_with_sentences_are_the_batch_of_their_samples():
    examples = [
        {"input_ids": IDS, "key": 3, **FIELDS},
        {"input_ids": IDS[:2] + IDS[-1:], "key": 4, **one_sentence()},
    ]
    found = flat_examples(examples, VOCABULARY, with_sentences=True)
    samples = [
        Sample(
            e["key"],
            "",
            0,
            {"ids": np.array(e["input_ids"]), **{k: np.array(e[k]) for k in FIELDS}},
        )
        for e in examples
    ]
    expected = batch_samples(samples, prefix_length=1)
    for name in ("ids", "offsets", "keys", "sentence_ends", "sentence_offsets", "head_lengths"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()
    assert found.sentence_ends.tolist() == [2, 4, 7]
    assert found.alternatives is not None
    assert found.alternatives.row(0).tolist() == [17, 18]


def one_sentence() -> dict[str, list[int]]:
    return {
        "sentence_lengths": [1],
        "head_lengths": [1],
        "alternative_lengths": [1],
        "alternatives": [17],
    }


def test_sentences_that_are_not_asked_for_are_left_out():
    batch = flat_examples(
        [{"input_ids": IDS, "sentence_lengths": [9]}], VOCABULARY, with_sentences=False
    )
    assert len(batch.sentence_ends) == 0
    assert batch.ids.tolist() == IDS


@pytest.mark.parametrize(
    ("examples", "text"),
    [
        ([], "expected one example or more, got none"),
        ([IDS, {"ids": IDS, "text": "x"}], "example 1: expected input_ids, found ids, text"),
        (
            [{"input_ids": torch.tensor([IDS])}],
            r"example 0: expected one row of integers as input_ids, got int64 \(1, 5\)",
        ),
        (
            [{"input_ids": [0.5]}],
            r"example 0: expected one row of integers as input_ids, got float64 \(1,\)",
        ),
        (
            [{"input_ids": IDS, "attention_mask": [1]}],
            r"example 0: expected attention_mask of shape \(5,\), got \(1,\)",
        ),
        (
            [IDS, [0, 100, 2]],
            "example 1: expected ids from 0 to 99, got 0 to 100; is it this tokenizer's",
        ),
        ([[-100, 5]], "example 0: expected ids from 0 to 99, got -100 to 5"),
    ],
)
def test_other_examples_are_errors_that_say_which(examples: list[Any], text: str):
    with pytest.raises(ValueError, match=text):
        ids_of(examples, VOCABULARY)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {},
            r"example 1: the recipe permutes sentences and needs sentence_lengths",
        ),
        (
            {"sentence_lengths": [1, 2]},
            "example 1: the recipe permutes sentences and needs head_lengths",
        ),
        (
            {**FIELDS, "sentence_lengths": [1, 3]},
            r"add up to 3 \(5 ids, 2 of them around the text\), got 4",
        ),
    ],
)
def test_missing_and_wrong_sentences_are_errors_that_say_which(fields: dict[str, Any], text: str):
    with pytest.raises(ValueError, match=text):
        flat_examples(
            [{"input_ids": IDS, **FIELDS}, {"input_ids": IDS, **fields}],
            VOCABULARY,
            with_sentences=True,
        )
