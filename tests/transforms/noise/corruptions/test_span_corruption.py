"""Span corruption: T5's lengths, labels that restore the source, UL2's mixture."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.vocabularies import SENTINELS

from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.corruptions.span_corruption import (
    Denoiser,
    SpanCorruption,
    choose_corrupted_spans,
    corrupt_spans,
    span_counts,
)

clean = st.lists(
    st.lists(st.lists(st.integers(4, 89), min_size=1, max_size=40), max_size=2), max_size=5
)
mixed = st.lists(
    st.lists(
        st.lists(st.integers(4, 89) | st.sampled_from([3, 98]), min_size=1, max_size=40), max_size=2
    ),
    max_size=5,
)
options = st.builds(
    lambda share, mean: SpanCorruption((Denoiser(share, mean),)),
    st.floats(0, 1),
    st.none() | st.floats(0.5, 20),
)


def t5_counts(length: int, share: float, mean: float) -> tuple[int, int]:
    """`random_spans_noise_mask`, in words: at least one token noised and one kept, at least one
    span.
    """
    noised = min(max(round(length * share), 1), length - 1)
    return noised, max(round(noised / mean), 1)


@pytest.mark.parametrize("length", [2, 3, 10, 100, 511, 512, 568])
@pytest.mark.parametrize(("share", "mean"), [(0.15, 3.0), (0.5, 3.0), (0.15, 8.0), (0.5, 64.0)])
def test_lengths_follow_from_the_length_of_the_sample(length, share, mean) -> None:
    noised, spans = span_counts(
        np.array([length]), (Denoiser(share, mean),), np.array([0]), most=1000
    )
    expected = t5_counts(length, share, mean)
    assert (noised[0], spans[0]) == (expected[0], min(expected[1], length - expected[0]))


def test_568_tokens_and_the_end_give_the_512_and_114_of_t5(make_batch) -> None:
    """T5 pre-trains on 512 tokens in and 114 out: 568 tokens with 15 % in spans of 3 (its
    `random_spans_helper`).
    """
    vocabulary = Vocabulary(
        size=1000,
        special_ids=(0, 1, 2, *range(900, 1000)),
        eos_id=1,
        sentinel_ids=tuple(range(900, 1000)),
    )
    batch = make_batch([[[50] * 568]] * 3)
    inputs, labels = corrupt_spans(batch, vocabulary, seed=1)
    assert (np.diff(inputs.offsets) - 1).tolist() == [512] * 3  # one special token more than T5 has
    assert np.diff(labels.offsets).tolist() == [114] * 3


@given(mixed, options)
def test_inputs_and_labels_restore_the_source(
    make_batch, to_rows, vocabulary, samples, options
) -> None:
    batch = make_batch(samples)
    inputs, labels = corrupt_spans(batch, vocabulary, options, seed=1)
    for source, row, label in zip(to_rows(batch), to_rows(inputs), to_rows(labels), strict=True):
        assert label[-1] == 2
        spans: dict[int, list[int]] = {}
        for id_ in label[:-1]:
            if id_ in SENTINELS:
                assert id_ == SENTINELS[len(spans)]
                spans[id_] = []
            else:
                spans[SENTINELS[len(spans) - 1]].append(id_)
        assert [id_ for id_ in row if id_ in SENTINELS] == list(spans)
        assert [kept for id_ in row for kept in spans.get(id_, [id_])] == source


@given(clean, options)
def test_a_kept_token_comes_first_and_between_spans(
    make_batch, to_rows, vocabulary, samples, options
) -> None:
    batch = make_batch(samples)
    inputs, _ = corrupt_spans(batch, vocabulary, options, seed=1)
    for source, row in zip(to_rows(batch), to_rows(inputs), strict=True):
        is_sentinel = [id_ in SENTINELS for id_ in row]
        assert not any(a and b for a, b in pairwise(is_sentinel))
        if len(source) > 3:
            assert row[1] == source[1]
            assert row[-2] in SENTINELS
            assert row[-1] == 2


def test_all_divisions_are_equally_likely(make_batch, vocabulary) -> None:
    trials = 20_000
    batch = make_batch([[[5] * 7]] * trials)
    spans, _ = choose_corrupted_spans(
        batch, vocabulary, SpanCorruption((Denoiser(3 / 7, 1.5),)), 1, 0
    )
    assert (spans.counts == 2).all()
    codes = (spans.starts - np.repeat(batch.offsets[:-1], 2)).reshape(trials, 2) @ [10, 1]
    seen = np.unique(codes * 10 + spans.lengths[::2], return_counts=True)[1]
    assert len(seen) == 2 * 3
    expected = trials / 6
    assert ((seen - expected) ** 2 / expected).sum() < 5 + 5 * np.sqrt(10)


def test_long_samples_get_longer_spans_when_sentinels_run_out(make_batch, vocabulary) -> None:
    inputs, _ = corrupt_spans(make_batch([[[5] * 100_000]]), vocabulary, seed=1)
    assert [id_ for id_ in inputs.ids.tolist() if id_ in SENTINELS] == list(SENTINELS)
    assert len(inputs.ids) == 2 + 85_000 + 8


def test_without_a_mean_length_the_end_is_one_span(make_batch, to_rows, vocabulary) -> None:
    inputs, labels = corrupt_spans(
        make_batch([[list(range(4, 24))]]),
        vocabulary,
        SpanCorruption((Denoiser(0.25, None),)),
        seed=1,
    )
    assert to_rows(inputs) == [[0, *range(4, 19), 97, 2]]
    assert to_rows(labels) == [[97, 19, 20, 21, 22, 23, 2]]


def test_denoisers_are_drawn_by_weight_and_lead_with_their_mode(
    make_batch, to_rows, vocabulary
) -> None:
    options = SpanCorruption(
        (
            Denoiser(0.15, 3, weight=1, mode=80),
            Denoiser(0.5, 3, weight=3),
            Denoiser(0.5, 8, mode="[X]"),
        )
    )
    batch = make_batch([[[5] * 40]] * 2000)
    inputs, labels = corrupt_spans(batch, vocabulary, options, seed=1)
    _, denoisers = choose_corrupted_spans(batch, vocabulary, options, 1, 0)
    assert np.abs(np.bincount(denoisers) / 2000 - [0.2, 0.6, 0.2]).max() < 0.04
    for row, label, denoiser in zip(to_rows(inputs), to_rows(labels), denoisers, strict=True):
        assert row[:2] == ([80, 0], [0, 5], [102, 0])[denoiser]
        assert 80 not in label


@pytest.mark.parametrize("sample", [[], [[5]], [[3, 98]]])
def test_samples_too_short_to_corrupt_stay(make_batch, to_rows, vocabulary, sample) -> None:
    batch = make_batch([sample, sample])
    inputs, labels = corrupt_spans(batch, vocabulary, seed=1)
    assert to_rows(inputs) == to_rows(batch)
    assert to_rows(labels) == [[2], [2]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": -1}, "span-corruption: share is -1; expected a number from 0 to 1"),
        ({"mean_length": 0}, "span-corruption: mean_length is 0; expected a number above 0"),
        ({"weight": 0}, "span-corruption: weight is 0; expected a number above 0"),
        ({"mode": -1}, "span-corruption: mode is -1; expected a special token, a role"),
    ],
)
def test_settings_out_of_range(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        Denoiser(**settings)


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        (
            Vocabulary(size=10, eos_id=1),
            "span-corruption: needs sentinels (<extra_id_0>, ...), and the tokenizer has none",
        ),
        (Vocabulary(size=10, sentinel_ids=(8, 9)), "span-corruption: needs an end-of-text token"),
        (
            Vocabulary(size=10, eos_id=1, sentinel_ids=(8, 9)),
            "span-corruption: mode is 10, and the tokenizer has no such",
        ),
    ],
)
def test_a_vocabulary_that_lacks_something(vocabulary, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        SpanCorruption((Denoiser(mode=10),)).check(vocabulary)
