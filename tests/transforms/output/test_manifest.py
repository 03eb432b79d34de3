import json
from dataclasses import replace

import numpy as np
import pytest

from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.output.manifest import (
    MANIFEST_NAME,
    Manifest,
    ManifestError,
    check_name,
    read_manifest,
    write_manifest,
)
from noisebeam.transforms.shards.info import ShardInfo

SHARD = ShardInfo(
    name="shard-00000-of-00001.tar",
    samples=3,
    documents=2,
    tokens=40,
    bytes=9999,
    sha256="ab" * 32,
    index_name="shard-00000-of-00001.index.npz",
    index_sha256="cd" * 32,
    duplicate_samples=1,
    duplicate_documents=0,
)
MANIFEST = Manifest(
    seed=17,
    settings={"max_tokens": 512, "lang": "en"},
    tokenizer={"name": "bart", "sha256": "ef"},
    vocabulary=Vocabulary(size=10, prefix=(0,), suffix=(2,), pad_id=1).to_json(),
    fields={"ids": "uint16", "keys": "uint64"},
    max_tokens=512,
    recipe="name: bart\n",
    baked=True,
    counts={"samples": 3},
    shards=(SHARD, replace(SHARD, name="shard-00001-of-00001.tar")),
)


def test_a_manifest_reads_back(tmp_path):
    write_manifest(str(tmp_path), MANIFEST)
    found = read_manifest(str(tmp_path))
    assert found.to_json() == MANIFEST.to_json()
    assert found.shards == MANIFEST.shards
    assert Vocabulary.from_json(found.vocabulary) == Vocabulary(
        size=10, prefix=(0,), suffix=(2,), pad_id=1
    )


def test_a_manifest_tells_totals_dtypes_and_the_recipe():
    assert (MANIFEST.samples, MANIFEST.tokens, MANIFEST.recipe_name) == (6, 80, "bart")
    assert MANIFEST.dtypes == {"ids": np.dtype(np.uint16), "keys": np.dtype(np.uint64)}
    assert replace(MANIFEST, recipe=None).recipe_name is None


def test_the_text_does_not_depend_on_the_order_of_settings():
    turned = replace(MANIFEST, settings=dict(reversed(MANIFEST.settings.items())))
    assert turned.to_json() == MANIFEST.to_json()


def test_a_folder_without_manifest_is_an_unfinished_build(tmp_path):
    with pytest.raises(
        ManifestError,
        match=rf"{tmp_path} has no manifest.json: it is no data set, or an unfinished",
    ):
        read_manifest(str(tmp_path))


def _damaged(**changes: object) -> str:
    return json.dumps({**json.loads(MANIFEST.to_json()), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected JSON, got something else: Expecting property name"),
        ("[]", "expected a JSON object, got list"),
        ("{}", "expected format_version 1, got None"),
        (
            _damaged(format_version=2),
            "expected format_version 1, got 2; read it with the version of Noisebeam",
        ),
        (_damaged(extra=1), "expected the entries of a manifest, got others: .*extra"),
        (
            _damaged(shards=[{"name": "a.tar"}]),
            "expected the entries of a manifest, got others: .*missing",
        ),
        (
            _damaged(shards=[{**SHARD.to_json(), "name": "../a.tar"}]),
            r"expected the name of a file .* got '\.\./a\.tar'",
        ),
        (
            _damaged(shards=[{**SHARD.to_json(), "index_name": "s3://b/i"}]),
            "expected the name of a file .*'s3://b/i'",
        ),
    ],
)
def test_a_manifest_that_is_wrong_is_named(tmp_path, text, message):
    (tmp_path / MANIFEST_NAME).write_text(text)
    with pytest.raises(ManifestError, match=rf"cannot read {tmp_path}/manifest.json: {message}"):
        read_manifest(str(tmp_path))


@pytest.mark.parametrize(
    "name", ["", "..", "/etc/passwd", "a/b.tar", "..\\a", ".hidden", "file:x", "a\0b", 3]
)
def test_names_that_leave_the_folder_are_refused(name):
    with pytest.raises(
        ManifestError, match="expected the name of a file beside the manifest, got "
    ):
        check_name(name)
