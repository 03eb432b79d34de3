"""Distributions: nothing is lost, and the drawings say the same."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from noisebeam.pipeline.inspect.histograms import histogram, svg_bars, text_bars


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=50))
def test_every_value_is_in_one_of_few_bins(values: list[int]) -> None:
    bars = histogram("tokens", np.array(values))
    assert sum(count for _, count in bars.entries) == len(values)
    assert len(bars.entries) <= 17
    low = int(bars.entries[0][0].split(" – ")[0].replace(",", ""))
    high = int(bars.entries[-1][0].split(" – ")[-1].replace(",", ""))
    assert low <= min(values)
    assert max(values) <= high


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_shares_are_in_few_bins_too(values: list[float]) -> None:
    bars = histogram("noise", np.array(values))
    assert sum(count for _, count in bars.entries) == len(values)
    assert len(bars.entries) <= 21


def test_a_share_that_is_the_end_of_a_range_begins_the_next() -> None:
    assert histogram("noise", np.array([0.29, 0.3, 0.3])).entries == (
        ("29 % – 30 %", 1),
        ("30 % – 31 %", 2),
    )


def test_no_values_are_said_to_be_none() -> None:
    bars = histogram("noise", np.zeros(0))
    assert (bars.summary, bars.entries, text_bars(bars)) == ("no values", (), [])
    assert "<rect" not in svg_bars(bars)


def test_bars_are_as_long_as_counts_are_large() -> None:
    bars = histogram("tokens", np.array([1] * 8 + [2] * 4 + [4]))
    assert [line.count("█") for line in text_bars(bars, width=8)] == [8, 4, 0, 1]
    widths = [float(width) for width in re.findall(r'<rect[^>]* width="([\d.]+)"', svg_bars(bars))]
    assert widths[0] == 2 * widths[1] == 8 * widths[3]
    assert widths[2] == 0
