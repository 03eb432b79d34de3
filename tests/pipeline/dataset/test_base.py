"""The batches of an epoch: order, tail, ranks and workers."""

import pytest
from support.sets import RECIPE, SAMPLES, dataset, equal, number, numbers
from torch.utils.data import DataLoader

from noisebeam.pipeline import LengthWarmup
from noisebeam.pipeline.dataset import base as batched


def test_an_epoch_has_each_sample_once_and_drops_the_tail(url):
    seen = [i for batch in numbers(dataset(url)) for i in batch]
    assert len(set(seen)) == len(seen) == 148
    assert len(dataset(url)) == 37


def test_padding_the_tail_repeats_samples_from_the_beginning(url):
    batches = numbers(dataset(url, tail="pad"))
    seen = [i for batch in batches for i in batch]
    assert set(seen) == set(range(SAMPLES))
    assert seen[SAMPLES:] == batches[0][:2]
    assert len(batches) == len(dataset(url, tail="pad")) == 38


def test_the_tail_is_told(url, caplog):
    caplog.set_level("INFO")
    list(dataset(url))
    list(dataset(url, tail="pad"))
    list(DataLoader(dataset(url, batch_size=3), batch_size=None))
    told = [record.getMessage().split("; ")[0] for record in caplog.records]
    assert told == [
        "epoch 1: tail: 2 samples left out",
        "epoch 1: tail: 2 rows added from its beginning",
        "epoch 1: tail: none",
    ]


def test_the_tail_is_not_told_again_where_nothing_is_left(url, caplog):
    caplog.set_level("INFO")
    data = dataset(url)
    list(data)
    data.load_state_dict(data.state_dict())
    assert list(data) == []
    assert len(caplog.records) == 1


def test_the_epoch_and_the_seed_change_the_order(url):
    orders = [numbers(dataset(url, seed=seed, epoch=epoch)) for seed in (0, 1) for epoch in (0, 1)]
    assert len({str(order) for order in orders}) == 4
    changed = dataset(url, seed=0, epoch=0)
    changed.set_epoch(1)
    assert numbers(changed) == orders[1]


def test_without_shuffle_samples_come_as_they_lie(url):
    data = dataset(url, shuffle=False)
    expected = [number(data.sample(i).fields["ids"]) for i in range(148)]
    assert [i for batch in numbers(data) for i in batch] == expected


def test_global_batches_are_the_same_sets_at_every_world_size(url):
    def batches(world_size: int) -> list[list[int]]:
        ranks = [
            numbers(dataset(url, batch_size=16 // world_size, rank=rank, world_size=world_size))
            for rank in range(world_size)
        ]
        return [sorted(i for share in shares for i in share) for shares in zip(*ranks, strict=True)]

    assert batches(1) == batches(2) == batches(4) == batches(8)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_loader_workers_give_the_same_batches_in_the_same_order(url, workers):
    for rank in range(2):
        data = dataset(url, rank=rank, world_size=2)
        assert equal(list(DataLoader(data, batch_size=None, num_workers=workers)), list(data))


@pytest.mark.parametrize("planned", [1, 30, 1000])
@pytest.mark.parametrize("chunk", [1, 10, 14])
def test_batches_are_the_same_in_chunks_of_any_size(url, chunk, planned, monkeypatch):
    settings = {
        "tail": "pad",
        "rank": 1,
        "world_size": 2,
        "length_warmup": LengthWarmup(samples=300, start=12),
    }
    expected = list(dataset(url, **settings))
    monkeypatch.setattr(batched, "_PLANNED", planned)
    data = dataset(url, **settings)
    data.chunk = chunk
    assert equal(list(data), expected)
    if planned == 30:
        for workers in (2, 3):
            assert equal(list(DataLoader(data, batch_size=None, num_workers=workers)), expected)


def test_widths_are_multiples_on_request(url):
    assert all(
        b["input_ids"].shape[1] % 8 == b["labels"].shape[1] % 8 == 0
        for b in dataset(url, pad_to_multiple=8)
    )


def test_the_share_of_padding_is_told(url, caplog):
    caplog.set_level("INFO")
    data = dataset(url)
    masks = [batch["attention_mask"] for batch in data]
    padding = 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)
    assert data.padding_share == pytest.approx(padding)
    assert f"padding: {100 * padding:.1f} %" in caplog.text


@pytest.mark.parametrize("read_ahead", [0, 2])
def test_too_few_samples_for_a_batch_are_an_error(url, read_ahead):
    data = dataset(url, batch_size=80, rank=1, world_size=2, read_ahead=read_ahead)
    message = (
        r"one batch of 160 rows \(80 for each of 2 ranks\), got 150 samples; take a smaller "
        r"batch_size"
    )
    with pytest.raises(ValueError, match=message):
        next(iter(data))
    with pytest.raises(ValueError, match=message):
        len(data)
    assert len(dataset(url, batch_size=80, rank=1, world_size=2, tail="pad")) == 1


def test_an_index_is_refused_and_names_the_view(url):
    with pytest.raises(
        TypeError, match=r"^ShardDataset: expected iteration .* dataset\.view\(\)\[3\]$"
    ):
        dataset(url)[3]


def test_a_state_of_something_else_is_refused_with_the_missing_key(url):
    with pytest.raises(ValueError, match="expected a state with epoch, got one with a; load what"):
        dataset(url).load_state_dict({"a": 1})


def test_limits_that_no_sample_meets_are_refused(url):
    with pytest.raises(ValueError, match="expected min_tokens up to max_tokens, got 100 and 50"):
        dataset(url, min_tokens=100, max_tokens=50)
    with pytest.raises(ValueError, match="expected max_tokens of at least 1, got 0"):
        dataset(url, max_tokens=0)


def test_a_data_set_says_what_it_is_in_a_line(url):
    assert repr(dataset(url)) == (
        f"ShardDataset({url!r}: 150 samples, noise None, batch_size 4, seed 3, epoch 1, "
        "rank 0 of 1)"
    )


def test_fixed_noise_is_that_of_epoch_0(url):
    """Batches keep the order of their epoch."""
    noised = {"recipe": RECIPE, "shuffle": False}
    fixed = list(dataset(url, epoch=5, fixed_noise=True, **noised))
    assert equal(fixed, list(dataset(url, epoch=0, **noised)))
    assert not equal(fixed, list(dataset(url, epoch=5, **noised)))
