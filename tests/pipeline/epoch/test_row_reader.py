import gc
import weakref
from threading import Barrier
from time import sleep

import numpy as np
import pytest

from noisebeam.pipeline.epoch import row_reader
from noisebeam.pipeline.epoch.order import EpochOrder
from noisebeam.pipeline.epoch.row_reader import RowReader
from noisebeam.pipeline.epoch.shard_source import ShardSource
from noisebeam.transforms.output.manifest import read_manifest
from noisebeam.transforms.shards.reader import Block, ShardError, ShardReader

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


@pytest.mark.parametrize("small", [0, 2**27])
def test_a_reader_that_went_through_an_epoch_in_small_steps_reads_as_a_new_one(
    source, order, small, monkeypatch
):
    """More blocks than are kept where the data set is large, in use one after the other."""
    monkeypatch.setattr(row_reader, "_SMALL", small)
    monkeypatch.setattr(row_reader, "_EVEN", 1)
    order.streams = 1
    reader = RowReader(source, order, lambda fields: NAMES)
    for first in range(0, SAMPLES, 5):
        positions = np.arange(first, min(first + 5, SAMPLES))
        read, new = (
            each.columns(positions) for each in (reader, RowReader(source, order, lambda _: NAMES))
        )
        for name in NAMES:
            rows, others = (list(each[name].rows()) for each in (read, new))
            assert [row.tolist() for row in rows] == [row.tolist() for row in others]


@pytest.mark.parametrize(
    ("small", "even", "again"), [(0, 8, True), (2**27, 8, False), (2**27, 9, True)]
)
def test_of_a_small_data_set_each_block_is_read_once(
    source, order, small, even, again, monkeypatch
):
    read, block = [], ShardReader.block
    monkeypatch.setattr(
        ShardReader, "block", lambda *arguments: read.append(arguments[:2]) or block(*arguments)
    )
    monkeypatch.setattr(row_reader, "_SMALL", small)
    monkeypatch.setattr(row_reader, "_EVEN", even)
    order.streams = 3
    reader = RowReader(source, order, lambda fields: NAMES)
    for first in range(0, SAMPLES, 3):
        reader.columns(np.arange(first, first + 3))
    assert len(set(read)) == order.blocks > 3 + 8
    assert (len(read) > order.blocks) is again


def test_after_errors_of_the_disk_the_same_reader_reads_what_is_there(source, order, monkeypatch):
    order.streams = 2
    whole = RowReader(source, order, lambda fields: NAMES).columns(np.arange(SAMPLES))["ids"]
    reader = RowReader(source, order, lambda fields: NAMES)
    with monkeypatch.context() as patch:
        patch.setattr(
            "os.preadv", lambda *arguments: (_ for _ in ()).throw(OSError(5, "Input/output error"))
        )
        for position in (0, 60, 120, 0):
            with pytest.raises(
                ShardError,
                match=r"cannot read block \d+ of shard .*\.tar: Input/output error; copy it",
            ):
                reader.columns([position])
    for positions in np.split(np.arange(SAMPLES), 10):
        found = reader.columns(positions)["ids"]
        rows, expected = (list(each.rows()) for each in (found, whole))
        assert [row.tolist() for row in rows] == [
            expected[position].tolist() for position in positions
        ]


def test_blocks_are_read_at_once(source, order, monkeypatch):
    """Each of the reads waits until another has begun."""
    order.streams = 2
    expected = [
        source.sample(number).fields["ids"].tolist() for number in order.samples([0, 1]).tolist()
    ]
    met, block = Barrier(2, timeout=30), ShardReader.block
    monkeypatch.setattr(
        ShardReader, "block", lambda *arguments: met.wait() >= 0 and block(*arguments)
    )
    columns = RowReader(source, order, lambda fields: NAMES).columns([0, 1])
    assert [row.tolist() for row in columns["ids"].rows()] == expected


def test_no_read_goes_on_after_an_error_which_is_that_of_the_first_block(
    source, order, monkeypatch
):
    """The first takes longest to fail; one that went on would write into the slot of another."""
    begun, ended = [], []

    def fail(reader: ShardReader, i: int, memory: np.ndarray) -> None:
        begun.append((reader.path, i))
        sleep(0.2 if len(begun) == 1 else 0)
        ended.append((reader.path, i))
        raise ShardError(f"{reader.path}, block {i}")

    monkeypatch.setattr(ShardReader, "block", fail)
    locations = order.locate(np.arange(SAMPLES))
    shard, at = min(zip(locations.shard.tolist(), locations.block.tolist(), strict=True))
    with pytest.raises(ShardError) as error:
        RowReader(source, order, lambda fields: NAMES).columns(np.arange(SAMPLES))
    assert str(error.value) == f"{source.reader(shard).path}, block {order.block_order(shard)[at]}"
    assert sorted(begun) == sorted(ended)
    assert len(ended) < order.blocks


def test_errors_of_skipped_blocks_keep_no_memory(source, order, monkeypatch):
    """A traceback would keep all blocks alive that were read with the one that failed."""
    first, block = source.manifest.shards[0].name, ShardReader.block
    rooms: list[weakref.ref[np.ndarray]] = []

    def fail(reader: ShardReader, i: int, memory: np.ndarray) -> Block:
        rooms.append(weakref.ref(memory))
        if reader.path.endswith(first):
            raise ShardError("damaged")
        return block(reader, i, memory)

    monkeypatch.setattr(ShardReader, "block", fail)
    skipped: list[int] = []
    reader = RowReader(source, order, lambda fields: NAMES, skipped.append)
    gc.disable()
    try:
        reader.columns(np.arange(SAMPLES))
        del reader
        assert sum(skipped) == source.manifest.shards[0].samples
        assert len(rooms) == order.blocks
        assert [room for room in rooms if room() is not None] == []
    finally:
        gc.enable()


def test_rows_cannot_be_written_to(source, order):
    (row,) = RowReader(source, order, lambda fields: NAMES).columns([3])["ids"].rows()
    with pytest.raises(ValueError, match="read-only"):
        row[:] = 0


def test_the_choice_is_among_the_fields_of_the_shards(source, order):
    seen = []
    RowReader(source, order, lambda fields: seen.append(fields) or ("ids",)).columns([0])
    assert seen == [("ids", "sentence_lengths")]


def test_a_field_that_shards_lack_is_an_error(source, order):
    with pytest.raises(
        ShardError,
        match="expected shards with the field 'labels', got ids, sentence_lengths; build",
    ):
        RowReader(source, order, lambda fields: ("labels",)).columns([0])
