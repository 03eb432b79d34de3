"""Indexes, shards and manifests of any content: no crash but the errors that are documented, and no
hang.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from support.fuzz import EXAMPLES, damaged, fuzz

from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.output.manifest import Manifest, ManifestError
from noisebeam.transforms.shards.format import field_dtypes
from noisebeam.transforms.shards.reader import ShardError, ShardReader
from noisebeam.transforms.shards.writer import Shard, build_shard


@pytest.fixture(scope="module")
def shard() -> Shard:
    dtypes = field_dtypes(vocabulary_size=1000, max_tokens=64, labels_masked=False)
    samples = [
        Sample(
            i, f"doc {i}", 0, {"ids": np.arange(i % 7 + 2), "sentence_lengths": np.array([i % 7])}
        )
        for i in range(20)
    ]
    return build_shard(samples, index=0, count=1, seed=1, dtypes=dtypes, samples_per_member=8)


def read_all(path: Path, index: bytes) -> None:
    reader = ShardReader(path, index)
    try:
        for i in range(reader.blocks):
            block = reader.block(i)
            for row in range(len(block)):
                block.sample(row)
    finally:
        reader.close()


@pytest.mark.parametrize("examples", EXAMPLES)
def test_a_damaged_index_is_a_shard_error(shard: Shard, examples: int, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(shard.tar)

    def check(index: bytes) -> None:
        with suppress(ShardError):
            read_all(tmp_path / "a.tar", index)

    fuzz(check, examples, damaged(shard.index))


@pytest.mark.parametrize("examples", EXAMPLES)
def test_a_damaged_shard_is_a_shard_error(shard: Shard, examples: int, tmp_path: Path) -> None:
    def check(tar: bytes) -> None:
        (tmp_path / "a.tar").write_bytes(tar)
        with suppress(ShardError):
            read_all(tmp_path / "a.tar", shard.index)

    fuzz(check, examples, damaged(bytes(shard.tar)))


def manifest_of(shard: Shard) -> str:
    return Manifest(
        seed=1,
        settings={"max_tokens": 64},
        tokenizer={"name": "a", "sha256": "b"},
        vocabulary={"size": 1000},
        fields={"ids": "uint16"},
        max_tokens=64,
        recipe="name: bart\n",
        shards=(shard.info,),
        counts={"documents": 20},
    ).to_json()


def parse(text: str | bytes) -> None:
    with suppress(ManifestError):
        manifest = Manifest.from_json(text)
        _ = (
            manifest.dtypes,
            manifest.samples,
            manifest.tokens,
            manifest.digest,
            manifest.recipe_name,
            manifest.to_json(),
        )


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_a_damaged_manifest_is_a_manifest_error(shard: Shard, examples: int) -> None:
    fuzz(parse, examples, damaged(manifest_of(shard).encode()))


@pytest.mark.parametrize("examples", EXAMPLES)
def test_a_manifest_of_other_values_is_a_manifest_error(shard: Shard, examples: int) -> None:
    values = json.loads(manifest_of(shard))

    def check(name: str, value: object, of_shard: str, shard_value: object, in_shard: bool) -> None:
        changed = {**values, name: value}
        if in_shard:
            changed = {**values, "shards": [{**values["shards"][0], of_shard: shard_value}]}
        parse(json.dumps(changed))

    names, of_shard = st.sampled_from(sorted(values)), st.sampled_from(sorted(values["shards"][0]))
    fuzz(check, examples, names, anything, of_shard, anything, st.booleans())


def test_brackets_in_brackets_are_a_manifest_error() -> None:
    with pytest.raises(ManifestError, match="expected JSON"):
        Manifest.from_json("[" * 200_000)
