import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from noisebeam.pipeline.inspect.verify import verify
from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.io.storage import join, publish
from noisebeam.transforms.output.manifest import (
    Manifest,
    ManifestError,
    read_manifest,
    write_manifest,
)
from noisebeam.transforms.shards import writer as shards
from noisebeam.transforms.shards.format import field_dtypes
from noisebeam.transforms.shards.info import shard_of
from noisebeam.transforms.shards.writer import build_shard

DTYPES = field_dtypes(vocabulary_size=100, max_tokens=16, labels_masked=False)
FIRST = "shard-00000-of-00002.tar"


def make_samples(top: int = 100) -> list[Sample]:
    rng = np.random.default_rng(0)
    return [
        Sample(
            key=int(rng.integers(0, 2**64, dtype=np.uint64)),
            document=f"doc {i // 2}",
            window=i % 2,
            fields={
                "ids": rng.integers(0, top, size=length),
                "sentence_lengths": np.array([length - 2]),
            },
        )
        for i, length in enumerate(rng.integers(3, 17, size=40))
    ]


def write_set(url: str, samples: list[Sample], members: int = 8, **changes: object) -> str:
    """A set of two shards; `changes` are those of the manifest."""
    at = shard_of([sample.key for sample in samples], 17, 2)
    infos = []
    for i in range(2):
        chosen = [sample for sample, shard in zip(samples, at, strict=True) if shard == i]
        shard = build_shard(
            chosen, index=i, count=2, seed=17, dtypes=DTYPES, samples_per_member=members
        )
        publish(join(url, shard.info.name), shard.tar)
        publish(join(url, shard.info.index_name), shard.index)
        infos.append(shard.info)
    manifest = Manifest(
        seed=17,
        settings={},
        tokenizer={},
        vocabulary=Vocabulary(size=100).to_json(),
        fields={name: dtype.name for name, dtype in DTYPES.items()},
        max_tokens=16,
        samples_per_member=members,
        shards=tuple(infos),
        counts={"samples": 40, "documents": 20, "tokens": sum(info.tokens for info in infos)},
    )
    write_manifest(url, replace(manifest, **changes))
    return url


@pytest.fixture
def url(tmp_path) -> str:
    return write_set(str(tmp_path), make_samples())


@pytest.mark.parametrize("members", [1, 8, 256])
def test_a_build_as_it_was_written_has_no_differences(tmp_path, members):
    assert verify(write_set(str(tmp_path), make_samples(), members)) == []


def test_other_files_in_the_folder_are_fine_but_shards_and_hidden_files_are_not(url):
    for name in (
        "README.md",
        "tokenizer/tokenizer.json",
        "shard-00005-of-00009.tar",
        ".shard-x.tmp",
    ):
        publish(join(url, name), b"")
    assert verify(url) == [
        ".shard-x.tmp: not in the manifest",
        "shard-00005-of-00009.tar: not in the manifest",
    ]


def test_any_flipped_bit_is_found(url):
    path = Path(url, FIRST)
    whole = path.read_bytes()
    for at in np.random.default_rng(0).integers(0, len(whole), size=40).tolist():
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert any(f"{FIRST}: sha256 of the shard is " in line for line in verify(url))


@pytest.mark.parametrize("kept", [0, 100, 3000])
def test_a_truncated_shard_is_found(url, kept):
    path = Path(url, FIRST)
    path.write_bytes(path.read_bytes()[:kept])
    differences = verify(url)
    assert any(f"{FIRST}: {kept} bytes, " in line for line in differences)
    assert all("\n" not in line for line in differences)


@pytest.mark.parametrize("name", [FIRST, "shard-00000-of-00002.index.npz"])
def test_a_missing_file_is_found(url, name):
    Path(url, name).unlink()
    assert verify(url) == [f"{FIRST}: {name} is missing"]


def test_an_exchanged_index_is_found(url):
    first, second = (Path(url, f"shard-0000{i}-of-00002.index.npz") for i in (0, 1))
    first.write_bytes(second.read_bytes())
    assert any(line.startswith(f"{FIRST}: sha256 of the index is ") for line in verify(url))


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        (
            {"vocabulary": Vocabulary(size=50).to_json()},
            f"{FIRST}: ids of block 0 has values outside 0 to 49",
        ),
        ({"max_tokens": 8}, f"{FIRST}: lengths of block 0 has values outside 0 to 8"),
        ({"seed": 18}, f"{FIRST}: samples are not in the order of their keys, or not unique"),
        ({"seed": 18}, f"{FIRST}: it has samples that belong in another shard"),
        ({"samples_per_member": 16}, f"{FIRST}: a block before the last has not 16 samples"),
        ({"counts": {"samples": 39}}, "manifest: 39 samples in counts, 40 in its shards"),
        (
            {"fields": dict.fromkeys(DTYPES, "uint32")},
            f"{FIRST}: ids of block 0 is uint8, uint32 in the manifest",
        ),
    ],
)
def test_a_manifest_that_tells_something_else_is_found(tmp_path, changes, difference):
    assert difference in verify(write_set(str(tmp_path), make_samples(), **changes))


@pytest.mark.parametrize("name", ["samples", "tokens", "documents"])
def test_a_wrong_count_of_a_shard_is_found(url, name):
    text = json.loads(Path(url, "manifest.json").read_text())
    text["shards"][0][name] += 1
    Path(url, "manifest.json").write_text(json.dumps(text))
    right = text["shards"][0][name] - 1
    assert f"{FIRST}: {right} {name}, {right + 1} in the manifest" in verify(url)
    assert read_manifest(url).shards[0].name == FIRST


def test_a_sample_that_occurs_twice_is_found(tmp_path, monkeypatch):
    order = shards._order
    monkeypatch.setattr(
        shards, "_order", lambda *arguments: np.append(found := order(*arguments), found[-1:])
    )
    differences = verify(write_set(str(tmp_path), 2 * make_samples()))
    assert f"{FIRST}: samples are not in the order of their keys, or not unique" in differences


def test_a_folder_without_manifest_is_an_error(tmp_path):
    with pytest.raises(ManifestError, match=r"has no manifest\.json"):
        verify(str(tmp_path))
