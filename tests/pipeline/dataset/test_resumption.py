"""A state loaded once, in any loader: README's loop goes on as the undisturbed one."""

import json
from itertools import islice

import pytest
from support.sets import dataset, equal
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from noisebeam.pipeline import GroupByLength

EPOCHS = 3
BATCHES = 37  # of an epoch of 150 samples, 4 in a batch


def loop(data, loader, epochs=EPOCHS):
    """README's loop: the batches of all its passes."""
    found = []
    for epoch in range(data.epoch, epochs):
        data.set_epoch(epoch)
        found += loader
    return found


def plain(url, **settings):
    data = dataset(url, epoch=0, **settings)
    return loop(data, data)


def loaders():
    yield pytest.param(lambda data: data, id="loop")
    for workers in (0, 1, 2, 4):
        for persistent in (False, True) if workers == 2 else (False,):
            settings = {"num_workers": workers, "persistent_workers": persistent}
            name = f"{workers}{'-persistent' * persistent}"
            marks = pytest.mark.slow if workers in (1, 4) else ()
            make = lambda data, s=settings: DataLoader(data, batch_size=None, **s)  # noqa: E731
            yield pytest.param(make, id=f"torch-{name}", marks=marks)


@pytest.mark.parametrize("make", loaders())
@pytest.mark.parametrize("at", [0, 5, 37, 42])
def test_a_state_loaded_before_the_loop(url, make, at):
    whole = plain(url)
    data = dataset(url, epoch=0)
    batches = (batch for epoch in range(EPOCHS) for batch in (data.set_epoch(epoch) or data))
    assert equal(list(islice(batches, at)), whole[:at])
    resumed = dataset(url, epoch=0)
    resumed.load_state_dict(json.loads(json.dumps(data.state_dict())))
    assert equal(loop(resumed, make(resumed)), whole[at:])


@pytest.mark.parametrize(
    "workers",
    [0, 2, *(pytest.param(workers, marks=pytest.mark.slow) for workers in (1, 4))],
)
@pytest.mark.parametrize(("passes", "at"), [(1, 37), (2, 5), (2, 37), (3, 9)])
def test_a_state_that_a_stateful_loader_loads_in_the_first_pass(url, workers, passes, at):
    whole = plain(url)
    data = dataset(url, epoch=0)
    loader = StatefulDataLoader(data, batch_size=None, num_workers=workers)
    for epoch in range(passes):
        data.set_epoch(epoch)
        batches = iter(loader)
        list(islice(batches, at if epoch == passes - 1 else None))
    state = loader.state_dict()
    resumed = dataset(url, epoch=0)
    again = StatefulDataLoader(resumed, batch_size=None, num_workers=workers)
    again.load_state_dict(state)
    done = BATCHES * (passes - 1) + at
    assert equal(loop(resumed, again), whole[done:])


def test_a_grouped_batching_resumes_in_a_stateful_loader(url):
    settings = {"batching": GroupByLength(4, groups=8)}
    whole = plain(url, **settings)
    data = dataset(url, epoch=0, **settings)
    loader = StatefulDataLoader(data, batch_size=None, num_workers=2)
    data.set_epoch(1)
    list(islice(loader, 10))
    state = loader.state_dict()
    resumed = dataset(url, epoch=0, **settings)
    again = StatefulDataLoader(resumed, batch_size=None, num_workers=2)
    again.load_state_dict(state)
    assert equal(loop(resumed, again), whole[BATCHES + 10 :])


def test_a_loaded_epoch_may_be_chosen_again_after_another(url):
    data = dataset(url, epoch=0)
    data.load_state_dict(dataset(url, epoch=2).state_dict())
    data.set_epoch(2)
    third = list(data)
    data.set_epoch(0)
    assert len(list(data)) == BATCHES
    data.set_epoch(2)
    assert equal(list(data), third)


@pytest.mark.parametrize("settings", [{}, {"batch_size": 8}, {"batch_size": 2, "num_workers": 1}])
def test_a_loader_that_collates_again_is_refused(url, settings):
    with pytest.raises(ValueError, match="expected a DataLoader with batch_size=None, got one"):
        next(iter(DataLoader(dataset(url), **settings)))
