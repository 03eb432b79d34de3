import json
from itertools import islice, pairwise

import numpy as np
import pytest
from support.sets import RECIPE, dataset, equal, number, write_set
from torchdata.stateful_dataloader import StatefulDataLoader

from noisebeam.pipeline import GroupByLength, LengthWarmup, Mixture, Pack, ShardDataset
from noisebeam.transforms.output.manifest import read_manifest, write_manifest


@pytest.fixture(scope="module")
def other_url(make_set, tmp_path_factory) -> str:
    """70 samples that are no samples of `url`."""
    return make_set(str(tmp_path_factory.mktemp("other")), 70)


@pytest.fixture
def mix(url, other_url):
    """Makes a mixture of 150 and 70 samples; `shares` are weights, temperature, epochs, and what
    else it takes.
    """

    def make(shares: dict, **settings) -> Mixture:
        return Mixture([dataset(one, **settings) for one in (url, other_url)], **shares)

    return make


def texts(url: str) -> dict[tuple[int, ...], int]:
    data = ShardDataset(url, batch_size=1)
    return {tuple(data.sample(i).fields["ids"].tolist()): i for i in range(data.samples)}


def seen(batches) -> list[tuple[int, ...]]:
    """The labels of each sample, in order."""
    return [tuple(row[row != -100].tolist()) for batch in batches for row in batch["labels"]]


def test_each_set_has_its_share_at_every_prefix(mix, url):
    mixture = mix({"weights": [0.9, 0.1], "samples": 1000}, batch_size=1)
    first = texts(url)
    of_first = np.cumsum([sample in first for sample in seen(mixture)])
    assert len(of_first) == 1000
    assert np.abs(of_first - 0.9 * np.arange(1, 1001)).max() <= 0.5
    assert mixture.weights == [0.9, 0.1]


def test_a_set_is_seen_whole_before_it_begins_anew(mix, url):
    mixture = mix({"weights": [3, 1], "samples": 130}, batch_size=1)
    first, found = texts(url), []
    for epoch in range(4):
        mixture.set_epoch(epoch)
        found += seen(mixture)
    turns = [sample for sample in found if sample in first]
    assert len(turns) == 390
    assert set(turns[:150]) == set(turns[150:300]) == first.keys()
    assert turns[:150] != turns[150:300]


def test_epochs_are_exact(mix, url, other_url):
    mixture = mix({"epochs": [2, 0.5]}, batch_size=1)
    found = seen(mixture)
    assert len(found) == mixture.samples == 335
    counts = {sample: found.count(sample) for sample in found}
    assert {counts[sample] for sample in texts(url)} == {2}
    assert sum(sample in counts for sample in texts(other_url)) == 35


@pytest.mark.parametrize(
    ("temperature", "weights"), [(1, [150 / 220, 70 / 220]), (1e9, [0.5, 0.5])]
)
def test_temperature_makes_shares_even(mix, temperature, weights):
    assert mix({"temperature": temperature}).weights == pytest.approx(weights, abs=1e-5)
    assert mix({"temperature": 2}).weights[0] == pytest.approx(
        150**0.5 / (150**0.5 + 70**0.5), abs=1e-5
    )


def test_one_of_each_is_the_sets_themselves(mix, url, other_url):
    assert (
        set(seen(mix({"temperature": 1}, tail="pad")))
        == texts(url).keys() | texts(other_url).keys()
    )


@pytest.mark.parametrize(
    "batching", [None, GroupByLength(4, groups=8), Pack(64, window=50)], ids=["", "group", "pack"]
)
def test_resume_from_every_batch_on_other_ranks(mix, batching):
    settings = {"batching": batching} if batching else {"recipe": RECIPE}
    shares = {"weights": [2, 1]}
    whole, states = [], []
    for batch in (data := mix(shares, tail="pad", **settings)):
        whole.append(batch)
        states.append(json.loads(json.dumps(data.state_dict())))
    assert len(whole) == len(data)
    for n, state in list(enumerate(states, start=1))[::3]:
        resumed = mix(shares, tail="pad", **settings)
        resumed.load_state_dict(state)
        assert equal(list(resumed), whole[n:])
    ranks = [
        mix(shares, tail="pad", batch_size=2, rank=rank, world_size=2, **settings)
        for rank in range(2)
    ]
    for rank in ranks:
        rank.load_state_dict(states[4])
    for both, batch in zip(zip(*ranks, strict=True), whole[5:], strict=True):
        ids = [row[row != 1].tolist() for share in both for row in share["input_ids"]]
        assert sorted(ids) == sorted(row[row != 1].tolist() for row in batch["input_ids"])


