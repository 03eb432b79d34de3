"""What would be submitted, and what is missing for it; the real submission is in
tests/runners/test_dataflow.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from noisebeam.deploy.dataflow import submit
from noisebeam.pipeline.cli import main

PLACE = (
    "--project",
    "my-project",
    "--region",
    "europe-west4",
    "--temp-location",
    "gs://bucket/tmp",
)
IMAGE = "europe-west4-docker.pkg.dev/my-project/images/noisebeam:1"


@pytest.fixture(autouse=True)
def _client() -> None:
    pytest.importorskip("google.cloud.dataflow_v1beta3")


@pytest.fixture
def tokenizer(tmp_path: Path) -> str:
    Tokenizer(WordLevel({"x": 0, "<unk>": 1}, unk_token="<unk>")).save(
        str(tmp_path / "tokenizer.json")
    )
    return str(tmp_path)


def dry_run(*flags: str) -> int:
    return submit.main([*PLACE, "--image", IMAGE, "--dry-run", "--", *flags])


def test_a_dry_run_shows_the_job_without_an_account(
    tokenizer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = (
        "--input",
        "gs://bucket/in/*.jsonl",
        "--output",
        "gs://bucket/out",
        "--tokenizer",
        tokenizer,
    )
    assert (
        dry_run(*flags, "--seed", "17", "--machine_type=n2-highmem-8", "--max_num_workers=20") == 0
    )
    shown = json.loads(capsys.readouterr().out)
    (pool,) = shown["job"]["environment"]["workerPools"]
    assert (shown["project"], shown["region"]) == ("my-project", "europe-west4")
    assert shown["job"]["type"] == "JOB_TYPE_BATCH"
    assert pool["workerHarnessContainerImage"] == IMAGE
    assert (pool["machineType"], pool["autoscalingSettings"]["maxNumWorkers"]) == (
        "n2-highmem-8",
        20,
    )
    assert pool["numThreadsPerWorker"] == 1
    assert shown["build"]["seed"] == 17
    assert list(shown["steps"]) == [
        "ReadDocuments",
        "SegmentSentences",
        "BuildWindows",
        "EncodeWindows",
        "WriteShards",
    ]
    assert shown["steps"]["ReadDocuments"]["patterns"] == "gs://bucket/in/*.jsonl"


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (
            ("--input", "/data/x.jsonl", "--output", "gs://b/out"),
            "/data/x.jsonl: expected a URL such as gs://BUCKET/FOLDER",
        ),
        (
            ("--input", "gs://b/x", "--output", "out"),
            "out: expected a URL such as gs://BUCKET/FOLDER",
        ),
        (
            ("--input", "gs://b/x", "--output", "gs://b/out", "--machin_type=n2"),
            "unknown flag --machin_type: did you mean",
        ),
        (("--input", "gs://b/x"), "--output: missing"),
    ],
)
def test_what_workers_could_not_use_is_refused_in_one_line(
    flags: tuple[str, ...], error: str, tokenizer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dry_run(*flags, "--tokenizer", tokenizer) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"noisebeam: {error}")
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        ((), "--project: missing"),
        (("--project=p",), "--temp_location: missing"),
        (
            ("--project=p", "--temp_location=gs://b/tmp"),
            "--sdk_container_image: missing; workers need an image",
        ),
    ],
)
def test_a_build_on_dataflow_says_what_is_missing(
    flags: tuple[str, ...], error: str, tokenizer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    build = ("build", "--input", "gs://b/x", "--output", "gs://b/out", "--tokenizer", tokenizer)
    assert main([*build, "--runner=DataflowRunner", *flags]) == 2
    assert capsys.readouterr().err.startswith(f"noisebeam: {error}")
