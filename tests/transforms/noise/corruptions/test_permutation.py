"""Sentence permutation: all orders, and ids that are those of the permuted text."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.data.ragged import Ragged, offsets_of
from noisebeam.transforms.noise.corruptions.permutation import (
    SentencePermutation,
    choose_order,
    permute_sentences,
    reorder_sentences,
)
from noisebeam.transforms.noise.corruptions.text_infilling import infill_text

sentences = st.lists(st.lists(st.integers(3, 98), min_size=1, max_size=6), max_size=6)
samples = st.lists(sentences, max_size=5)


@given(samples)
def test_sentences_are_permuted_whole_between_prefix_and_suffix(
    make_batch, to_rows, vocabulary, samples
) -> None:
    batch = make_batch(samples)
    order = choose_order(batch, SentencePermutation(), 1, 0)
    permuted = permute_sentences(batch, vocabulary, seed=1)
    flat = [sentence for sample in samples for sentence in sample]
    for i, row in enumerate(to_rows(permuted)):
        places = order[batch.sentence_offsets[i] : batch.sentence_offsets[i + 1]]
        assert sorted(places) == list(
            range(batch.sentence_offsets[i], batch.sentence_offsets[i + 1])
        )
        assert row == [0, *(id_ for place in places for id_ in flat[place]), 2]


@given(samples)
def test_sentence_ends_move_along(make_batch, vocabulary, samples) -> None:
    batch = make_batch(samples)
    order = choose_order(batch, SentencePermutation(), 1, 0)
    permuted = permute_sentences(batch, vocabulary, seed=1)
    flat = [sentence for sample in samples for sentence in sample]
    for end, place in zip(permuted.sentence_ends, order, strict=True):
        assert permuted.ids[end - len(flat[place]) : end].tolist() == flat[place]


@st.composite
def forms(draw: st.DrawFn) -> list[list[tuple[list[int], list[int], list[int]]]]:
    """Samples of sentences, each with its form at the start of a text, its continuing form, and
    what both end with.
    """
    part = st.lists(st.integers(4, 89), max_size=3)
    some = st.lists(st.integers(4, 89), min_size=1, max_size=3)
    return draw(st.lists(st.lists(st.tuples(some, part, part), max_size=5), min_size=1, max_size=4))


@given(forms())
def test_the_first_sentence_has_its_form_at_the_start_and_the_others_their_continuing_form(
    make_batch, to_rows, vocabulary, samples
) -> None:
    stored = [
        [
            (start if i == 0 else continuing) + rest
            for i, (start, continuing, rest) in enumerate(sample)
        ]
        for sample in samples
    ]
    heads = [
        (s, c) if i == 0 else (c, s) for sample in samples for i, (s, c, _) in enumerate(sample)
    ]
    others = [id_ for _, other in heads for id_ in other]
    batch = replace(
        make_batch(stored),
        head_lengths=np.array([len(head) for head, _ in heads], dtype=np.int64),
        alternatives=Ragged(
            np.array(others, dtype=np.int32),
            offsets_of(np.array([len(other) for _, other in heads], dtype=np.int64)),
        ),
    )
    order = choose_order(batch, SentencePermutation(), 1, 0)
    flat = [sentence for sample in samples for sentence in sample]
    for i, row in enumerate(to_rows(permute_sentences(batch, vocabulary, seed=1))):
        expected = [0]
        for j, place in enumerate(order[batch.sentence_offsets[i] : batch.sentence_offsets[i + 1]]):
            start, continuing, rest = flat[place]
            expected += (start if j == 0 else continuing) + rest
        assert row == [*expected, 2]


def test_all_orders_are_equally_likely(make_batch) -> None:
    trials = 24_000
    batch = make_batch([[[5], [6], [7], [8]]] * trials)
    order = (
        choose_order(batch, SentencePermutation(), 1, 0).reshape(trials, 4)
        - 4 * np.arange(trials)[:, None]
    )
    seen = np.unique(order @ [64, 16, 4, 1], return_counts=True)[1]
    assert len(seen) == len(list(permutations(range(4))))
    assert ((seen - 1000) ** 2 / 1000).sum() < 23 + 5 * np.sqrt(46)


def test_more_samples_than_fit_16_bits_are_permuted_alike(make_batch) -> None:
    keys = np.arange(70_000)
    batch = make_batch([[[5], [6], [7]]] * 70_000, keys=keys)
    small = make_batch([[[5], [6], [7]]] * 3, keys=keys[-3:])
    order = choose_order(batch, SentencePermutation(), 1, 0)[-9:] - 3 * 69_997
    assert order.tolist() == choose_order(small, SentencePermutation(), 1, 0).tolist()


def test_a_given_order(make_batch, to_rows) -> None:
    batch = make_batch([[[5, 6], [7], [8, 9]], [[4]]])
    assert to_rows(reorder_sentences(batch, np.array([2, 0, 1, 3]), 1)) == [
        [0, 8, 9, 5, 6, 7, 2],
        [0, 4, 2],
    ]


def test_padding_and_what_follows_the_last_sentence_stay(make_batch, to_rows) -> None:
    batch = make_batch([[[5, 6], [7], [2, 1, 1]]])
    padded = replace(
        batch, sentence_ends=batch.sentence_ends[:2], sentence_offsets=np.array([0, 2])
    )
    assert to_rows(reorder_sentences(padded, np.array([1, 0]), 1)) == [[0, 7, 5, 6, 2, 1, 1, 2]]


def test_only_some_samples_with_a_probability(make_batch) -> None:
    batch = make_batch([[[5], [6], [7], [8], [9]]] * 1000)
    order = choose_order(batch, SentencePermutation(0.3), 1, 0).reshape(-1, 5)
    assert abs(np.mean((np.diff(order) != 1).any(axis=1)) - 0.3 * 119 / 120) < 4 * np.sqrt(
        0.21 / 1000
    )


def test_samples_without_sentences_are_an_error(make_batch, vocabulary) -> None:
    infilled = infill_text(make_batch([[[5] * 10]]), vocabulary, seed=1)
    with pytest.raises(
        ValueError,
        match="sentence-permutation: needs the sentences of the samples, and there are none",
    ):
        permute_sentences(infilled, vocabulary, seed=1)
