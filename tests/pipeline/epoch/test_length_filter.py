"""Samples left out by their lengths, and samples cut at the start of training."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.sets import RECIPE, SAMPLES, dataset, equal, make_samples, number, numbers, write_set

from noisebeam.pipeline import GroupByLength, LengthWarmup
from noisebeam.pipeline.epoch.length_filter import FilteredOrder, LengthFilter

LENGTHS = [len(sample.fields["ids"]) for sample in make_samples(baked=False)]


@given(
    st.lists(st.lists(st.integers(1, 9), max_size=30), min_size=1, max_size=5),
    st.integers(1, 10),
    st.integers(0, 8),
    st.booleans(),
)
def test_a_filtered_epoch_visits_each_kept_sample_once(shards, block, least, shuffle):
    lengths = [np.array(shard, dtype=np.uint16) for shard in shards]
    keeps = LengthFilter(least, 8)
    visited = FilteredOrder(
        [len(shard) for shard in shards],
        block,
        length_filter=keeps,
        lengths=lengths.__getitem__,
        kept=keeps.count(lengths.__getitem__, len(lengths)),
        seed=1,
        epoch=2,
        shuffle=shuffle,
    )
    flat = np.concatenate(lengths)
    expected = np.flatnonzero((flat >= least) & (flat <= 8)).tolist()
    found = visited.samples(np.arange(len(visited))).tolist()
    assert sorted(found) == expected
    assert shuffle or found == expected


@pytest.mark.parametrize(("least", "most"), [(10, None), (None, 14), (8, 20)])
@pytest.mark.parametrize("samples_per_member", [1, 8])
def test_a_filtered_set_gives_the_samples_of_these_lengths(
    tmp_path, least, most, samples_per_member
):
    url = write_set(str(tmp_path), samples_per_member=samples_per_member)
    data = dataset(url, min_tokens=least, max_tokens=most, tail="pad")
    kept = {i for i, length in enumerate(LENGTHS) if (least or 0) <= length <= (most or 99)}
    assert data.samples == len(kept) < SAMPLES
    assert {i for batch in numbers(data) for i in batch} == kept


def test_a_filtered_set_resumes_from_every_batch(url):
    settings = {"min_tokens": 8, "max_tokens": 20, "recipe": RECIPE}
    whole = list(dataset(url, **settings))
    data = dataset(url, **settings)
    for n, state in enumerate([data.state_dict() for _ in data], start=1):
        resumed = dataset(url, **settings)
        resumed.load_state_dict(state)
        assert equal(list(resumed), whole[n:])


def test_batches_of_similar_lengths_have_less_padding_and_the_same_samples(url):
    plain, grouped = dataset(url), dataset(url, batching=GroupByLength(4, groups=16))
    seen = [i for batch in numbers(grouped) for i in batch]
    assert len(set(seen)) == len(seen) == 148
    list(plain)
    assert grouped.padding_share < plain.padding_share / 3


def test_a_warm_up_cuts_samples_before_they_are_noised(url):
    warmup = LengthWarmup(samples=100, start=6, multiple=2)
    cut, whole = (dataset(url, length_warmup=given, max_tokens=30) for given in (warmup, None))
    for at, (short, full) in enumerate(zip(cut, whole, strict=True)):
        most = warmup.tokens(cut.epoch * cut.samples + 4 * at, 30) or 30
        for ids, original in zip(short["labels"], full["labels"], strict=True):
            ids, original = (row[row != -100].tolist() for row in (ids, original))
            kept = min(most, len(original))
            assert ids == [*original[: kept - 1], 2]


def test_the_warm_up_is_over_when_its_samples_are_done(url):
    warmup = LengthWarmup(samples=60, start=6)
    cut, whole = (list(dataset(url, length_warmup=given, epoch=0)) for given in (warmup, None))
    assert not torch.equal(cut[0]["labels"], whole[0]["labels"])
    assert equal(cut[15:], whole[15:])


def test_noise_is_that_of_the_cut_sample_at_every_world_size_and_after_a_resume(url):
    settings = {"recipe": RECIPE, "length_warmup": LengthWarmup(samples=300, start=6)}
    data = dataset(url, **settings, epoch=0, batch_size=8)
    whole = []
    states = [data.state_dict() for batch in data if whole.append(batch) is None]
    by_number = {number(y): (x, y) for b in whole for x, y in rows(b)}
    assert max(len(y) for b in whole[:3] for _, y in rows(b)) <= 8
    for rank in range(2):
        half = dataset(url, **settings, epoch=0, batch_size=4, rank=rank, world_size=2)
        half.load_state_dict(states[4])
        for batch in half:
            for x, y in rows(batch):
                assert by_number[number(y)][0].tolist() == x.tolist()
                assert by_number[number(y)][1].tolist() == y.tolist()


def rows(batch):
    """Inputs and labels without padding."""
    return [
        (x[mask == 1], y[y != -100])
        for x, y, mask in zip(
            batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True
        )
    ]


def test_a_warm_up_needs_samples_that_can_be_cut(baked_url):
    with pytest.raises(
        ValueError, match="expected clean samples or a recipe for length_warmup, got the noise that"
    ):
        dataset(baked_url, length_warmup=LengthWarmup(samples=100))


@pytest.mark.parametrize("name", ["samples", "start", "multiple"])
def test_wrong_warm_ups_are_errors(name):
    with pytest.raises(ValueError, match=f"LengthWarmup: expected {name} of at least 1, got 0"):
        LengthWarmup(**{"samples": 10, name: 0})
