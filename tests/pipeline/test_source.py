import numpy as np
import pytest

from noisebeam.pipeline.order import EpochOrder
from noisebeam.pipeline.source import RowReader, ShardSource
from noisebeam.transforms.manifest import read_manifest
from noisebeam.transforms.shard_reader import ShardError

SAMPLES = 150
NAMES = ("keys", "ids", "sentence_lengths")


@pytest.fixture(scope="module")
def source(make_set, tmp_path_factory) -> ShardSource:
    url = make_set(str(tmp_path_factory.mktemp("set")), SAMPLES)
    return ShardSource(url, read_manifest(url))


@pytest.fixture
def order(source) -> EpochOrder:
    return EpochOrder([shard.samples for shard in source.manifest.shards], 8, seed=3, epoch=1)


@pytest.mark.parametrize(
    "positions",
    [
        np.arange(SAMPLES),
        np.arange(1, SAMPLES, 3),  # a rank's share
        np.arange(SAMPLES)[::-1],
        np.array([149, 0, 0, 149, 7]),  # some again, as where a tail is padded
        np.array([12]),
    ],
)
def test_columns_are_those_of_the_samples_one_by_one(source, order, positions):
    columns = RowReader(source, order, lambda fields: NAMES).columns(positions)
    assert tuple(columns) == NAMES
    for at, number in enumerate(order.samples(positions).tolist()):
        sample = source.sample(number)
        assert columns["keys"].row(at).tolist() == [sample.key]
        for name in NAMES[1:]:
            np.testing.assert_array_equal(columns[name].row(at), sample.fields[name])


def test_the_choice_is_among_the_fields_of_the_shards(source, order):
    seen = []
    RowReader(source, order, lambda fields: seen.append(fields) or ("ids",)).columns([0])
    assert seen == [("ids", "sentence_lengths")]


def test_a_field_that_shards_lack_is_an_error(source, order):
    with pytest.raises(ShardError, match="expected shards with the field 'labels', got ids, sentence_lengths; build"):
        RowReader(source, order, lambda fields: ("labels",)).columns([0])
