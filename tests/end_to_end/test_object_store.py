"""Builds from and to a real S3 API server on the loopback address."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.object_store import s3_server, s3_settings

from noisebeam.pipeline.cli import main
from noisebeam.pipeline.inspect.verify import verify
from noisebeam.transforms.io import storage
from noisebeam.transforms.output.manifest import read_manifest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The URL of an empty bucket, with fsspec set up to reach the server."""
    import s3fs

    with s3_server() as port, s3_settings(f"http://127.0.0.1:{port}"):
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("corpora")
        yield "s3://corpora"


def test_what_another_process_writes_is_seen(bucket: str) -> None:
    import s3fs

    folder = f"{bucket}/shared"
    storage.publish(f"{folder}/before", b"")
    assert storage.list_names(folder) == ["before"]
    s3fs.S3FileSystem(skip_instance_cache=True).pipe_file(f"{folder}/after", b"new")
    assert storage.exists(f"{folder}/after")
    assert storage.size(f"{folder}/after") == 3
    assert storage.read_bytes(f"{folder}/after", most=3) == b"new"


def test_a_build_from_and_to_s3_writes_the_bytes_of_a_local_one(
    bucket: str, corpus: Path, tokenizer: str, tmp_path: Path
) -> None:
    import fsspec

    with fsspec.open(
        f"{bucket}/in/corpus.jsonl.gz", "wt", compression="gzip", encoding="utf-8"
    ) as file:
        file.write((corpus / "corpus.jsonl").read_text(encoding="utf-8"))
    settings = [
        "--tokenizer",
        tokenizer,
        "--max-tokens",
        "128",
        "--recipe",
        "bart",
        "--num-shards",
        "3",
    ]
    remote, local = f"{bucket}/out/shards", str(tmp_path / "shards")
    assert main(["build", "--input", f"{bucket}/in/*.gz", "--output", remote, *settings]) == 0
    assert (
        main(["build", "--input", str(corpus / "corpus.jsonl"), "--output", local, *settings]) == 0
    )
    assert read_manifest(remote).to_json() == read_manifest(local).to_json()
    assert verify(remote) == []
    assert main(["build", "--input", f"{bucket}/in/*.gz", "--output", remote, *settings]) == 2


def test_two_workers_write_to_s3(bucket: str, corpus: Path, tokenizer: str) -> None:
    settings = ["--tokenizer", tokenizer, "--max-tokens", "128", "--num-shards", "3"]
    workers = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    output = f"{bucket}/two"
    assert (
        main(
            [
                "build",
                "--input",
                str(corpus / "corpus.jsonl"),
                "--output",
                output,
                *settings,
                *workers,
            ]
        )
        == 0
    )
    assert verify(output) == []


def test_training_reads_from_s3(bucket: str, corpus: Path, tokenizer: str) -> None:
    from noisebeam.pipeline import ShardDataset

    settings = ["--tokenizer", tokenizer, "--max-tokens", "128", "--num-shards", "3"]
    output = f"{bucket}/train"
    assert (
        main(["build", "--input", str(corpus / "corpus.jsonl"), "--output", output, *settings]) == 0
    )
    batches = list(ShardDataset(output, recipe="bart", batch_size=8, seed=1))
    assert sum(len(batch["labels"]) for batch in batches) == 8 * (
        read_manifest(output).samples // 8
    )


def test_a_missing_bucket_is_one_line(
    bucket: str, corpus: Path, tokenizer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [
        "--input",
        str(corpus / "corpus.jsonl"),
        "--output",
        "s3://absent/out",
        "--tokenizer",
        tokenizer,
    ]
    assert main(["build", *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith("noisebeam: cannot write to s3://absent/out: ")
    assert error.count("\n") == 1


def test_dead_letters_reach_s3(bucket: str, corpus: Path, tokenizer: str, tmp_path: Path) -> None:
    import fsspec

    (tmp_path / "mixed.jsonl").write_bytes(b"not JSON\n" + (corpus / "corpus.jsonl").read_bytes())
    flags = [
        "--input",
        str(tmp_path / "mixed.jsonl"),
        "--output",
        f"{bucket}/dead",
        "--tokenizer",
        tokenizer,
    ]
    assert main(["build", *flags, "--max-bad-fraction", "0.1"]) == 0
    with fsspec.open(f"{bucket}/dead/dead_letters/dead-letters-00000-of-00001.jsonl") as file:
        assert [json.loads(line)["record"] for line in file] == ["not JSON"]
