"""Prefixes: lengths drawn evenly between bounds, a token at least on either side, labels after the
prefix alone.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.noise.corruptions.prefix_split import (
    PrefixSplit,
    choose_prefixes,
    prefix_labels,
    split_prefixes,
)

samples = st.lists(
    st.lists(st.lists(st.integers(4, 89), min_size=1, max_size=40), max_size=2), max_size=5
)
bounds = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)


@given(samples, bounds, st.integers(0, 2**64 - 1))
def test_a_prefix_keeps_to_its_bounds_and_leaves_a_token(
    make_batch, vocabulary, samples, bounds, seed
) -> None:
    batch = make_batch(samples)
    sizes = np.diff(batch.offsets)
    lengths = choose_prefixes(batch, PrefixSplit(*bounds), seed, 0)
    assert ((lengths >= 1) & (lengths <= sizes - 1)).all()
    for length, size in zip(lengths.tolist(), sizes.tolist(), strict=True):
        low, high = (int(size * share + 0.5) for share in bounds)
        assert min(low, size - 1) <= length <= max(high, 1)


@given(samples, st.integers(0, 2**64 - 1))
def test_labels_are_the_ids_after_the_prefix(
    make_batch, to_rows, vocabulary, samples, seed
) -> None:
    batch = make_batch(samples)
    lengths = choose_prefixes(batch, PrefixSplit(), seed, 3).tolist()
    labels = to_rows(split_prefixes(batch, vocabulary, seed=seed, epoch=3))
    assert labels == [[-100] * n + row[n:] for n, row in zip(lengths, to_rows(batch), strict=True)]


def test_all_lengths_are_equally_likely(make_batch) -> None:
    lengths = choose_prefixes(make_batch([[[5] * 6]] * 7000), PrefixSplit(), 1, 0)
    found = np.bincount(lengths, minlength=9)
    assert found[[0, 8]].tolist() == [0, 0]
    assert ((found[1:8] - 1000) ** 2 / 1000).sum() < 5 + 5 * np.sqrt(12)


def test_equal_bounds_fix_the_share(make_batch) -> None:
    batch = make_batch([[[5] * size] for size in (1, 3, 8)])
    # of 3, 5 and 10, halves upwards
    assert choose_prefixes(batch, PrefixSplit(0.5, 0.5), 1, 0).tolist() == [
        2,
        3,
        5,
    ]


def test_one_token_is_all_rest_and_none_is_no_error() -> None:
    offsets, nothing = np.array([0, 1, 1]), np.zeros(0, dtype=np.int64)
    batch = FlatBatch(
        np.array([7]), offsets, np.arange(2, dtype=np.uint64), nothing, np.zeros(3, dtype=np.int64)
    )
    assert choose_prefixes(batch, PrefixSplit(), 1, 0).tolist() == [0, 0]
    assert prefix_labels(batch, np.array([0, 0])).values.tolist() == [7]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"smallest": -1}, "prefix-split: smallest is -1; expected a number from 0 to 1"),
        ({"largest": 2}, "prefix-split: largest is 2; expected a number from 0 to 1"),
        (
            {"smallest": 0.6, "largest": 0.5},
            "prefix-split: smallest is 0.6; expected at most largest, which is 0.5",
        ),
    ],
)
def test_settings_out_of_range(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        PrefixSplit(**settings)
