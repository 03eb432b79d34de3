"""Documents, manifests and names with escape sequences: nothing of them controls the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from noisebeam.pipeline.cli import main

HOSTILE = "It rains\x1b[2J \x1b]8;;http://x\x07 here. We\u202e stay\x9b31m here."


@pytest.fixture(scope="module")
def output(tokenizer: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    record = json.dumps({"id": "a\x1b[31m\u202e", "text": HOSTILE})
    (folder / "a.jsonl").write_text(record + "\n")
    inputs = ("--input", str(folder / "a.jsonl"), "--output", str(folder / "out"))
    assert main(["build", *inputs, "--tokenizer", tokenizer, "--recipe", "bart", "-q"]) == 0
    return folder / "out"


def is_clean(text: str) -> bool:
    return not any(mark in text for mark in ("\x1b", "\x07", "\x9b", "\u202e"))


@pytest.mark.parametrize("command", ["inspect", "stats", "verify"])
def test_what_is_printed_is_escaped(
    output: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, str(output)]) == 0
    printed = capsys.readouterr().out
    assert is_clean(printed)
    if command == "inspect":
        assert "\\x1b[2J" in printed
        assert "\\u202e" in printed


@pytest.mark.parametrize("command", ["inspect", "stats"])
def test_pages_are_escaped(output: Path, command: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main([command, str(output), "--html", str(page)]) == 0
    assert is_clean(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("command", ["inspect", "stats", "verify"])
def test_errors_are_escaped(
    output: Path, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((output / "manifest.json").read_text())
    manifest["shards"][0]["name"] = "shard\x1b[2J\u202e.tar"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert main([command, str(tmp_path)]) != 0
    printed = capsys.readouterr()
    assert is_clean(printed.out + printed.err)
    assert "\\x1b[2J" in printed.err
