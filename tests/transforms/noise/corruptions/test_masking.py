"""Token masking: exact shares, BERT's split, whole words."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import Replacements, replace_tokens
from noisebeam.transforms.noise.corruptions.masking import TokenMasking, choose_masking, mask_tokens
from noisebeam.transforms.noise.labels import labels_at
from noisebeam.transforms.noise.ordinary_tokens import ordinary_tokens
from noisebeam.transforms.noise.rng import Stream, draw, stream_keys
from noisebeam.transforms.noise.whole_words import choose_words, word_starts

ids = st.integers(4, 89) | st.sampled_from([3, 98])
samples = st.lists(st.lists(st.lists(ids, min_size=1, max_size=30), max_size=3), max_size=6)
shares = st.floats(0, 1)
MASK = 99


def ordinary(row: list[int]) -> list[int]:
    return [i for i, id_ in enumerate(row) if 4 <= id_ < 90]


@given(samples, shares)
def test_exactly_the_share_is_masked_and_nothing_special(
    make_batch, to_rows, vocabulary, samples, share
) -> None:
    batch = make_batch(samples)
    masked = mask_tokens(batch, vocabulary, TokenMasking(share), seed=1)
    for before, after in zip(to_rows(batch), to_rows(masked), strict=True):
        changed = [i for i, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
        assert len(changed) == int(np.floor(len(ordinary(before)) * share + 0.5))
        assert set(changed) <= set(ordinary(before))
        assert all(after[i] == MASK for i in changed)


@given(samples, shares)
def test_labels_put_back_give_the_source(make_batch, vocabulary, samples, share) -> None:
    batch = make_batch(samples)
    chosen = choose_masking(batch, vocabulary, TokenMasking(share, mask=0.5, random=0.3), 1, 0)
    labels = labels_at(batch, chosen.positions).values
    restored = np.where(labels == -100, replace_tokens(batch, chosen).ids, labels)
    assert restored.tolist() == batch.ids.tolist()
    assert np.count_nonzero(labels != -100) == len(chosen.positions)


def test_bert_masks_80_replaces_10_and_keeps_10_of_100(make_batch, vocabulary) -> None:
    batch = make_batch([[[50] * 500]] * 400)
    chosen = choose_masking(batch, vocabulary, TokenMasking(0.15, mask=0.8, random=0.1), 5, 0)
    count = len(chosen.ids)
    assert count == 400 * 75
    masked, kept = np.mean(chosen.ids == MASK), np.mean(chosen.ids == 50)
    assert abs(masked - 0.8) < 4 * np.sqrt(0.16 / count)
    assert abs(kept - 0.1 - 0.1 / 86) < 4 * np.sqrt(0.09 / count)


def test_random_replacements_are_all_ordinary_ids_alike(make_batch, vocabulary) -> None:
    batch = make_batch([[[50] * 500]] * 400)
    chosen = choose_masking(batch, vocabulary, TokenMasking(0.5, mask=0, random=1), 5, 0)
    seen = np.bincount(chosen.ids, minlength=100)
    assert seen[:4].sum() + seen[90:].sum() == 0
    expected = len(chosen.ids) / 86
    assert abs(((seen[4:90] - expected) ** 2 / expected).sum() - 85) < 5 * np.sqrt(170)


def test_the_share_over_ten_thousand_samples_is_what_was_asked(make_batch, vocabulary) -> None:
    lengths = (
        draw(stream_keys(0, 0, np.arange(1, dtype=np.uint64), Stream.DENOISER), np.array([10_000]))
        % 40
        + 1
    )
    batch = make_batch([[[50] * int(length)] for length in lengths])
    chosen = choose_masking(batch, vocabulary, TokenMasking(0.15), 5, 0)
    assert len(chosen.positions) == np.floor(lengths * 0.15 + 0.5).sum()
    assert abs(len(chosen.positions) / lengths.sum() - 0.15) < 0.002


@pytest.mark.parametrize(
    "sample",
    [[], [[5]], [[3, 98, 3]], [[50] * 100_000]],
    ids=["empty", "one token", "all special", "100,000 tokens"],
)
def test_unusual_samples(make_batch, vocabulary, sample) -> None:
    batch = make_batch([sample, [[5, 6]], sample])
    masked = mask_tokens(batch, vocabulary, TokenMasking(0.15), seed=1)
    count = round(0.15 * len(sample[0])) if sample and sample[0][0] != 3 else 0
    assert np.count_nonzero(masked.ids != batch.ids) == 2 * count


def test_ids_up_to_the_largest_of_31_bits(make_batch) -> None:
    vocabulary = Vocabulary(size=2**31, special_ids=(0, 2, 2**31 - 1), mask_id=2**31 - 1)
    batch = make_batch([[[2**31 - 2] * 10]])
    masked = mask_tokens(batch, vocabulary, TokenMasking(0.5, mask=0.5, random=0.5), seed=1)
    assert masked.ids.dtype == np.int32
    assert masked.ids.min() >= 0


@pytest.mark.parametrize(
    ("dtype", "mask", "expected"), [("uint16", 50264, "uint16"), ("int16", 50264, "int32")]
)
def test_the_dtype_grows_only_where_the_mask_does_not_fit(
    make_batch, dtype, mask, expected
) -> None:
    batch = make_batch([[[5, 6]]], dtype=dtype)
    masked = replace_tokens(batch, Replacements(np.array([1]), np.array([mask])))
    assert masked.ids.dtype == expected
    assert masked.ids.tolist() == [0, mask, 6, 2]


@pytest.mark.parametrize(
    ("dtype", "expected"), [("uint16", "int32"), ("int32", "int32"), ("uint32", "int64")]
)
def test_labels_are_of_a_dtype_that_holds_ids_and_minus_100(make_batch, dtype, expected) -> None:
    labels = labels_at(make_batch([[[5, 6]]], dtype=dtype), np.array([2]))
    assert labels.values.dtype == expected
    assert labels.values.tolist() == [-100, -100, 6, -100]


# Whole words: in the test vocabulary odd ids continue a word
# ---------------------------------------------------------


def naive_words(row: list[int]) -> list[list[int]]:
    words: list[list[int]] = []
    for i, id_ in enumerate(row):
        if 4 <= id_ < 90:
            if id_ % 2 and words and words[-1][-1] == i - 1:
                words[-1].append(i)
            else:
                words.append([i])
    return words


@given(samples, shares)
def test_words_are_masked_whole_and_at_most_the_share(
    make_batch, to_rows, vocabulary, samples, share
) -> None:
    batch = make_batch(samples)
    masked = mask_tokens(batch, vocabulary, TokenMasking(share, whole_words=True), seed=1)
    for before, after in zip(to_rows(batch), to_rows(masked), strict=True):
        words = naive_words(before)
        hidden = [word for word in words if after[word[0]] == MASK]
        assert sorted(i for word in hidden for i in word) == [
            i for i, id_ in enumerate(after) if id_ == MASK
        ]
        budget = int(np.floor(sum(map(len, words)) * share + 0.5))
        left = budget - sum(map(len, hidden))
        assert left >= 0
        assert all(len(word) > left for word in words if word not in hidden)


@given(samples, shares)
def test_words_are_taken_in_random_order_unless_too_long(
    make_batch, to_rows, vocabulary, samples, share
) -> None:
    batch = make_batch(samples)
    tokens = ordinary_tokens(batch, vocabulary)
    streams = stream_keys(1, 0, batch.keys, Stream.MASKED_TOKENS)
    budgets = np.floor(tokens.counts * share).astype(np.int64)
    numbers = choose_words(streams, batch, vocabulary, tokens, budgets)
    expected: list[int] = []
    for i, row in enumerate(to_rows(batch)):
        words, taken, left = naive_words(row), [], int(budgets[i])
        order = np.argsort(
            draw(streams[i : i + 1], np.array([len(words)])) >> np.uint64(16), kind="stable"
        )
        for word in (words[j] for j in order):
            if len(word) <= left:
                taken += word
                left -= len(word)
        expected += sorted(int(batch.offsets[i]) + position for position in taken)
    assert tokens.positions(numbers).tolist() == expected


def test_a_word_begins_after_a_special_token(make_batch, vocabulary) -> None:
    batch = make_batch([[[5, 7, 6, 7, 3, 7]], [[9]]])
    starts = word_starts(batch, vocabulary, ordinary_tokens(batch, vocabulary))
    assert starts.tolist() == [0, 2, 4, 5]


# Errors
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 1.5}, "token-masking: share is 1.5; expected a number from 0 to 1"),
        ({"share": "0.1"}, "token-masking: share is '0.1'; expected a number from 0 to 1"),
        ({"mask": 0.9, "random": 0.2}, "token-masking: mask + random is 1.1; expected 1 at most"),
        ({"whole_words": 1}, "token-masking: whole_words is 1; expected true or false"),
        (
            {"probability": True},
            "token-masking: probability is True; expected a number from 0 to 1",
        ),
        ({"share": float("nan")}, "token-masking: share is nan; expected a number from 0 to 1"),
    ],
)
def test_settings_out_of_range(settings, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        TokenMasking(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (TokenMasking(), "token-masking: needs a mask token, and the tokenizer has none"),
        (
            TokenMasking(mask=0, random=1),
            "token-masking: random tokens need a vocabulary with ordinary tokens",
        ),
        (
            TokenMasking(mask=0, whole_words=True),
            "continues_word_hex is empty; set whole_words to false",
        ),
    ],
)
def test_a_vocabulary_that_lacks_something(make_batch, settings, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        mask_tokens(
            make_batch([[[5]]]), Vocabulary(size=3, special_ids=(0, 1, 2)), settings, seed=1
        )
