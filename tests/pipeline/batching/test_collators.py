"""Collators against Hugging Face's, and against the noise of samples."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.vocabularies import BART_LIKE, GPT_LIKE
from torch.utils.data import DataLoader
from transformers import AutoTokenizer, DataCollatorForLanguageModeling

from noisebeam.pipeline.batching.collators import (
    CausalCollator,
    DenoisingCollator,
    GlmCollator,
    MlmCollator,
    PrefixCollator,
    SpanCollator,
    vocabulary_of,
)
from noisebeam.transforms.data.samples import Sample, batch_samples
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise import apply_recipe, load_recipe
from noisebeam.transforms.tokenization.tokenizer import load_tokenizer


def make_examples(count: int, *, most: int = 30, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    examples = []
    for _ in range(count):
        lengths = rng.integers(1, most // 3, size=rng.integers(1, 4)).tolist()
        ids = [0, *rng.integers(4, 90, size=sum(lengths)).tolist(), 2]
        examples.append(
            {"input_ids": ids, "attention_mask": [1] * len(ids), "sentence_lengths": lengths}
        )
    return examples


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def rows_of(batch: dict[str, torch.Tensor], name: str = "input_ids") -> list[list[int]]:
    """The rows without padding."""
    hidden = batch["attention_mask"] == 0 if name == "input_ids" else batch[name] == -100
    return [row[~gone].tolist() for row, gone in zip(batch[name], hidden, strict=True)]


# Denoising


@pytest.mark.parametrize("recipe", ["bart", "token-deletion", "document-rotation"])
def test_the_noise_is_that_of_samples_with_the_same_keys(recipe: str):
    examples = [{**example, "key": 1000 + i} for i, example in enumerate(make_examples(9))]
    batch = DenoisingCollator(recipe, BART_LIKE, seed=17, epoch=3)(examples)
    samples = [
        Sample(
            e["key"],
            "",
            0,
            {"ids": np.array(e["input_ids"]), "sentence_lengths": np.array(e["sentence_lengths"])},
        )
        for e in examples
    ]
    expected = apply_recipe(
        load_recipe(recipe), batch_samples(samples, 1), BART_LIKE, seed=17, epoch=3
    )
    for name in ("input_ids", "labels"):
        values, offsets = expected[name]
        assert rows_of(batch, name) == [values[a:b].tolist() for a, b in pairwise(offsets)]
    assert {values.dtype for values in batch.values()} == {torch.int64}
    assert rows_of(batch, "labels") == [example["input_ids"] for example in examples]


def test_noise_is_a_function_of_seed_epoch_and_ids():
    examples = make_examples(12)
    collator = DenoisingCollator("bart", BART_LIKE, seed=17)
    first = collator(examples)
    assert same(first, collator(examples))
    assert same(first, pickle.loads(pickle.dumps(collator))(examples))
    assert rows_of(collator(examples[::-1]))[::-1] == rows_of(first)
    assert rows_of(collator(examples[3:4])) == rows_of(first)[3:4]
    assert not same(first, DenoisingCollator("bart", BART_LIKE, seed=18)(examples))
    collator.set_epoch(1)
    assert not same(first, collator(examples))
    assert same(
        collator(examples), DenoisingCollator("bart", BART_LIKE, seed=17, epoch=1)(examples)
    )
    collator.set_epoch(0)
    assert same(first, collator(examples))


def test_widths_are_multiples():
    batch = DenoisingCollator("token-deletion", BART_LIKE, seed=1, pad_to_multiple_of=8)(
        make_examples(5)
    )
    assert {values.shape[1] % 8 for values in batch.values()} == {0}


def test_a_recipe_that_permutes_needs_sentences():
    examples = [{"input_ids": [0, 5, 6, 2]}]
    with pytest.raises(
        ValueError, match="example 0: the recipe permutes sentences and needs sentence_lengths"
    ):
        DenoisingCollator("bart", BART_LIKE, seed=1)(examples)
    assert DenoisingCollator("text-infilling", BART_LIKE, seed=1)(examples)["labels"].tolist() == [
        [0, 5, 6, 2]
    ]


def test_workers_that_stay_take_notice_of_the_epoch():
    examples = make_examples(8)
    collator = DenoisingCollator("bart", BART_LIKE, seed=17)
    loader = DataLoader(examples, 4, collate_fn=collator, num_workers=1, persistent_workers=True)
    for epoch in (0, 1, 0):
        collator.set_epoch(epoch)
        expected = [collator(examples[:4]), collator(examples[4:])]
        assert all(same(one, other) for one, other in zip(loader, expected, strict=True))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: DenoisingCollator("bert", BART_LIKE, 1),
            "expected a recipe with objective denoising, got 'bert' with mlm",
        ),
        (
            lambda: MlmCollator(BART_LIKE, 1, recipe="bart"),
            "MlmCollator: expected a recipe with objective mlm, got 'bart'",
        ),
        (
            lambda: SpanCollator(BART_LIKE, 1, recipe="bert"),
            "SpanCollator: expected a recipe with objective spans",
        ),
        (lambda: MlmCollator(GPT_LIKE, 1), "recipe 'bert': token-masking: needs a mask token"),
        (lambda: SpanCollator(GPT_LIKE, 1), "recipe 't5': span-corruption: needs sentinels"),
        (
            lambda: CausalCollator(Vocabulary(5)),
            "expected a tokenizer with an end-of-text token, found none",
        ),
        (
            lambda: CausalCollator(GPT_LIKE, padding_side="up"),
            "expected padding_side left or right, got 'up'",
        ),
    ],
)
def test_what_cannot_work_is_an_error_at_once(make: Any, text: str):
    with pytest.raises(ValueError, match=text):
        make()


def test_other_things_than_tokenizers_are_an_error():
    with pytest.raises(
        TypeError,
        match=r"expected a Vocabulary, a fast tokenizer of transformers or the name .* got int",
    ):
        CausalCollator(7)


@pytest.mark.parametrize("name", ["bart-base", "bert-base-uncased", "gpt2", "t5-base"])
def test_tokenizers_of_transformers_are_read_as_those_of_a_folder(shared: Path, name: str):
    folder = str(shared / "tokenizers" / name)
    expected = load_tokenizer(folder).vocabulary
    assert vocabulary_of(AutoTokenizer.from_pretrained(folder)) == vocabulary_of(folder) == expected


# MLM, beside DataCollatorForLanguageModeling


def mlm_shares(
    batch: dict[str, torch.Tensor], originals: Sequence[Sequence[int]], mask_id: int
) -> tuple[float, float, float, float]:
    """Shares: chosen of the ordinary tokens; masked, replaced and kept of the chosen ones."""
    ordinary = sum(len(ids) - 2 for ids in originals)
    chosen = batch["labels"] != -100
    count = int(chosen.sum())
    masked = int((batch["input_ids"][chosen] == mask_id).sum())
    kept = int((batch["input_ids"][chosen] == batch["labels"][chosen]).sum())
    return count / ordinary, masked / count, (count - masked - kept) / count, kept / count


def test_mlm_is_that_of_hugging_face_in_keys_shape_dtype_and_distribution(shared: Path):
    tokenizer = AutoTokenizer.from_pretrained(shared / "tokenizers/bert-base-uncased")
    rng = np.random.default_rng(1)
    originals = [
        [101, *rng.integers(1000, 30000, size=size).tolist(), 102]
        for size in rng.integers(20, 400, size=400)
    ]
    examples = [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in originals]
    theirs = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15, seed=1)(examples)
    ours = MlmCollator(tokenizer, seed=1)(examples)
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        assert (ours[name].shape, ours[name].dtype) == (values.shape, values.dtype)
    assert torch.equal(ours["attention_mask"], theirs["attention_mask"])
    for batch in (ours, theirs):
        assert mlm_shares(batch, originals, 103) == pytest.approx((0.15, 0.8, 0.1, 0.1), abs=0.012)
        chosen = batch["labels"] != -100
        clean = torch.where(chosen, batch["labels"], batch["input_ids"])
        assert rows_of({"input_ids": clean, "attention_mask": batch["attention_mask"]}) == originals
        # As likely at each place of a text: the mean place of what is chosen is its middle.
        places = [
            float(row.nonzero().float().mean()) / (len(ids) - 1)
            for row, ids in zip(chosen, originals, strict=True)
        ]
        assert np.mean(places) == pytest.approx(0.5, abs=0.02)


def test_mlm_chooses_exactly_the_share_in_each_row():
    examples = make_examples(30)
    chosen = (MlmCollator(BART_LIKE, seed=3)(examples)["labels"] != -100).sum(1).tolist()
    assert chosen == [int((len(example["input_ids"]) - 2) * 0.15 + 0.5) for example in examples]


# Spans


def test_spans_put_back_for_their_sentinels_give_the_text():
    examples = make_examples(20)
    batch = SpanCollator(BART_LIKE, seed=5)(examples)
    for inputs, labels, example in zip(
        rows_of(batch), rows_of(batch, "labels"), examples, strict=True
    ):
        spans: dict[int, list[int]] = {}
        for id_ in labels[:-1]:
            if 90 <= id_ < 98:
                spans[id_] = last = []
            else:
                last.append(id_)
        assert labels[-1] == 2
        assert [token for id_ in inputs for token in spans.get(id_, [id_])] == example["input_ids"]
    assert batch["labels"].dtype == torch.int64


# Causal


def test_causal_is_that_of_hugging_face_where_the_padding_is_a_token_of_its_own(shared: Path):
    tokenizer = AutoTokenizer.from_pretrained(shared / "tokenizers/bart-base")
    examples = [
        {"input_ids": [0, 5, 6, 2], "attention_mask": [1] * 4},
        {"input_ids": [0, 2], "attention_mask": [1, 1]},
    ]
    theirs = DataCollatorForLanguageModeling(tokenizer, mlm=False)(examples)
    assert same(dict(theirs), CausalCollator(tokenizer)(examples))


def test_the_end_of_text_is_appended_once_and_learnt_though_it_is_the_padding_too():
    batch = CausalCollator(GPT_LIKE)(
        [{"input_ids": [5, 6, 7]}, {"input_ids": [8]}, {"input_ids": [9, 99]}]
    )
    assert batch["input_ids"].tolist() == [[5, 6, 7, 99], [8, 99, 99, 99], [9, 99, 99, 99]]
    assert batch["labels"].tolist() == [[5, 6, 7, 99], [8, 99, -100, -100], [9, 99, -100, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]
    assert CausalCollator(GPT_LIKE, append_eos=False)([{"input_ids": [8]}])["labels"].tolist() == [
        [8]
    ]


def test_left_padding_with_positions():
    collator = CausalCollator(
        GPT_LIKE, padding_side="left", position_ids=True, pad_to_multiple_of=4
    )
    batch = collator([{"input_ids": [5, 6, 7, 8]}, {"input_ids": [9]}])
    assert batch["input_ids"].tolist() == [
        [99, 99, 99, 5, 6, 7, 8, 99],
        [99, 99, 99, 99, 99, 99, 9, 99],
    ]
    assert batch["labels"].tolist() == [[-100] * 4 + [6, 7, 8, 99], [-100] * 7 + [99]]
    assert batch["attention_mask"].tolist() == [[0, 0, 0, 1, 1, 1, 1, 1], [0] * 6 + [1, 1]]
    assert batch["position_ids"].tolist() == [[0, 0, 0, 0, 1, 2, 3, 4], [0] * 6 + [0, 1]]


# Prefix


def test_prefixes_are_seen_whole_and_not_learnt():
    examples = [
        {"input_ids": [5, 6, 7], "prefix_length": 2},
        {"input_ids": [8, 9], "prefix_length": 0},
    ]
    batch = PrefixCollator(GPT_LIKE, seed=1)(examples)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 99], [8, 9, 99, 99]]
    assert batch["labels"].tolist() == [[-100, -100, 7, 99], [8, 9, 99, -100]]
    assert batch["attention_mask"].shape == (2, 1, 4, 4)
    seen = (batch["attention_mask"][:, 0] == 0).int().tolist()
    assert seen[0] == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert seen[1] == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]]


def test_drawn_prefixes_are_even_leave_a_token_to_learn_and_change_with_the_epoch():
    examples = [{"input_ids": [5, 6, 7, 8], "key": key} for key in range(2000)]
    collator = PrefixCollator(GPT_LIKE, seed=1)
    lengths = (collator(examples)["labels"] == -100).sum(1)
    assert torch.bincount(lengths, minlength=6).tolist() == pytest.approx(
        [0, 500, 500, 500, 500, 0], abs=70
    )
    assert torch.equal(lengths, (collator(examples)["labels"] == -100).sum(1))
    collator.set_epoch(1)
    assert (
        lengths == (collator(examples)["labels"] == -100).sum(1)
    ).float().mean().item() == pytest.approx(0.25, abs=0.05)


def test_one_token_is_all_there_is_to_learn_and_none_is_no_error():
    batch = PrefixCollator(GPT_LIKE, seed=1, append_eos=False, mask_dtype=torch.bfloat16)(
        [{"input_ids": [5]}, []]
    )
    assert batch["labels"].tolist() == [[5], [-100]]
    assert batch["attention_mask"].dtype == torch.bfloat16
    assert batch["attention_mask"].flatten().tolist() == [0, 0]


def test_a_prefix_longer_than_its_example_is_an_error():
    with pytest.raises(ValueError, match="example 1: expected prefix_length from 0 to 3, got 4"):
        PrefixCollator(GPT_LIKE, seed=1)(
            [{"input_ids": [5]}, {"input_ids": [5, 6], "prefix_length": 4}]
        )


# GLM


def test_glm_gives_the_fields_of_the_recipe_with_mask_and_two_rows_of_positions():
    examples = [{**example, "key": 1000 + i} for i, example in enumerate(make_examples(9))]
    batch = GlmCollator(BART_LIKE, seed=17, epoch=3)(examples)
    samples = [
        Sample(
            e["key"], "", 0, {"ids": np.array(e["input_ids"]), "sentence_lengths": np.array([0])}
        )
        for e in examples
    ]
    expected = apply_recipe(
        load_recipe("glm"), batch_samples(samples, 1), BART_LIKE, seed=17, epoch=3
    )
    width = int(expected["input_ids"].lengths.max())
    assert batch["attention_mask"].shape == (9, 1, width, width)
    for i in range(9):
        size = int(expected["input_ids"].lengths[i])
        assert batch["input_ids"][i, :size].tolist() == expected["input_ids"].row(i).tolist()
        assert batch["labels"][i].tolist() == expected["labels"].row(i).tolist() + [-100] * (
            width - size
        )
        for row, name in enumerate(("position_ids", "block_position_ids")):
            assert batch["position_ids"][i, row, :size].tolist() == expected[name].row(i).tolist()
