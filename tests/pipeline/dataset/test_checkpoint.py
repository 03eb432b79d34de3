"""The place in an epoch: what a state holds, and where it goes on."""

import json
from itertools import islice

import pytest
from support.sets import RECIPE, dataset, equal, numbers, write_set
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from noisebeam.transforms.shards.reader import ShardReader


def test_resume_from_every_position_on_other_ranks(url):
    whole = [i for batch in numbers(dataset(url, batch_size=2, tail="pad")) for i in batch]
    data = dataset(url, batch_size=2, tail="pad")
    states = [data.state_dict() for _ in data]
    for count, state in enumerate(states, start=1):
        state = json.loads(json.dumps(state))  # a checkpoint may be text
        rest = []
        for rank in range(world_size := 1 + count % 4):
            resumed = dataset(url, batch_size=3, rank=rank, world_size=world_size, epoch=0)
            resumed.load_state_dict(state)
            rest += [i for batch in numbers(resumed) for i in batch]
        assert len(set(rest)) == len(rest)
        left = whole[2 * count :]
        assert len(rest) == len(left) // (3 * world_size) * 3 * world_size
        assert set(rest) == set(left[: len(rest)])


def test_resuming_gives_the_very_batches_that_were_to_come(url):
    whole = list(dataset(url, recipe=RECIPE))
    data = dataset(url, recipe=RECIPE)
    list(islice(data, 11))
    resumed = dataset(url, recipe=RECIPE, epoch=5)
    resumed.load_state_dict(data.state_dict())
    assert resumed.epoch == 1
    assert equal(list(resumed), whole[11:])
    assert equal(list(resumed), whole)  # and the next time from the start


def test_to_resume_costs_what_a_start_costs(url, monkeypatch):
    read, block = [], ShardReader.block
    monkeypatch.setattr(
        ShardReader, "block", lambda reader, i, room: read.append(i) or block(reader, i, room)
    )

    def blocks_of_first_batch(position: int) -> int:
        data = dataset(url, read_ahead=0, batch_size=128)
        data.load_state_dict({**data.state_dict(), "position": position})
        read.clear()
        next(iter(data), None)
        return len(read)

    assert blocks_of_first_batch(20) <= blocks_of_first_batch(0) + 1


def test_a_loaded_position_stays_when_its_own_epoch_is_set(url):
    whole = list(dataset(url))
    data = dataset(url, epoch=0)
    data.load_state_dict({**dataset(url).state_dict(), "position": 40})
    data.set_epoch(1)
    assert equal(list(data), whole[10:])
    assert equal(list(data), whole)


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_loaded_position_is_not_lost_by_another_epoch(url, epoch):
    data = dataset(url, epoch=0)
    data.load_state_dict({**dataset(url).state_dict(), "position": 40})
    with pytest.raises(
        ValueError,
        match=(
            f"expected epoch 1, in which the loaded state goes on at sample 40, got {epoch}; "
            "begin with"
        ),
    ):
        data.set_epoch(epoch)


def test_after_the_last_batch_the_next_epoch_may_begin(url):
    data = dataset(url, epoch=0)
    data.load_state_dict({**dataset(url).state_dict(), "position": 148})
    assert data.exhausted
    data.set_epoch(2)
    assert equal(list(data), list(dataset(url, epoch=2)))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("steps", [1, 5, 20])
def test_a_stateful_loader_resumes(url, workers, steps):
    whole = list(dataset(url))
    loader = StatefulDataLoader(dataset(url), batch_size=None, num_workers=workers)
    batches = iter(loader)
    assert equal(list(islice(batches, steps)), whole[:steps])
    state = loader.state_dict()
    resumed = StatefulDataLoader(dataset(url), batch_size=None, num_workers=workers)
    resumed.load_state_dict(state)
    assert equal(list(resumed), whole[steps:])


def test_a_plain_loader_with_workers_resumes_by_the_number_of_batches(url):
    whole, data = list(dataset(url)), dataset(url)
    list(islice(DataLoader(data, batch_size=None, num_workers=2), 7))
    resumed = dataset(url)
    resumed.load_state_dict(data.state_dict(batches=7))
    assert equal(list(DataLoader(resumed, batch_size=None, num_workers=2)), whole[7:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 4}, "expected a state with seed 3, got 4; give the data set what it had"),
        ({"samples": 10}, "expected a state with samples 150, got 10"),
        ({"shuffle": False}, "expected a state with shuffle True, got False"),
        ({"build": "0123"}, "expected a state with build [0-9a-f]{16}, got 0123"),
        (
            {"batching": "Pack(length=64, window=8192)"},
            r"expected a state with batching OneByOne\(\), got Pack",
        ),
        ({"min_tokens": 3}, "expected a state with min_tokens None, got 3"),
        (
            {"position": 151},
            "expected a position from 0 to 150, got 151; load a state as it was saved",
        ),
        ({"position": -1}, "expected a position from 0 to 150, got -1"),
        ({"position": None}, "expected a position from 0 to 150, got None"),
        (
            {"epoch": -1},
            "expected epoch to be a whole number from 0 to 9223372036854775807, got -1",
        ),
        (
            {"worker": {"id": 0, "of": 2, "skip": 1, "global_batch_size": 9}},
            "expected the state of a loader worker with 4 samples in a global batch, got 9",
        ),
    ],
)
def test_a_state_of_other_data_is_an_error(url, changes, message):
    with pytest.raises(ValueError, match=message):
        dataset(url).load_state_dict({**dataset(url).state_dict(), **changes})


def test_the_state_of_a_worker_is_not_that_of_another(url):
    data = dataset(url)
    data.load_state_dict(
        {**data.state_dict(), "worker": {"id": 1, "of": 2, "skip": 1, "global_batch_size": 4}}
    )
    with pytest.raises(
        ValueError, match="expected the state of loader worker 0 of 1, got that of worker 1 of 2"
    ):
        next(iter(data))


def test_a_state_names_its_build(url, tmp_path):
    again = write_set(str(tmp_path / "again"))
    other = write_set(str(tmp_path / "other"), num_shards=3)
    state = dataset(url).state_dict()
    dataset(again).load_state_dict(state)
    with pytest.raises(ValueError, match="expected a state with build"):
        dataset(other).load_state_dict(state)
