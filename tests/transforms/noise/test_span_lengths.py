"""Span lengths: tables against the textbook, and sums that are exact."""

from __future__ import annotations

from math import exp, factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.noise.rng import Stream, stream_keys
from noisebeam.transforms.noise.span_lengths import SpanLengths, draw_lengths


def shares(lengths: SpanLengths) -> np.ndarray:
    return np.bincount(lengths.table) / 65536


def streams_of(count: int) -> np.ndarray:
    return stream_keys(3, 0, np.arange(count, dtype=np.uint64), Stream.SPAN_LENGTHS)


@pytest.mark.parametrize("mean", [0.5, 3, 3.5, 20])
def test_poisson_table_is_the_distribution(mean) -> None:
    expected = [
        exp(-mean) * mean**k / factorial(k)
        for k in range(len(shares(SpanLengths("poisson", mean))))
    ]
    assert np.abs(shares(SpanLengths("poisson", mean)) - expected).max() < 2**-16
    assert abs(SpanLengths("poisson", mean).mean - mean) < 0.001


def test_poisson_3_is_pinned() -> None:
    assert np.bincount(SpanLengths().table).tolist() == POISSON_3


def test_geometric_cut_off_at_10_is_that_of_spanbert() -> None:
    lengths = SpanLengths("geometric", 0.2, longest=10)
    assert lengths.table.min() == 1
    assert lengths.table.max() == 10
    assert abs(lengths.mean - 3.797) < 0.001


def test_uniform_and_fixed() -> None:
    assert np.bincount(SpanLengths("uniform", 4).table).tolist() == [0, 16384, 16384, 16384, 16384]
    assert set(SpanLengths("fixed", 5).table.tolist()) == {5}


distributions = st.sampled_from(
    [
        SpanLengths(),
        SpanLengths("poisson", 0.3),
        SpanLengths("geometric", 0.3),
        SpanLengths("fixed", 4),
    ]
)


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 200)), min_size=1, max_size=8),
    distributions,
)
def test_lengths_add_up_to_the_budget_in_at_most_so_many_spans(rows, distribution) -> None:
    wanted, slots = np.array(rows).T
    lengths, counts = draw_lengths(streams_of(len(rows)), wanted, slots, distribution)
    parts = np.split(lengths, np.cumsum(counts)[:-1])
    assert [int(part.sum()) for part in parts] == wanted.tolist()
    assert (counts <= slots).all()
    assert (lengths >= 0).all()


def test_lengths_are_those_of_the_table_but_for_the_last() -> None:
    lengths, counts = draw_lengths(
        streams_of(400), np.full(400, 300), np.full(400, 900), SpanLengths()
    )
    ends = np.cumsum(counts)
    inner = np.delete(lengths, ends - 1)
    seen = np.bincount(inner, minlength=20)[:8] / len(inner)
    assert np.abs(seen - shares(SpanLengths())[:8]).max() < 0.006


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"poison": 3},
            "lengths is {'poison': 3}; expected one of poisson, geometric, uniform, fixed",
        ),
        ({"poisson": 0}, "lengths: poisson is 0; expected a number above 0"),
        ({"poisson": 5000}, "lengths: poisson is 5000; expected 1000 at most"),
        ({"geometric": 1.5}, "lengths: geometric is 1.5; expected 1 at most"),
        ({"fixed": 2.5}, "lengths: fixed is 2.5; expected an integer, 1 or more"),
        ({"uniform": 0}, "lengths: uniform is 0; expected an integer, 1 or more"),
        ({"poisson": 3, "longest": 0}, "lengths: longest is 0; expected an integer, 1 or more"),
        ({"poisson": 3, "fixed": 3}, "lengths is {'poisson': 3, 'fixed': 3}; expected one of"),
    ],
)
def test_errors_name_key_value_and_what_is_allowed(values, message) -> None:
    with pytest.raises(ValueError, match=message.replace("{", r"\{").replace("}", r"\}")):
        SpanLengths.from_mapping(values)


POISSON_3 = [3263, 9788, 14683, 14683, 11012, 6608, 3303, 1416, 531, 177, 53, 15, 3, 1]
