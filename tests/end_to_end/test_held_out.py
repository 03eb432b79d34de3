"""Documents kept from training, from the build to the data set."""

import json
from pathlib import Path

import pytest
from support.sets import dataset

from noisebeam.pipeline import ShardDataset
from noisebeam.pipeline.cli import main
from noisebeam.transforms.output.manifest import read_manifest
from noisebeam.transforms.shards.held_out import is_held_out

SHARE = 0.3


def build(folder: Path, tokenizer: str, texts: dict[str, str], *flags: str) -> str:
    lines = [json.dumps({"id": name, "text": text}) + "\n" for name, text in texts.items()]
    (folder / "corpus.jsonl").write_text("".join(lines))
    url = str(folder / "shards")
    given = ["--tokenizer", tokenizer, "--max-tokens", "32", "--overwrite", "--quiet", *flags]
    assert main(["build", "--input", str(folder / "corpus.jsonl"), "--output", url, *given]) == 0
    return url


def documents(data: ShardDataset) -> set[str]:
    return {data.sample(i).document for i in range(data.samples)}


def test_no_document_is_in_both_parts_and_none_is_lost(topics, tokenizer, tmp_path) -> None:
    texts = dict(list(topics.items())[:24])
    url = build(tmp_path, tokenizer, texts, "--held-out", str(SHARE), "--num-shards", "4")
    train, kept = (
        documents(ShardDataset(url, batch_size=1, held_out=part)) for part in (False, True)
    )
    assert kept == {name for name in texts if is_held_out(name, SHARE)}
    assert train == texts.keys() - kept
    held_out = {shard.name for shard in read_manifest(url).shards if shard.held_out}
    assert held_out == {"shard-00002-of-00004.tar", "shard-00003-of-00004.tar"}
    assert main(["verify", url]) == 0


def test_a_document_stays_where_it_is_in_other_builds(topics, tokenizer, tmp_path) -> None:
    fewer = dict(list(topics.items())[3:15])
    url = build(tmp_path, tokenizer, fewer, "--held-out", str(SHARE), "--seed", "9")
    kept = documents(ShardDataset(url, batch_size=1, held_out=True))
    assert kept == {name for name in fewer if is_held_out(name, SHARE)}


def test_a_larger_share_holds_out_the_same_and_more() -> None:
    names = [f"document {i}" for i in range(20_000)]
    small, large = ({name for name in names if is_held_out(name, share)} for share in (0.01, 0.02))
    assert small < large
    assert 150 < len(small) < 250  # 200 are expected, give or take 14


def test_a_build_without_held_out_documents_is_an_error(url) -> None:
    with pytest.raises(
        ValueError, match=r"expected a build with held-out documents, got none in .*; build with"
    ):
        dataset(url, held_out=True)
