import io
import json
import random
import tarfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import webdataset

from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.shards.format import field_dtypes
from noisebeam.transforms.shards.info import (
    ShardInfo,
    index_name,
    order_in_shard,
    samples_per_block,
    shard_name,
    shard_of,
)
from noisebeam.transforms.shards.writer import build_shard, write_shard

DTYPES = field_dtypes(vocabulary_size=1000, max_tokens=64, labels_masked=False)
SETTINGS = {"index": 1, "count": 3, "seed": 17, "dtypes": DTYPES, "samples_per_member": 8}


def make_samples(count: int, seed: int = 0, alternatives: bool = True) -> list[Sample]:
    rng = np.random.default_rng(seed)
    samples = []
    for i in range(count):
        sentences = rng.integers(1, 9, size=rng.integers(0, 5))
        fields = {
            "ids": rng.integers(0, 1000, size=2 + sentences.sum()),
            "sentence_lengths": sentences,
        }
        if alternatives:
            fields["head_lengths"] = np.ones_like(sentences)
            fields["alternative_lengths"] = rng.integers(0, 3, size=len(sentences))
            fields["alternatives"] = rng.integers(0, 1000, size=fields["alternative_lengths"].sum())
        samples.append(
            Sample(int(rng.integers(0, 2**64, dtype=np.uint64)), f"doc {i // 2} é", i % 2, fields)
        )
    return samples


def test_names():
    assert shard_name(3, 16) == "shard-00003-of-00016.tar"
    assert index_name(shard_name(3, 16)) == "shard-00003-of-00016.index.npz"


def test_the_bytes_do_not_depend_on_the_order_of_arrival():
    samples = make_samples(50)
    first = build_shard(samples, **SETTINGS)
    for seed in range(5):
        random.Random(seed).shuffle(samples)
        assert build_shard(iter(samples), **SETTINGS) == first


def test_the_bytes_do_not_depend_on_the_dtypes_that_arrive():
    samples = make_samples(20)
    small = [
        replace(s, fields={name: v.astype(np.int16) for name, v in s.fields.items()})
        for s in samples
    ]
    assert build_shard(small, **SETTINGS) == build_shard(samples, **SETTINGS)


@pytest.mark.parametrize("change", [lambda v: v.astype(">i4"), lambda v: np.repeat(v, 2)[::2]])
def test_the_bytes_do_not_depend_on_how_values_lie_in_memory(change):
    samples = make_samples(20)
    others = [replace(s, fields={name: change(v) for name, v in s.fields.items()}) for s in samples]
    assert build_shard(others, **SETTINGS) == build_shard(samples, **SETTINGS)


def test_golden_bytes():
    ids = np.array([0, 7, 8, 2])
    samples = [
        Sample(key, f"d{key}", 0, {"ids": ids, "sentence_lengths": np.array([1, 1])})
        for key in range(5)
    ]
    shard = build_shard(samples, **SETTINGS)
    assert (
        sha256(shard.tar).hexdigest()
        == shard.info.sha256
        == "db142abff8f16a45bdcaa154bda817a0374223d7b8317e6bc8cd8d127a7f7149"
    )
    assert shard.info.samples == 5
    assert shard.info.tokens == 20


def test_duplicates_are_dropped_and_counted():
    samples = make_samples(20)
    shard = build_shard([*samples, samples[4], samples[4], samples[5]], **SETTINGS)
    once = build_shard(samples, **SETTINGS)
    assert (shard.tar, shard.index) == (once.tar, once.index)
    assert (shard.info.samples, shard.info.documents) == (20, 10)
    assert (shard.info.duplicate_samples, shard.info.duplicate_documents) == (3, 2)


def test_of_copies_that_differ_the_same_one_is_kept_in_any_order():
    samples = make_samples(6)
    other = replace(samples[2], fields=samples[3].fields)
    one, two = (
        build_shard(arrived, **SETTINGS) for arrived in ([*samples, other], [other, *samples])
    )
    assert one == two
    assert (one.info.samples, one.info.duplicate_samples) == (6, 1)


def test_documents_whose_keys_collide_are_both_kept():
    samples = [replace(sample, key=5) for sample in make_samples(4)]
    assert build_shard(samples, **SETTINGS) == build_shard(samples[::-1], **SETTINGS)
    assert build_shard(samples, **SETTINGS).info.samples == 4


def test_samples_lie_in_the_order_of_their_hashes(tmp_path):
    samples = make_samples(50)
    stored = np.concatenate(
        [block["keys.npy"] for block in _read_with_webdataset(tmp_path, samples)]
    )
    places = order_in_shard(stored, seed=17)
    assert np.all(places[1:] > places[:-1])
    assert sorted(stored.tolist()) == sorted(sample.key for sample in samples)


def test_plain_webdataset_reads_all_samples(tmp_path):
    samples = make_samples(50)
    by_key = {sample.key: sample for sample in samples}
    seen = 0
    for block in _read_with_webdataset(tmp_path, samples):
        rows = np.split(block["ids.npy"], np.cumsum(block["lengths.npy"])[:-1])
        for key, document, window, ids in zip(
            block["keys.npy"].tolist(),
            block["documents.json"],
            block["windows.npy"].tolist(),
            rows,
            strict=True,
        ):
            assert (document, window) == (by_key[key].document, by_key[key].window)
            np.testing.assert_array_equal(ids, by_key[key].fields["ids"])
            seen += 1
    assert seen == 50