def test_loader_workers_give_the_same_and_resume(mix):
    shares = {"weights": [2, 1]}
    whole = list(mix(shares, recipe=RECIPE, tail="pad"))
    loader = StatefulDataLoader(
        mix(shares, recipe=RECIPE, tail="pad"), batch_size=None, num_workers=2
    )
    assert equal(list(islice(loader, 7)), whole[:7])
    batches = iter(loader)
    assert equal(list(islice(batches, 9)), whole[:9])
    resumed = StatefulDataLoader(
        mix(shares, recipe=RECIPE, tail="pad"), batch_size=None, num_workers=2
    )
    resumed.load_state_dict(loader.state_dict())
    assert equal(list(resumed), whole[9:])


@pytest.fixture(scope="module")
def three(make_set, tmp_path_factory) -> list[str]:
    """Sets of 20, 15 and 10 samples, none of which are the same."""
    folder = tmp_path_factory.mktemp("three")
    return [
        make_set(str(folder / str(first)), count, first=first)
        for count, first in ((20, 0), (15, 20), (10, 35))
    ]


def test_three_sets_resume_from_every_position(three):
    def make(batch_size: int = 1, **ranks: int) -> Mixture:
        sets = [
            ShardDataset(one, RECIPE, batch_size=batch_size, tail="pad", read_ahead=0, **ranks)
            for one in three
        ]
        return Mixture(sets, epochs=[2, 0.6, 1])

    data = make()
    data.set_epoch(1)
    whole, states = [], []
    for batch in data:
        whole.append(batch)
        states.append(data.state_dict())
    assert len(whole) == 40 + 9 + 10
    for n, state in enumerate(states[:-1], start=1):
        resumed, other = make(), make(2, rank=1, world_size=2)
        for each in (resumed, other):
            each.load_state_dict(state)
        assert equal([*resumed], whole[n:])
        ids = seen(other)
        assert ids[: (len(whole) - n) // 2] == seen(whole[n + 1 :: 2])


def test_noise_is_that_of_the_epoch_of_the_set(mix, url):
    alone = {}
    data = dataset(url, recipe=RECIPE, batch_size=1)
    for epoch in (0, 1):
        data.set_epoch(epoch)
        alone[epoch] = {number(b["labels"][0]): b["input_ids"][0].tolist() for b in data}
    mixture = mix({"weights": [1, 0], "samples": 300}, recipe=RECIPE, batch_size=1)
    found = [(number(b["labels"][0]), b["input_ids"][0].tolist()) for b in mixture]
    assert dict(found[:150]) == alone[0]
    assert dict(found[150:]) == alone[1]


def test_a_warm_up_counts_the_samples_of_the_mixture(mix):
    mixture = mix({"weights": [1, 1]}, length_warmup=LengthWarmup(100, start=8), pad_to_multiple=8)
    widths = [batch["labels"].shape[1] for batch in mixture]
    assert widths[0] == 8
    assert max(widths[:12]) < max(widths)
    assert all(a <= b for a, b in pairwise(widths[:5]))


def test_a_state_of_another_mixture_is_an_error(mix, url):
    state = mix({"weights": [2, 1]}).state_dict()
    with pytest.raises(ValueError, match=r"expected a state with counts \[1, 2\], got \[2, 1\]"):
        mix({"weights": [1, 2]}).load_state_dict(state)
    with pytest.raises(ValueError, match=r"expected a state with seed of set 0 4, got 3"):
        mix({"weights": [2, 1]}, seed=4).load_state_dict(state)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({}, "expected one of weights, temperature and epochs, got none"),
        (
            {"weights": [1, 1], "epochs": [1, 1]},
            "expected one of weights, temperature and epochs, got weights and epochs",
        ),
        (
            {"weights": [1]},
            r"expected weights of at least 0, one for each of the 2 sets, and one above "
            r"0, got \[1\]",
        ),
        ({"epochs": [-1, 2]}, r"expected epochs of at least 0, .* got \[-1, 2\]"),
        ({"temperature": 0}, "expected a temperature above 0, got 0"),
        (
            {"weights": [1, 1], "samples": 0},
            "expected samples to be a whole number of at least 1, got 0",
        ),
    ],
)
def test_wrong_shares_are_errors(mix, shares, message):
    with pytest.raises(ValueError, match=message):
        mix(shares)


def test_sets_that_do_not_go_together_are_errors(url, tmp_path):
    with pytest.raises(ValueError, match=r"expected sets with samples, got \[\]"):
        Mixture([], [])
    with pytest.raises(
        ValueError,
        match=r"expected set 1 to make batches as set 0 does, .*batch_size=4.*batch_size=5",
    ):
        Mixture([dataset(url), dataset(url, batch_size=5)], [1, 1])
    other = write_set(str(tmp_path))
    manifest = read_manifest(other)
    object.__setattr__(manifest, "vocabulary", {**manifest.vocabulary, "size": 1001})
    write_manifest(other, manifest)
    with pytest.raises(
        ValueError, match=r"expected the vocabulary of set 0 .*, got another one in set 1"
    ):
        Mixture([dataset(url), dataset(other)], [1, 1])
