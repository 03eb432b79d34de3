"""Document rotation: a rotation of the ordinary tokens, and all else where it was."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.noise.corruptions.rotation import (
    DocumentRotation,
    choose_rotation,
    rotate_documents,
    rotate_to,
)
from noisebeam.transforms.noise.ordinary_tokens import ordinary_tokens

ids = st.integers(4, 89) | st.sampled_from([3, 98])
samples = st.lists(st.lists(st.lists(ids, min_size=1, max_size=30), max_size=3), max_size=6)


@given(samples)
def test_ordinary_tokens_are_rotated_and_special_ones_stay(
    make_batch, to_rows, vocabulary, samples
) -> None:
    batch = make_batch(samples)
    starts = choose_rotation(batch, ordinary_tokens(batch, vocabulary), DocumentRotation(), 1, 0)
    rotated = to_rows(rotate_documents(batch, vocabulary, seed=1))
    for before, after, start in zip(to_rows(batch), rotated, starts, strict=True):
        old, new = ([id_ for id_ in row if 4 <= id_ < 90] for row in (before, after))
        assert new == old[start:] + old[:start]
        assert (start > 0) == (len(old) > 1)
        assert all(a == b for a, b in zip(before, after, strict=True) if not 4 <= a < 90)


def test_every_start_but_the_old_one_is_equally_likely(make_batch, vocabulary) -> None:
    trials = 20_000
    batch = make_batch([[[5] * 5]] * trials)
    starts = choose_rotation(batch, ordinary_tokens(batch, vocabulary), DocumentRotation(), 1, 0)
    seen = np.bincount(starts, minlength=5)
    assert seen[0] == 0
    assert (((seen[1:] - trials / 4) ** 2) / (trials / 4)).sum() < 3 + 5 * np.sqrt(6)


def test_a_given_start(make_batch, to_rows, vocabulary) -> None:
    batch = make_batch([[[5, 6, 7, 8]], [[9]]])
    rotated = rotate_to(batch, ordinary_tokens(batch, vocabulary), np.array([3, 0]))
    assert to_rows(rotated) == [[0, 8, 5, 6, 7, 2], [0, 9, 2]]


def test_no_sample_with_probability_0(make_batch, vocabulary) -> None:
    batch = make_batch([[[5, 6, 7]]] * 10)
    assert (
        rotate_documents(batch, vocabulary, DocumentRotation(0.0), seed=1).ids.tolist()
        == batch.ids.tolist()
    )
