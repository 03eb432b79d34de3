"""Subsets of an exact size: exact, uniform, and the same in any company."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from noisebeam.transforms.noise.rng import Stream, stream_keys
from noisebeam.transforms.noise.subsets import choose_subsets, mark_subsets

rows = st.lists(
    st.integers(0, 60).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size))),
    max_size=12,
)


def streams_of(count: int) -> np.ndarray:
    return stream_keys(3, 0, np.arange(count, dtype=np.uint64), Stream.MASKED_TOKENS)


def choose(sizes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return choose_subsets(streams_of(len(sizes)), sizes, counts, np.cumsum(sizes) - sizes)


@given(rows)
def test_every_row_gets_exactly_its_count(sizes_and_counts: list[tuple[int, int]]) -> None:
    sizes, counts = np.array(sizes_and_counts, dtype=np.int64).reshape(-1, 2).T
    chosen = choose(sizes, counts)
    assert (np.diff(chosen) > 0).all()
    assert (
        np.diff(np.searchsorted(chosen, np.append(0, np.cumsum(sizes)))).tolist() == counts.tolist()
    )


@given(rows.filter(bool))
def test_a_row_does_not_depend_on_the_others(sizes_and_counts: list[tuple[int, int]]) -> None:
    sizes, counts = np.array(sizes_and_counts, dtype=np.int64).T
    streams, starts = streams_of(len(sizes)), np.cumsum(sizes) - sizes
    alone = [
        choose_subsets(streams[i : i + 1], sizes[i : i + 1], counts[i : i + 1], starts[i : i + 1])
        for i in range(len(sizes))
    ]
    assert choose_subsets(streams, sizes, counts, starts).tolist() == np.concatenate(alone).tolist()


def test_rows_of_very_different_sizes() -> None:
    sizes = np.array([3, 100_000, 1, 700, 2])
    counts = np.array([2, 15_000, 1, 350, 0])
    chosen = choose(sizes, counts)
    assert (
        np.diff(np.searchsorted(chosen, np.append(0, np.cumsum(sizes)))).tolist() == counts.tolist()
    )


def test_all_subsets_are_equally_likely() -> None:
    trials = 60_000
    for count in (1, 2, 3, 4):
        sizes = np.full(trials, 5)
        chosen = choose(sizes, np.full(trials, count)).reshape(trials, count) % 5
        codes = (1 << chosen).sum(axis=1)
        subsets = [sum(1 << i for i in subset) for subset in combinations(range(5), count)]
        seen = np.array([np.count_nonzero(codes == code) for code in subsets])
        expected = trials / len(subsets)
        assert seen.sum() == trials
        assert ((seen - expected) ** 2 / expected).sum() < len(subsets) + 6 * np.sqrt(
            2 * len(subsets)
        )


def test_every_place_of_long_rows_is_equally_likely() -> None:
    trials, size, count = 4000, 510, 77
    chosen = choose(np.full(trials, size), np.full(trials, count)) % size
    seen, expected = np.bincount(chosen, minlength=size), trials * count / size
    deviation = ((seen - expected) ** 2 / (expected * (1 - count / size))).sum()
    assert abs(deviation - size) < 5 * np.sqrt(2 * size)


@settings(max_examples=50)
@given(st.lists(st.booleans(), min_size=1, max_size=80), st.integers(0, 80))
def test_excluded_places_are_never_taken(excluded: list[bool], count: int) -> None:
    barred = np.array(excluded)
    allowed = np.count_nonzero(~barred)
    count = min(count, allowed)
    size = np.array([len(barred)])
    taken = mark_subsets(
        streams_of(1),
        np.array([0]),
        size,
        np.array([count]),
        len(barred),
        barred.nonzero()[0],
        np.array([allowed]),
    )
    assert not (taken & barred).any()
    assert np.count_nonzero(taken) == count


def test_a_subset_is_pinned() -> None:
    sizes = np.array([20, 6])
    assert choose(sizes, np.array([5, 4])).tolist() == PINNED


PINNED = [0, 3, 6, 7, 17, 20, 22, 23, 25]
