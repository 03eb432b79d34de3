"""Builds of input that is bad in part: nothing of it is lost, and too much of it is an error."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from noisebeam.transforms.output.manifest import read_manifest

Build = Callable[..., int]


def dead_letters(output: Path) -> list[dict[str, object]]:
    files = sorted((output / "dead_letters").glob("*.jsonl"))
    return [
        json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()
    ]


BAD_RECORDS = {
    b"not JSON at all\n": "JSON",
    b'["a", "list"]\n': "object",
    b'{"id": "no-text"}\n': "text",
    b'{"id": "number", "text": 5}\n': "string",
    b'{"id": "utf8", "text": "\xff\xfe"}\n': "UTF-8",
    b'{"id": "surrogate", "text": "a \\ud800 b"}\n': "surrogate",
    b'{"id": "nul", "text": "a \\u0000 b"}\n': "NUL",
    b'{"id": 1.5, "text": "Fine text."}\n': "id",
}
EMPTY_RECORDS = b'{"id": "empty", "text": ""}\n{"id": "white", "text": " \\n "}\n'


def test_bad_records_are_kept_whole_with_source_and_reason(
    build: Build, corpus: Path, tmp_path: Path
) -> None:
    good = (corpus / "corpus.jsonl").read_bytes()
    (tmp_path / "mixed.jsonl").write_bytes(b"".join(BAD_RECORDS) + good)
    assert build(corpus / "corpus.jsonl", output=tmp_path / "clean") == 0
    assert build(tmp_path / "mixed.jsonl", flags=("--max-bad-fraction", "0.5")) == 0
    letters = dead_letters(tmp_path / "out")
    assert len(letters) == len(BAD_RECORDS)
    by_position = sorted(letters, key=lambda letter: int(str(letter["position"])))
    for letter, (record, reason) in zip(by_position, BAD_RECORDS.items(), strict=True):
        assert str(letter["source"]).endswith("mixed.jsonl")
        assert reason in str(letter["reason"]), letter
        if "record" in letter:
            assert str(letter["record"]).encode() == record.rstrip(b"\n")
    clean, mixed = (read_manifest(str(tmp_path / name)) for name in ("clean", "out"))
    assert mixed.counts["dead_letters"] == len(BAD_RECORDS)
    assert [shard.sha256 for shard in clean.shards] == [shard.sha256 for shard in mixed.shards]


def test_records_without_text_are_dropped_and_counted(
    build: Build, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are not bad, however many they are: the shards are those without them."""
    good = (corpus / "corpus.jsonl").read_bytes()
    (tmp_path / "mixed.jsonl").write_bytes(EMPTY_RECORDS * 50 + good)
    (tmp_path / "empty.jsonl").write_bytes(EMPTY_RECORDS)
    assert build(corpus / "corpus.jsonl", output=tmp_path / "clean") == 0
    assert build(tmp_path / "mixed.jsonl") == 0
    assert "100 documents without text dropped" in capsys.readouterr().out
    clean, mixed = (read_manifest(str(tmp_path / name)) for name in ("clean", "out"))
    assert (mixed.counts["dropped_empty"], mixed.counts["dead_letters"]) == (100, 0)
    assert "dropped_empty" not in clean.counts
    assert [shard.sha256 for shard in clean.shards] == [shard.sha256 for shard in mixed.shards]
    assert dead_letters(tmp_path / "out") == []
    assert build(tmp_path / "empty.jsonl", output=tmp_path / "none") == 1
    assert "no document is left: all 2 records have no text" in capsys.readouterr().err


def test_a_field_that_is_not_there_stops_the_build_before_it_begins(
    build: Build, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(corpus / "corpus.jsonl", flags=("--text-field", "content")) == 1
    assert capsys.readouterr().err == (
        "noisebeam: stopped before the build: expected a text in field 'content', got the fields: "
        "'id', 'text', as in all 20 records looked at; name the field with --text-field\n"
    )


def test_too_many_bad_records_fail_the_build_at_its_end(
    build: Build, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mixed.jsonl").write_bytes(
        b"".join(BAD_RECORDS) + (corpus / "corpus.jsonl").read_bytes()
    )
    assert build(tmp_path / "mixed.jsonl") == 1
    assert (
        "8 of 28 records are bad (28.57%; 1.00% is allowed), 1 of them for: expected JSON; see dead"
        in capsys.readouterr().err
    )
    assert len(dead_letters(tmp_path / "out")) == 8
    assert not (tmp_path / "out/manifest.json").exists()
    with pytest.raises(
        ValueError, match=r"has no manifest.json: it is no data set, or an unfinished build"
    ):
        read_manifest(str(tmp_path / "out"))


def test_a_truncated_gzip_fails_the_build_and_is_named(
    build: Build, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = gzip.compress((corpus / "corpus.jsonl").read_bytes())
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    assert build(tmp_path / "cut.jsonl.gz", flags=("--max-bad-fraction", "1")) == 2
    error = capsys.readouterr().err
    assert "input cannot be read to its end: " in error
    assert "cut.jsonl.gz: the gzip stream ends too early" in error
    assert not (tmp_path / "out/manifest.json").exists()


def test_no_good_document_is_a_failure(
    build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jsonl").write_text("nothing\n")
    assert build(tmp_path / "bad.jsonl", flags=("--max-bad-fraction", "1")) == 1
    expected = "no document was read well (1 bad records, 1 of them for: expected JSON); see dead_"
    assert expected in capsys.readouterr().err
