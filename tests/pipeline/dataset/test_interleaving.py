import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from noisebeam.pipeline.dataset.interleaving import Interleaving, shares

COUNTS = st.lists(st.sampled_from([0, 1, 2, 3, 7, 40, 300, 999]), min_size=1, max_size=9)


@given(COUNTS)
@settings(deadline=None)
def test_each_part_is_within_one_of_its_share_at_every_prefix(counts):
    assume(sum(counts))
    part, _ = Interleaving(counts).at(np.arange(2 * sum(counts)))
    n = np.arange(1, len(part) + 1)
    bound = 1 - 1 / max(2, 2 * len(counts) - 2)
    for i, count in enumerate(counts):
        assert np.abs(np.cumsum(part == i) - n * count / sum(counts)).max() <= bound + 1e-9


@given(COUNTS)
@settings(deadline=None)
def test_the_turns_of_a_part_are_numbered_through(counts):
    assume(sum(counts))
    part, place = Interleaving(counts).at(np.arange(3 * sum(counts)))
    for i, count in enumerate(counts):
        assert place[part == i].tolist() == list(range(3 * count))


def test_a_long_deal_is_exact_at_its_end_and_near_its_shares_all_along():
    interleaving = Interleaving([140_001, 65_000, 999, 17])
    part, place = interleaving.at(np.arange(len(interleaving)))
    n = np.arange(1, len(interleaving) + 1)
    for i, count in enumerate(interleaving.counts.tolist()):
        difference = np.abs(np.cumsum(part == i) - n * count / len(interleaving))
        assert difference[:1000].max() < 1
        assert difference.max() < 1.5 + 2 * count / len(interleaving)
        assert np.array_equal(place[part == i], np.arange(count))


def test_any_position_is_what_it_is_in_the_sequence():
    interleaving = Interleaving([70_000, 65_000, 31])
    part, place = interleaving.at(np.arange(len(interleaving) + 10))
    some = np.random.default_rng(0).integers(0, len(interleaving) + 10, 200)
    for at in (some, some[:1], some[:0]):
        found = interleaving.at(at)
        assert found.source.tolist() == part[at].tolist()
        assert found.item.tolist() == place[at].tolist()


def test_golden_sequence():
    assert (
        "".join("abc"[i] for i in Interleaving([5, 3, 2]).at(np.arange(10)).source) == "abacabacab"
    )


@pytest.mark.parametrize("counts", [[], [0, 0], [2, -1]])
def test_wrong_counts_are_errors(counts):
    with pytest.raises(ValueError, match="expected counts of at least 0, one of them above 0, got"):
        Interleaving(counts)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=8))
def test_shares_are_as_near_as_63000_turns_allow(weights):
    found = shares(weights)
    for count, weight in zip(found, weights, strict=True):
        assert abs(count / sum(found) - weight / sum(weights)) < 1 / 63_000


@given(st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=8))
@settings(max_examples=25)
def test_any_weights_are_kept_within_a_sample_at_every_prefix_of_a_thousand(weights):
    part, _ = Interleaving(shares(weights)).at(np.arange(1000))
    n = np.arange(1, 1001)
    for i, weight in enumerate(weights):
        assert np.abs(np.cumsum(part == i) - n * weight / sum(weights)).max() < 1


@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=8))
@settings(max_examples=20)
def test_any_sizes_are_kept_within_a_sample_at_every_prefix_of_a_thousand(sizes):
    assume(sum(sizes) < 2**63 // (2 * len(sizes)))
    part, _ = Interleaving(sizes).at(np.arange(1000))
    for i, size in enumerate(sizes):
        assert np.abs(np.cumsum(part == i) - np.arange(1, 1001) * (size / sum(sizes))).max() < 1


def test_simple_shares_are_exact():
    assert shares([0.5, 0.25, 0.25]) == [2, 1, 1]
    assert shares([1 / 3, 2 / 3]) == [1, 2]
    assert shares([0.001, 0.999]) == [1, 999]
    assert shares([3, 0]) == [1, 0]
