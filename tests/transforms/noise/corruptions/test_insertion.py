"""Token insertion: the source is still there, with tokens between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.corruptions.insertion import (
    TokenInsertion,
    choose_insertion,
    insert_tokens,
)

MASK = 99
ids = st.integers(4, 89) | st.sampled_from([3, 98])
samples = st.lists(st.lists(st.lists(ids, min_size=1, max_size=30), max_size=3), max_size=6)


@given(samples, st.floats(0, 1))
def test_without_the_masks_it_is_the_source(
    make_batch, to_rows, vocabulary, samples, share
) -> None:
    batch = make_batch(samples)
    for before, after in zip(
        to_rows(batch),
        to_rows(insert_tokens(batch, vocabulary, TokenInsertion(share), seed=1)),
        strict=True,
    ):
        assert [id_ for id_ in after if id_ != MASK] == before
        assert (after[0], after[-1]) == (0, 2)
        count = sum(4 <= id_ < 90 for id_ in before)
        assert len(after) - len(before) == int(np.floor(count * share + 0.5))


def test_all_sets_of_places_are_equally_likely(make_batch, vocabulary) -> None:
    trials = 15_000
    batch = make_batch([[[5] * 4]] * trials)
    spans, _ = choose_insertion(batch, vocabulary, TokenInsertion(0.5), 1, 0)
    places = (spans.starts - np.repeat(batch.offsets[:-1], 2) - 1).reshape(trials, 2)
    seen = np.unique(places @ [5, 1], return_counts=True)[1]
    assert len(seen) == 15
    assert ((seen - 1000) ** 2 / 1000).sum() < 14 + 5 * np.sqrt(28)


def test_random_tokens_are_ordinary(make_batch, vocabulary) -> None:
    batch = make_batch([[[5] * 400]] * 50)
    ids = choose_insertion(batch, vocabulary, TokenInsertion(0.5, random=0.4), 1, 0).ids
    assert abs(np.mean(ids != MASK) - 0.4) < 4 * np.sqrt(0.24 / len(ids))
    assert set(ids[ids != MASK].tolist()) <= set(range(4, 90))


def test_a_vocabulary_without_a_mask() -> None:
    with pytest.raises(
        ValueError, match=r"token-insertion: needs a mask token, .* or set random to 1"
    ):
        TokenInsertion().check(Vocabulary(size=10))
    TokenInsertion(random=1).check(Vocabulary(size=10))
