"""`noisebeam build --dry-run`: everything is checked, nothing is written. And what `--help` looks
like.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from noisebeam.pipeline.cli import main


@pytest.fixture
def command(corpus: Path, tokenizer: str, tmp_path: Path) -> list[str]:
    places = ["--input", str(corpus / "corpus.jsonl"), "--output", str(tmp_path / "new/out")]
    return ["build", *places, "--tokenizer", tokenizer, "--recipe", "bart", "--dry-run"]


def test_it_tells_what_would_be_built_and_writes_nothing(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "input: 1 file, 0.1 MB as they lie, read in 1 part" in told
    assert "about 1 shard" in told
    steps = re.findall(r"^  (\w+): ", told, flags=re.M)
    assert steps == [
        "ReadDocuments",
        "SegmentSentences",
        "BuildWindows",
        "EncodeWindows",
        "ApplyNoise",
        "WriteShards",
    ]
    assert told.endswith("nothing was written\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--recipe", "brat"), "'brat'"),
        (("--input", "absent/*.jsonl"), "absent/*.jsonl"),
        (("--recipe", "t5"), "needs sentinels"),
        (("--tokenizer", "/nowhere"), "/nowhere"),
        (("--output", "/etc/hostname/out"), "is no folder that you may write to"),
    ],
)
def test_what_would_fail_fails_at_once_in_one_line(
    command: list[str], flags: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *flags]) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1


def test_a_finished_build_is_not_to_be_replaced_silently(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new/out").mkdir(parents=True)
    (tmp_path / "new/out/manifest.json").write_text("{}")
    assert main(command) == 2
    assert "holds a finished build" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0


def test_help_fits_the_eye(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "180")
    with pytest.raises(SystemExit):
        main(["build", "--help"])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    for title in (
        "documents:",
        "sentences and windows:",
        "samples and noise:",
        "output:",
        "examples:",
    ):
        assert f"\n{title}\n" in shown
    for default in ("(default: 512)", "(default: 0.01)", "(default: sentencex)", "(default: 0)"):
        assert default in shown
