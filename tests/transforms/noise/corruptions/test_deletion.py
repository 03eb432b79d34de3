"""Token deletion: the survivors, in order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.noise.corruptions.deletion import (
    TokenDeletion,
    choose_deletion,
    delete_tokens,
    remove_tokens,
)

ids = st.integers(4, 89) | st.sampled_from([3, 98])
samples = st.lists(st.lists(st.lists(ids, min_size=1, max_size=30), max_size=3), max_size=6)


@given(samples, st.floats(0, 1))
def test_survivors_keep_their_order_and_the_share_is_exact(
    make_batch, to_rows, vocabulary, samples, share
) -> None:
    batch = make_batch(samples)
    positions = choose_deletion(batch, vocabulary, TokenDeletion(share), 1, 0)
    deleted = delete_tokens(batch, vocabulary, TokenDeletion(share), seed=1)
    gone = set(positions.tolist())
    for row, start, after in zip(to_rows(batch), batch.offsets, to_rows(deleted), strict=False):
        assert after == [id_ for i, id_ in enumerate(row, start) if i not in gone]
        assert [id_ for id_ in after if not 4 <= id_ < 90] == [
            id_ for id_ in row if not 4 <= id_ < 90
        ]
        count = sum(4 <= id_ < 90 for id_ in row)
        assert len(row) - len(after) == int(np.floor(count * share + 0.5))


@given(samples)
def test_deleted_tokens_put_back_give_the_source(make_batch, vocabulary, samples) -> None:
    batch = make_batch(samples)
    positions = choose_deletion(batch, vocabulary, TokenDeletion(0.4), 1, 0)
    restored = np.zeros_like(batch.ids)
    restored[positions] = batch.ids[positions]
    restored[np.setdiff1d(np.arange(len(restored)), positions)] = remove_tokens(
        batch, positions
    ).ids
    assert restored.tolist() == batch.ids.tolist()


def test_given_positions_are_removed(make_batch, to_rows) -> None:
    batch = make_batch([[[5, 6, 7]], [[8, 9]]])
    assert to_rows(remove_tokens(batch, np.array([1, 3, 6]))) == [[0, 6, 2], [0, 9, 2]]


def test_only_some_samples_with_a_probability(make_batch, vocabulary) -> None:
    batch = make_batch([[[5] * 20]] * 2000)
    deleted = delete_tokens(batch, vocabulary, TokenDeletion(0.5, probability=0.25), seed=1)
    lengths = np.diff(deleted.offsets)
    assert set(lengths.tolist()) == {12, 22}
    assert abs(np.mean(lengths == 12) - 0.25) < 4 * np.sqrt(0.1875 / 2000)


def test_settings_out_of_range() -> None:
    with pytest.raises(
        ValueError, match=r"token-deletion: share is -0\.1; expected a number from 0 to 1"
    ):
        TokenDeletion(-0.1)
