from dataclasses import replace

import numpy as np
import pytest

from noisebeam.transforms.data.samples import Sample, batch_samples
from noisebeam.transforms.shards.format import field_dtypes
from noisebeam.transforms.shards.info import order_in_shard
from noisebeam.transforms.shards.reader import ShardError, ShardReader
from noisebeam.transforms.shards.writer import Shard, build_shard

DTYPES = field_dtypes(vocabulary_size=1000, max_tokens=64, labels_masked=False)


def make_samples(count: int) -> list[Sample]:
    rng = np.random.default_rng(0)
    samples = []
    for i in range(count):
        sentences = rng.integers(1, 9, size=rng.integers(0, 5))
        alternatives = rng.integers(0, 3, size=len(sentences))
        fields = {
            "ids": rng.integers(0, 1000, size=2 + sentences.sum()),
            "sentence_lengths": sentences,
            "head_lengths": np.minimum(1, sentences),
            "alternative_lengths": alternatives,
            "alternatives": rng.integers(0, 1000, size=alternatives.sum()),
        }
        samples.append(
            Sample(int(rng.integers(0, 2**64, dtype=np.uint64)), f"doc {i}", i % 2, fields)
        )
    return samples


@pytest.fixture(params=[1, 8, 256])
def shard(request):
    return build_shard(
        make_samples(21), index=0, count=1, seed=17, dtypes=DTYPES, samples_per_member=request.param
    )


@pytest.fixture
def path(shard, tmp_path):
    path = tmp_path / shard.info.name
    path.write_bytes(shard.tar)
    return path


def by_place(samples: list[Sample]) -> list[Sample]:
    return sorted(samples, key=lambda sample: int(order_in_shard(sample.key, seed=17)[0]))


def assert_equal(found: Sample, expected: Sample) -> None:
    assert (found.key, found.document, found.window) == (
        expected.key,
        expected.document,
        expected.window,
    )
    assert found.fields.keys() == expected.fields.keys()
    for name, values in expected.fields.items():
        np.testing.assert_array_equal(found.fields[name], values)


def test_samples_read_back(path, shard):
    reader = ShardReader(path, shard.index, shard.info)
    assert len(reader) == 21
    for i, expected in enumerate(by_place(make_samples(21))):
        assert_equal(reader.sample(i), expected)


def test_a_block_is_the_flat_batch_of_its_samples(path, shard):
    reader = ShardReader(path, shard.index, shard.info)
    ordered, at = by_place(make_samples(21)), 0
    for i in range(reader.blocks):
        block = reader.block(i)
        expected = batch_samples(ordered[at : at + len(block)], prefix_length=1)
        batch = block.flat_batch(prefix_length=1)
        at += len(block)
        for name in ("ids", "offsets", "keys", "sentence_ends", "sentence_offsets", "head_lengths"):
            np.testing.assert_array_equal(getattr(batch, name), getattr(expected, name))
        for found, wanted in zip(batch.alternatives, expected.alternatives, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_arrays_are_not_copied(path, shard):
    block = ShardReader(path, shard.index).block(0)
    assert not block.arrays["ids"].flags.owndata
    assert block.flat_batch(1).ids is block.arrays["ids"]
    assert block.row("ids", 0).base is not None


def test_an_empty_shard_has_no_samples(tmp_path):
    shard = build_shard([], index=0, count=1, seed=0, dtypes=DTYPES)
    (tmp_path / "empty.tar").write_bytes(shard.tar)
    reader = ShardReader(tmp_path / "empty.tar", shard.index, shard.info)
    assert (len(reader), reader.blocks) == (0, 0)
    with pytest.raises(IndexError, match=r"expected a sample from 0 to -1 of .*empty.tar, got 0"):
        reader.sample(0)


def test_a_missing_shard_is_named(tmp_path, shard):
    with pytest.raises(
        ShardError,
        match=r"cannot open shard .*absent\.tar: No such file or directory; build or copy",
    ):
        ShardReader(tmp_path / "absent.tar", shard.index)


def test_a_truncated_shard_is_named_when_it_is_opened(path, shard):
    path.write_bytes(shard.tar[:-2000])
    size = shard.info.bytes
    with pytest.raises(
        ShardError,
        match=rf"{path.name} is truncated: expected {size} bytes, got {size - 2000}; build",
    ):
        ShardReader(path, shard.index, shard.info)


def test_a_shard_of_another_size_is_named(path, shard):
    path.write_bytes(bytes(shard.tar) + bytes(512))
    with pytest.raises(ShardError, match="has another size: expected"):
        ShardReader(path, shard.index, shard.info)


def test_a_shard_that_is_cut_while_it_is_read_is_named(path, shard):
    reader = ShardReader(path, shard.index, shard.info)
    path.write_bytes(shard.tar[:100])
    with pytest.raises(
        ShardError, match=r"is truncated: expected \d+ bytes of block 0 at byte 0, got 100"
    ):
        reader.block(0)


def test_a_flipped_bit_is_named_with_its_block(path, shard):
    damaged = bytearray(shard.tar)
    damaged[700] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(
        ShardError,
        match=r"is damaged in block 0: expected CRC-32 [0-9a-f]{8} of bytes 0 to \d+, got",
    ):
        ShardReader(path, shard.index, shard.info).block(0)


def test_an_index_that_is_none_is_named(path, shard):
    with pytest.raises(
        ShardError, match=rf"the index .*{path.name}.* cannot be read: not a shard index: "
    ):
        ShardReader(path, b"no index")


def test_an_index_of_another_shard_is_named(path, shard):
    info = replace(shard.info, samples=20)
    with pytest.raises(
        ShardError, match=r"the index of shard .* is wrong: expected 20 samples, got 21"
    ):
        ShardReader(path, shard.index, info)


def test_a_closed_reader_leaves_its_blocks(path, shard: Shard):
    reader = ShardReader(path, shard.index)
    block = reader.block(0)
    reader.close()
    assert block.sample(0).key == by_place(make_samples(21))[0].key
