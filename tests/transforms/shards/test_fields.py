import numpy as np
import pytest

from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.shards.fields import redundant_fields, stored_lengths
from noisebeam.transforms.shards.format import ShardIndex, field_dtypes
from noisebeam.transforms.shards.info import samples_per_block
from noisebeam.transforms.shards.reader import ShardReader
from noisebeam.transforms.shards.writer import Shard, build_shard

DTYPES = field_dtypes(vocabulary_size=1000, max_tokens=64, labels_masked=False)


def make_samples(objective: str, count: int = 20) -> list[Sample]:
    """Samples with baked noise: `denoising` may shorten inputs, `masking` keeps lengths, `spans`
    has other labels.
    """
    rng = np.random.default_rng(0)
    samples = []
    for i, length in enumerate(rng.integers(5, 30, size=count).tolist()):
        ids = rng.integers(4, 1000, size=length)
        fields = {"ids": ids, "sentence_lengths": np.array([length - 2])}
        noised = rng.integers(4, 1000, size=length - (i % 3 if objective != "masking" else 0))
        labels = rng.integers(4, 1000, size=length - 2) if objective == "spans" else ids.copy()
        samples.append(Sample(i, f"d{i}", 0, {**fields, "input_ids": noised, "labels": labels}))
    return samples


def build(objective: str, members: int) -> Shard:
    return build_shard(
        make_samples(objective), index=0, count=1, seed=1, dtypes=DTYPES, samples_per_member=members
    )


@pytest.mark.parametrize("members", [1, 8, 256])
@pytest.mark.parametrize("objective", ["denoising", "masking", "spans"])
def test_samples_read_back_whole_whatever_was_left_out(tmp_path, objective, members):
    shard = build(objective, members)
    (tmp_path / "shard.tar").write_bytes(shard.tar)
    reader = ShardReader(tmp_path / "shard.tar", shard.index, shard.info)
    expected = {sample.key: sample for sample in make_samples(objective)}
    for i in range(len(reader)):
        sample = reader.sample(i)
        assert sample.fields.keys() == expected[sample.key].fields.keys()
        for name, values in expected[sample.key].fields.items():
            np.testing.assert_array_equal(sample.fields[name], values)


@pytest.mark.parametrize(
    ("objective", "missing"),
    [
        ("denoising", {"ids", "lengths"}),
        ("masking", {"ids", "lengths", "label_lengths"}),
        ("spans", set()),
    ],
)
def test_what_another_array_tells_is_not_stored(tmp_path, objective, missing):
    names = set(_stored(build(objective, 8)))
    everything = {"keys", "windows", "documents.json", *DTYPES} - {
        "head_lengths",
        "alternatives",
        "alternative_lengths",
        "position_ids",
        "block_position_ids",
    }
    assert everything - names == missing
    assert {"input_ids", "labels"} <= names


def test_one_sample_that_differs_keeps_an_array_in_the_whole_shard():
    samples = make_samples("denoising")
    samples[7].fields["labels"][3] ^= 1
    shard = build_shard(samples, index=0, count=1, seed=1, dtypes=DTYPES, samples_per_member=4)
    assert {"ids", "labels"} <= set(_stored(shard))


def test_the_clean_ids_are_counted_though_the_labels_hold_them():
    assert build("denoising", 8).info.tokens == sum(
        len(s.fields["ids"]) for s in make_samples("denoising")
    )


def test_clean_shards_have_all_of_their_arrays():
    columns = dict.fromkeys(("ids", "lengths", "sentence_lengths"), np.array([1]))
    assert redundant_fields(columns, DTYPES) == set()


def test_other_dtypes_are_other_arrays():
    columns = dict.fromkeys(
        ("ids", "labels", "lengths", "label_lengths", "sentence_lengths"), np.array([1])
    )
    assert redundant_fields(columns, DTYPES) == {"ids", "lengths"}
    assert redundant_fields(columns, {**DTYPES, "labels": np.dtype(np.int16)}) == set()


def test_lengths_are_found_where_they_are_stored():
    assert stored_lengths("labels", {"labels", "label_lengths", "input_lengths"}) == "label_lengths"
    assert stored_lengths("labels", {"labels", "input_lengths"}) == "input_lengths"
    assert stored_lengths("ids", {"labels", "sentence_lengths", "input_lengths"}) == "input_lengths"
    assert stored_lengths("ids", {"ids"}) is None


@pytest.mark.parametrize(("tokens", "samples"), [(1, 1024), (512, 1024), (1024, 512), (2**20, 16)])
def test_blocks_hold_half_a_million_tokens_where_they_can(tokens, samples):
    assert samples_per_block(tokens) == samples


def _stored(shard: Shard) -> tuple[str, ...]:
    return ShardIndex.from_bytes(shard.index).names
