"""`on_error="skip"`: other samples come in the place of those that cannot be read."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from noisebeam.pipeline import Mixture, Pack, ShardDataset
from noisebeam.transforms.shards.reader import ShardError

BATCHES = 37  # of 4, of 150 samples


@pytest.fixture
def whole(make_set, tmp_path) -> str:
    return make_set(str(tmp_path / "whole"), 150)


@pytest.fixture
def damaged(whole, tmp_path) -> str:
    """A data set in which the first block of shard 1 has a flipped bit."""
    folder = tmp_path / "damaged"
    shutil.copytree(whole, folder)
    shard = next(folder.glob("shard-00001-*.tar"))
    content = bytearray(shard.read_bytes())
    content[700] ^= 1
    shard.write_bytes(content)
    return str(folder)


def rows(data: ShardDataset) -> list[list[tuple[int, ...]]]:
    return [[tuple(ids[ids != 1].tolist()) for ids in batch["input_ids"]] for batch in data]


def dataset(url: str, **settings) -> ShardDataset:
    return ShardDataset(url, **{"batch_size": 4, "seed": 3, "on_error": "skip", **settings})


def test_only_the_samples_of_the_block_are_others(whole, damaged, caplog):
    data = dataset(damaged)
    found, expected = rows(data), rows(dataset(whole))
    assert [len(batch) for batch in found] == [4] * BATCHES
    changed = sum(
        a != b
        for one, other in zip(found, expected, strict=True)
        for a, b in zip(one, other, strict=True)
    )
    assert 0 < changed == data.skipped <= 8
    assert {row for batch in found for row in batch} < {row for batch in expected for row in batch}
    assert "shard-00001-of-00004.tar is damaged in block 0" in caplog.text
    assert (
        f"epoch 0: {changed} samples could not be read; others came in their place" in caplog.text
    )


def test_ranks_stay_in_step(damaged):
    lengths = [
        len(list(dataset(damaged, rank=rank, world_size=2, batch_size=2))) for rank in range(2)
    ]
    assert lengths == [BATCHES, BATCHES]


@pytest.mark.parametrize("ending", [".tar", ".index.npz"])
def test_a_missing_file_costs_the_samples_of_its_shard(whole, ending, caplog):
    next(Path(whole).glob(f"shard-00002-*{ending}")).unlink()
    data = dataset(whole, tail="pad")
    assert len(list(data)) == BATCHES + 1
    lost = data.manifest.shards[2].samples
    assert lost - 2 <= data.skipped <= lost + 2  # two come again in the tail
    assert f"shard-00002-of-00004{ending}" in caplog.text


def test_a_tail_that_is_lost_is_filled_up_too(whole):
    next(Path(whole).glob("shard-00003-*.tar")).unlink()
    lengths = []
    for rank in range(4):  # rank 0 has but lost samples in the last batch
        data = dataset(whole, tail="pad", shuffle=False, batch_size=2, rank=rank, world_size=4)
        lengths.append(len(list(data)))
    assert lengths == [19, 19, 19, 19]


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_worker_processes_count_as_well(damaged, capfd, context):
    data, alone = dataset(damaged), dataset(damaged)
    loader = DataLoader(data, batch_size=None, num_workers=2, multiprocessing_context=context)
    assert len(rows(loader)) == len(rows(alone)) == BATCHES
    assert data.skipped == alone.skipped > 0
    told = re.findall(
        r"epoch 0: (\d+) samples could not be read by loader worker [01] of 2",
        capfd.readouterr().err,
    )
    if context == "spawn":  # a fork writes to the log of this test
        assert sum(map(int, told)) == alone.skipped
    assert list(data)
    assert data.skipped == alone.skipped


def test_a_mixture_counts_what_its_sets_leave_out(whole, damaged, caplog):
    mixture = Mixture([dataset(url) for url in (damaged, whole)], weights=[1, 1])
    assert rows(mixture)
    assert 0 < mixture.skipped <= 8
    assert (
        f"epoch 0: {mixture.skipped} samples could not be read; others came in their place"
        in caplog.text
    )


def test_each_epoch_counts_anew(damaged):
    data = dataset(damaged, tail="pad")
    counts = []
    for _ in range(2):
        list(data)
        counts.append(data.skipped)
    assert counts[0] == counts[1] > 0


def test_it_is_an_error_unless_asked_for(damaged):
    with pytest.raises(ShardError, match="damaged in block 0"):
        rows(dataset(damaged, on_error="raise"))


@pytest.mark.parametrize("world_size", [1, 2, 7, 37, 64])
@pytest.mark.parametrize("ending", ["tar", "index.npz"])
def test_every_rank_goes_on_without_a_shard(whole, world_size, ending):
    """A rank whose whole request lies in the missing shard gets samples of the next one."""
    settings = {"batch_size": 1, "world_size": world_size, "tail": "pad"}
    expected = {rank: rows(dataset(whole, rank=rank, **settings)) for rank in range(world_size)}
    known = {row for batches in expected.values() for batch in batches for row in batch}
    next(iter(sorted(Path(whole).glob(f"*.{ending}")))).unlink()
    for rank, batches in expected.items():
        data = dataset(whole, rank=rank, **settings)
        found = rows(data)
        assert len(found) == len(batches)
        changed = sum(one != other for one, other in zip(found, batches, strict=True))
        assert changed <= data.skipped
        assert {row for batch in found for row in batch} <= known


def test_when_nothing_can_be_read_it_is_an_error(whole):
    for shard in Path(whole).glob("*.tar"):
        shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ShardError, match=r"\.tar is truncated: expected \d+ bytes, got \d+"):
        rows(dataset(whole))


def test_a_shard_that_is_replaced_while_it_is_read_does_not_change_the_stream(whole):
    """An open file stays what it was when another is renamed over it."""
    data = dataset(whole, read_ahead=0, on_error="raise")
    expected, batches = list(data), iter(data)
    found = [next(batches)]
    for shard in Path(whole).glob("*.tar"):
        other = shard.with_suffix(".new")
        other.write_bytes(bytes(shard.stat().st_size))
        other.replace(shard)
    found += list(batches)
    assert all(
        torch.equal(a["input_ids"], b["input_ids"]) for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on_error": "ignore"}, "expected on_error to be 'raise' or 'skip', got 'ignore'"),
        ({"batching": Pack(64)}, "expected on_error='raise' with Pack, got 'skip'"),
    ],
)
def test_wrong_settings_are_errors(whole, settings, message):
    with pytest.raises(ValueError, match=message):
        dataset(whole, **settings)
