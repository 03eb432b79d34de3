"""What a recipe did, told by the kernels' own choices: always what the kernels really did."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noisebeam.pipeline.inspect.trace import GONE, Token, source_tokens, trace_recipe
from noisebeam.transforms.data.samples import FlatBatch, Sample, batch_samples
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise import PRESETS, Recipe, apply_recipe, load_recipe
from noisebeam.transforms.noise.corruption import NEW, Change

VOCABULARY = Vocabulary(
    1000,
    prefix=(0,),
    suffix=(2,),
    special_ids=(0, 1, 2, 3, *range(897, 1000)),
    special_tokens=(
        "<s>",
        "<pad>",
        "</s>",
        "<mask>",
        "[R]",
        "[S]",
        "[X]",
        *(f"<{i}>" for i in range(900, 1000)),
    ),
    pad_id=1,
    mask_id=3,
    bos_id=0,
    eos_id=2,
    sentinel_ids=tuple(range(999, 899, -1)),
    continues_word_hex="55" * 125,
)
ONE_STEP = [name for name in PRESETS if len(load_recipe(name).corruptions) == 1]


def batch_of(sentences: list[list[int]], key: int = 7, alternatives: bool = False) -> FlatBatch:
    ids = np.array([0, *(id_ for sentence in sentences for id_ in sentence), 2])
    fields = {"ids": ids, "sentence_lengths": np.array([len(sentence) for sentence in sentences])}
    if alternatives:
        ones = np.ones(len(sentences), dtype=np.int64)
        fields |= {
            "head_lengths": ones,
            "alternative_lengths": 2 * ones,
            "alternatives": 800 + np.arange(2 * len(ones)),
        }
    return batch_samples([Sample(key, "d", 0, fields)], prefix_length=1)


def last(recipe: Recipe, batch: FlatBatch) -> list[Token]:
    *_, (_, tokens) = trace_recipe(recipe, batch, VOCABULARY, seed=17, epoch=0)
    return tokens


def live(tokens: list[Token]) -> list[int]:
    return [token.id for token in tokens if token.change not in GONE]


sentences = st.lists(st.lists(st.integers(4, 799), min_size=1, max_size=12), min_size=1, max_size=6)


@settings(deadline=None, max_examples=200)
@given(
    name=st.sampled_from(PRESETS),
    sentences=sentences,
    key=st.integers(0, 2**64 - 1),
    alternatives=st.booleans(),
)
def test_what_is_left_is_the_input_and_each_token_of_the_source_is_accounted_for(
    name: str, sentences: list[list[int]], key: int, alternatives: bool
) -> None:
    recipe, batch = load_recipe(name), batch_of(sentences, key, alternatives)
    tokens = last(recipe, batch) if recipe.corruptions else source_tokens(batch, VOCABULARY)
    assert (
        live(tokens) == apply_recipe(recipe, batch, VOCABULARY, 17, 0)["input_ids"].values.tolist()
    )
    if not alternatives:
        origins = [
            token.origin
            for token in tokens
            if token.origin != NEW and token.change is not Change.LABEL
        ]
        assert sorted(origins) == list(range(len(batch.ids)))
        assert all(token.id == batch.ids[token.origin] for token in tokens if token.origin != NEW)


@pytest.mark.parametrize("name", ONE_STEP)
def test_kinds_are_as_many_as_the_recipe_says(name: str) -> None:
    batch = batch_of([list(range(4 + 50 * i, 54 + 50 * i)) for i in range(4)])
    corruption = load_recipe(name).corruptions[0]
    kinds = Counter(token.change for token in last(load_recipe(name), batch))
    share = getattr(corruption, "share", None)
    added = kinds[Change.INSERTED] if corruption.name == "token-insertion" else 0
    noised = added + sum(kinds[kind] for kind in (Change.COVERED, Change.DELETED, Change.CHOSEN))
    if share is not None and not getattr(corruption, "whole_words", False):
        assert noised == round(200 * share)
    assert kinds[Change.SPECIAL] == 2


def test_masks_come_before_what_they_stand_for() -> None:
    recipe = load_recipe(
        {"corruptions": [{"text-infilling": {"share": 0.5, "lengths": {"fixed": 2}}}]}
    )
    tokens = last(recipe, batch_of([[10, 11, 12, 13]]))
    at = next(i for i, token in enumerate(tokens) if token.change is Change.MASKED)
    assert [token.change for token in tokens[at : at + 3]] == [
        Change.MASKED,
        Change.COVERED,
        Change.COVERED,
    ]
    assert tokens[at + 1].origin + 1 == tokens[at + 2].origin


def test_what_is_gone_moves_with_the_token_before_it() -> None:
    steps = [{"token-deletion": {"share": 0.5}}, "document-rotation"]
    first, second = (
        tokens
        for _, tokens in trace_recipe(
            load_recipe({"corruptions": steps}),
            batch_of([[10, 11, 12, 13, 14, 15]]),
            VOCABULARY,
            17,
            0,
        )
    )
    deleted = [token for token in first if token.change is Change.DELETED]
    assert sorted(deleted) == sorted(token for token in second if token.change is Change.DELETED)
    for token in deleted:
        before = first[first.index(token) - 1]
        if before.change is Change.KEPT:
            assert second[second.index(token) - 1].origin == before.origin


def test_only_sentences_in_another_place_are_moved() -> None:
    batch = batch_of([[10, 11], [20, 21], [30, 31]])
    tokens = last(load_recipe("sentence-permutation"), batch)
    for place, token in enumerate(tokens):
        assert (token.change is Change.MOVED) == (token.origin != place)


def test_bert_leaves_some_of_the_chosen_tokens_as_they_are() -> None:
    batch = batch_of([list(range(4, 704))])
    labels = apply_recipe(load_recipe("bert"), batch, VOCABULARY, 17, 0)["labels"].values
    tokens = last(load_recipe("bert"), batch)
    chosen = {token.origin for token in tokens if token.change in (Change.CHOSEN, Change.COVERED)}
    assert chosen == set(np.flatnonzero(labels >= 0).tolist())
    assert Counter(token.change for token in tokens)[Change.CHOSEN] > 0