def test_the_classic_form_has_a_sample_a_member_set(tmp_path):
    samples = make_samples(6)
    by_key = {sample.key: sample for sample in samples}
    for found in _read_with_webdataset(tmp_path, samples, samples_per_member=1):
        sample = by_key[int(found["keys.npy"][0])]
        assert found["documents.json"] == [sample.document]
        assert not {"lengths.npy", "sentence_counts.npy"} & found.keys()
        for name, values in sample.fields.items():
            np.testing.assert_array_equal(found[f"{name}.npy"], values)


def test_keys_of_blocks_are_unique_and_arrays_have_the_given_dtypes(tmp_path):
    blocks = _read_with_webdataset(tmp_path, make_samples(50))
    assert [block["__key__"] for block in blocks] == [f"000001-{i:08d}" for i in range(7)]
    for name in ("ids", "lengths", "sentence_lengths", "sentence_counts", "alternatives", "keys"):
        assert all(block[f"{name}.npy"].dtype == DTYPES[name] for block in blocks)


@pytest.mark.parametrize(
    ("top", "dtype"), [(0, "uint8"), (255, "uint8"), (256, "uint16"), (70000, "uint32")]
)
def test_windows_have_the_smallest_dtype_that_fits_their_shard(tmp_path, top, dtype):
    samples = make_samples(10)
    blocks = _read_with_webdataset(tmp_path, [*samples[:-1], replace(samples[-1], window=top)])
    assert {str(block["windows.npy"].dtype) for block in blocks} == {dtype}


def test_tar_and_numpy_alone_read_a_shard(tmp_path):
    with tarfile.open(fileobj=io.BytesIO(build_shard(make_samples(10), **SETTINGS).tar)) as archive:
        archive.extractall(tmp_path, filter="data")
    lengths = np.load(tmp_path / "000001-00000000.lengths.npy")
    assert np.load(tmp_path / "000001-00000000.ids.npy").shape == (lengths.sum(),)
    assert len(json.loads((tmp_path / "000001-00000000.documents.json").read_bytes())) == 8


def test_blocks_cost_little_more_than_the_arrays():
    """Rows of 64 to 512 tokens, inputs and labels of different lengths."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(64, 513, size=(10240, 2)).tolist()
    samples = [
        Sample(
            i,
            f"d{i}",
            i % 3,
            {"input_ids": np.zeros(a, np.uint16), "labels": np.zeros(b, np.uint16)},
        )
        for i, (a, b) in enumerate(lengths)
    ]
    dtypes = field_dtypes(50265, 512, False)
    shard = build_shard(
        samples, index=0, count=1, seed=0, dtypes=dtypes, samples_per_member=samples_per_block(512)
    )
    assert len(shard.tar) + len(shard.index) < 1.03 * 2 * sum(map(sum, lengths))


def test_no_samples_make_an_empty_shard():
    shard = build_shard([], **SETTINGS)
    assert (shard.info.samples, shard.info.bytes, shard.tar) == (0, 1024, bytes(1024))


def test_samples_with_different_fields_are_an_error():
    samples = [*make_samples(30), *make_samples(1, seed=1, alternatives=False)]
    with pytest.raises(
        ValueError,
        match=r"expected the same fields in all samples, got \[.*'ids'.* in document 'doc 0 é'",
    ):
        build_shard(samples, **SETTINGS)


def test_an_id_beyond_its_dtype_is_an_error():
    sample = Sample(1, "d", 0, {"ids": np.array([70000])})
    with pytest.raises(ValueError, match=r"expected ids from 0 to 65535 \(uint16\), got 70000"):
        build_shard([sample], **SETTINGS)


def test_shard_of_spreads_keys_evenly_and_by_the_seed():
    keys = np.arange(80_000, dtype=np.uint64)
    counts = np.bincount(shard_of(keys, 17, 8))
    assert len(counts) == 8
    assert np.abs(counts - 10_000).max() < 500
    assert np.any(shard_of(keys, 17, 8) != shard_of(keys, 18, 8))
    assert shard_of(7, 17, 8)[0] == shard_of(keys, 17, 8)[7]


def test_write_shard_publishes_both_files(tmp_path):
    info = write_shard(str(tmp_path), make_samples(10), **SETTINGS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [info.index_name, info.name]
    assert sha256((tmp_path / info.name).read_bytes()).hexdigest() == info.sha256
    assert sha256((tmp_path / info.index_name).read_bytes()).hexdigest() == info.index_sha256
    assert ShardInfo.from_json(info.to_json()) == info


def _read_with_webdataset(
    folder: Path, samples: list[Sample], samples_per_member: int = 8
) -> list[dict]:
    info = write_shard(
        str(folder), samples, **{**SETTINGS, "samples_per_member": samples_per_member}
    )
    return list(webdataset.WebDataset(str(folder / info.name), shardshuffle=False).decode())
