"""A corpus with every kind of bad record, each a twentieth as often as good ones: nothing is lost,
all is told.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from support.dirt import EMPTY, FILES, LINES, ROWS, write_dirt

from noisebeam.pipeline.cli import main
from noisebeam.pipeline.inspect.verify import verify
from noisebeam.transforms.output.manifest import read_manifest
from noisebeam.transforms.shards.reader import ShardReader

KINDS = [*LINES, *ROWS, *FILES]


def documents_of(output: Path) -> list[str]:
    """The ids of the documents, one for each first window."""
    manifest = read_manifest(str(output))
    found = []
    for shard in manifest.shards:
        reader = ShardReader(output / shard.name, (output / shard.index_name).read_bytes(), shard)
        for block in map(reader.block, range(reader.blocks)):
            found += [
                name
                for name, window in zip(block.documents, block.windows.tolist(), strict=True)
                if window == 0
            ]
    return found


def dead_letters(output: Path) -> list[tuple[tuple[str, int], bytes, str]]:
    lines = [
        line
        for path in (output / "dead_letters").glob("*.jsonl")
        for line in path.read_bytes().splitlines()
    ]
    found = []
    for letter in map(json.loads, lines):
        encoded = letter.get("record_base64")
        record = base64.b64decode(encoded) if encoded is not None else letter["record"].encode()
        found.append(((Path(letter["source"]).name, letter["position"]), record, letter["reason"]))
    return found


def test_there_are_many_kinds() -> None:
    assert len(set(KINDS)) == len(KINDS) >= 30


@pytest.mark.parametrize("documents", [100, pytest.param(10_000, marks=pytest.mark.slow)])
def test_good_documents_and_dead_letters_are_the_input(
    documents: int, tokenizer: str, tmp_path: Path
) -> None:
    corpus, output = tmp_path / "corpus", tmp_path / "out"
    corpus.mkdir()
    dirt = write_dirt(corpus, seed=17, documents=documents)
    assert len(dirt.bad) + dirt.empty == len(KINDS) * documents // 20
    inputs = ("--input", str(corpus / "*.*"), "--output", str(output), "--tokenizer", tokenizer)
    assert main(["build", *inputs, "--max-tokens", "64", "--max-bad-fraction", "0.9"]) == 0
    counts = read_manifest(str(output)).counts
    assert (counts["documents"], counts["dead_letters"]) == (len(dirt.good), len(dirt.bad))
    assert counts["dropped_empty"] == dirt.empty
    assert sorted(documents_of(output)) == sorted(dirt.good)
    letters = dead_letters(output)
    assert sorted((place, record) for place, record, _ in letters) == sorted(
        (place, record) for place, (_, record) in dirt.bad.items()
    )
    assert all(reason.startswith("expected ") for _, _, reason in letters)
    reasons = {
        kind: {reason for place, _, reason in letters if dirt.bad[place][0] == kind}
        for kind in KINDS
        if kind not in EMPTY
    }
    assert {kind: found for kind, found in reasons.items() if not found} == {}
    assert verify(str(output)) == []


def test_the_same_seed_makes_the_same_corpus(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = (write_dirt(tmp_path / name, seed=3, documents=20) for name in ("one", "two"))
    assert one == two
    assert all(
        path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
        for path in (tmp_path / "one").iterdir()
    )
