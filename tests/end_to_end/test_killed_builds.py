"""A build that was killed, or lost its disk or network, is completed by the same command, with the
same bytes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.marked_builds import checksums

from noisebeam.pipeline.cli import main

DYING_BUILDS = Path(__file__).parents[1] / "support/dying_builds.py"


def settings(corpus: Path, tokenizer: str, *more: str) -> list[str]:
    chosen = [
        "--tokenizer",
        tokenizer,
        "--max-tokens",
        "128",
        "--seed",
        "17",
        "--num-shards",
        "3",
        *more,
    ]
    return ["--input", str(corpus), *chosen]


@pytest.fixture
def few(corpus: Path, tmp_path: Path) -> Path:
    """A few documents, some of them several times, and one bad record."""
    lines = (corpus / "corpus.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "few.jsonl").write_text(
        "".join([*lines[:3], *lines[1:3] * 4, "not JSON\n"]), encoding="utf-8"
    )
    return tmp_path / "few.jsonl"


@pytest.mark.slow
def test_a_build_killed_at_any_change_of_a_file_is_completed(
    few: Path, tokenizer: str, tmp_path: Path
) -> None:
    (tmp_path / "tmp").mkdir()
    flags = settings(few, tokenizer, "--recipe", "bart", "--max-bad-fraction", "0.5")
    done = subprocess.run(
        [sys.executable, str(DYING_BUILDS), str(tmp_path / "out"), *flags],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp"), "TOKENIZERS_PARALLELISM": "false"},
        capture_output=True,
        text=True,
        timeout=900,
        check=True,
    )
    *killed, lived = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert lived["status"] == 0
    assert {build["status"] for build in killed} == {signal.SIGKILL}
    changes = {re.sub(r"\.?[0-9a-f]{32}", "", build["about"]) for build in killed}
    assert {re.sub(r"\d+-of", "-of", change) for change in changes} >= {
        "open /.shard--of-00003.tar.tmp",
        "os.rename /.shard--of-00003.json.tmp",
        "os.remove /shard--of-00003.json",
    }
    assert all(build["kept"] == build["recorded"] for build in (*killed, lived))
    assert max(build["kept"] for build in (*killed, lived)) == 3
    assert main(["build", "--output", str(tmp_path / "undisturbed"), *flags]) == 0
    assert checksums(tmp_path / "out") == checksums(tmp_path / "undisturbed")
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.slow
def test_a_build_that_lost_its_output_goes_on_where_it_was(
    few: Path,
    tokenizer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = settings(few, tokenizer, "--max-bad-fraction", "0.5")

    def fail(url: str, *_: object) -> None:
        raise OSError(
            f"cannot write {url}: No space left on device; mend that, and run the same command "
            "again"
        )

    with monkeypatch.context() as patch:
        patch.setattr("noisebeam.transforms.beam.write._finish", fail)
        assert main(["build", "--output", str(tmp_path / "out"), *flags]) != 0
    told = (
        f"noisebeam: cannot write {tmp_path}/out: No space left on device; mend that, and run "
        "the same command again\n"
    )
    assert capsys.readouterr().err == told
    before = {path: path.stat().st_ino for path in (tmp_path / "out").glob("*.tar")}
    assert len(before) == 3
    assert len(list((tmp_path / "out").glob("shard-*.json"))) == 3
    assert main(["build", "--output", str(tmp_path / "out"), *flags]) == 0
    assert {path: path.stat().st_ino for path in (tmp_path / "out").glob("*.tar")} == before
    assert main(["build", "--output", str(tmp_path / "undisturbed"), *flags]) == 0
    assert checksums(tmp_path / "out") == checksums(tmp_path / "undisturbed")


@pytest.mark.slow
def test_an_unfinished_build_with_other_settings_is_not_mixed_in(
    few: Path, tokenizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = settings(few, tokenizer, "--max-bad-fraction", "0.5")
    with monkeypatch.context() as patch:
        patch.setattr("noisebeam.transforms.beam.write._finish", None)
        assert main(["build", "--output", str(tmp_path / "out"), *flags]) != 0
    for output in ("out", "undisturbed"):
        assert main(["build", "--output", str(tmp_path / output), *flags, "--seed", "3"]) == 0
    assert checksums(tmp_path / "out") == checksums(tmp_path / "undisturbed")
