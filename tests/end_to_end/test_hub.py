"""Builds from `hf://` URLs: the hub's own client, and a server that answers as the hub does."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from support.faults import served
from support.hub import hub
from support.marked_builds import checksums

from noisebeam.transforms.output.manifest import read_manifest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("huggingface_hub") is None, reason="hf:// needs huggingface_hub"),
]


def build(
    url: str, output: Path, tokenizer: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    settings = ("--tokenizer", tokenizer, "--max-tokens", "64", "--num-shards", "2", "--quiet")
    command = [
        sys.executable,
        "-m",
        "noisebeam.pipeline.cli",
        "build",
        "--input",
        url,
        "--output",
        str(output),
    ]
    changed = {**os.environ, "HF_HOME": str(output.parent / "cache"), **environment}
    return subprocess.run(
        [*command, *settings], env=changed, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_data_set_of_the_hub_gives_the_shards_of_its_files(
    topics: dict[str, str], tokenizer: str, tmp_path: Path
) -> None:
    texts, folder = list(topics.values())[:12], tmp_path / "files/data/train"
    folder.mkdir(parents=True)
    for i in range(3):
        pyarrow.parquet.write_table(
            pyarrow.table({"text": texts[4 * i : 4 * i + 4]}), folder / f"{i:04d}.parquet"
        )
    server = hub(tmp_path / "files", "team/books")
    with served(server):
        endpoint = f"http://127.0.0.1:{server.server_port}"
        for pattern in ("hf://datasets/team/books/**/*.parquet", "hf://datasets/team/books"):
            done = build(pattern, tmp_path / "remote", tokenizer, HF_ENDPOINT=endpoint)
            assert (done.returncode, done.stderr) == (0, "")
            assert read_manifest(str(tmp_path / "remote")).counts["documents"] == 12
            (tmp_path / "remote").rename(tmp_path / f"remote-{len(pattern)}")
        missing = build(
            "hf://datasets/team/absent/*.parquet",
            tmp_path / "none",
            tokenizer,
            HF_ENDPOINT=endpoint,
        )
    assert build(str(folder / "*.parquet"), tmp_path / "local", tokenizer).returncode == 0
    assert all(
        checksums(output) == checksums(tmp_path / "local") for output in tmp_path.glob("remote-*")
    )
    assert missing.returncode == 2
    assert missing.stderr.startswith("noisebeam: input: ")
    assert missing.stderr.count("\n") == 1


def test_a_hub_that_is_not_reached_is_told_in_one_line(tokenizer: str, tmp_path: Path) -> None:
    url = "hf://datasets/team/books/*.parquet"
    for environment in ({"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}):
        done = build(url, tmp_path / "out", tokenizer, **environment)
        assert done.returncode == 2
        assert done.stderr.startswith(f"noisebeam: input: cannot open {url!r}: ")
        assert done.stderr.count("\n") == 1
