from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from noisebeam.pipeline.builder.preflight import Preview, preview_input
from noisebeam.pipeline.cli import main
from noisebeam.transforms.data.documents import DeadLetter
from noisebeam.transforms.formats import ReadOptions, split_inputs

LETTER = DeadLetter("a.jsonl", 5, "expected JSON, got something else", b"x")


def record(i: int) -> bytes:
    return json.dumps({"id": i, "text": f"Document {i}. It has two sentences."}).encode() + b"\n"


def write(path: Path, is_bad: Callable[[int], bool], records: int = 2000) -> str:
    path.write_bytes(b"".join(b"no JSON\n" if is_bad(i) else record(i) for i in range(records)))
    return str(path)


def probe(urls: list[str], part_bytes: int = 64 * 2**20) -> Preview:
    return preview_input(split_inputs(urls, ReadOptions(), part_bytes), ReadOptions())


def test_a_probe_sees_about_1024_records_spread_over_the_input(tmp_path: Path) -> None:
    urls = [write(tmp_path / f"{i:03}.jsonl", lambda _, i=i: i % 4 == 0, 50) for i in range(300)]
    seen = probe(urls)
    assert (seen.parts, seen.records, seen.bad) == (256, 1024, 256)
    assert seen.first_bad is not None
    assert (seen.first_bad.source, seen.first_bad.position) == (urls[0], 0)
    assert probe(urls) == seen


def test_a_file_that_can_be_entered_anywhere_is_seen_in_many_places(tmp_path: Path) -> None:
    url = write(tmp_path / "a.jsonl", lambda i: i >= 1024, 50_000)
    assert probe([url], part_bytes=10_000).bad > 700
    assert probe([url]).bad == 0  # one part: its beginning alone


def test_long_records_are_enough_in_smaller_numbers(tmp_path: Path) -> None:
    line = json.dumps({"text": "word " * 400_000}) + "\n"
    (tmp_path / "a.jsonl").write_text(line * 5)
    assert probe([str(tmp_path / "a.jsonl")]).records == 3


def test_a_record_of_more_than_16_megabytes_is_not_judged(tmp_path: Path) -> None:
    lines = [record(1), b"no JSON\n", b'{"text": "' + b"word " * 2**22 + b'"}\n', record(2)]
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines))
    seen = probe([str(tmp_path / "a.jsonl")])
    assert (seen.records, seen.bad) == (2, 1)


@pytest.mark.parametrize(
    ("records", "bad", "allowed", "stops"),
    [
        (1024, 1024, 0.01, True),
        (1024, 518, 0.01, True),
        (1024, 517, 0.01, False),  # not mostly dirt: judged at the end
        (1024, 900, 0.8, False),
        (1024, 1000, 0.8, True),
        (1024, 1024, 1.0, False),
        (500, 500, 0.01, False),  # a small input is built at once
    ],
)
def test_only_mostly_dirt_stops_a_build(
    records: int, bad: int, allowed: float, stops: bool
) -> None:
    assert (Preview(3, records, bad, LETTER).reason_to_stop(allowed) is not None) is stops


@pytest.fixture
def dirt(tmp_path: Path) -> Iterator[Path]:
    """100 MB of records, nine of ten of them bad."""
    path = tmp_path / "dirt.jsonl"
    block = b"".join(
        record(i) if i % 10 == 0 else b'{"id": 7, "text": null, "more": "%s"}\n' % (b"x" * 60)
        for i in range(1000)
    )
    with path.open("wb") as file:
        for _ in range(100_000_000 // len(block)):
            file.write(block)
    yield path
    path.unlink()


def test_a_build_of_mostly_dirt_stops_before_it_begins(
    dirt: Path, tokenizer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    flags = ("--input", str(dirt), "--output", str(tmp_path / "out"), "--tokenizer", tokenizer)
    assert main(["build", *flags]) == 1
    assert time.monotonic() - began < 60
    error = capsys.readouterr().err
    assert error.startswith(
        "noisebeam: stopped before the build: 950 of 1,056 records looked at in 96 places are bad "
        "(89.96%; "
    )
    assert f"1.00% of all are allowed). The first, in {dirt} at " in error
    assert (
        "expected a string in field 'text', got null. Mend the input or raise --max-bad-fraction\n"
        in error
    )
    assert error.count("\n") == 1
    failure = json.loads((tmp_path / "out/failure.json").read_text())
    assert failure["reason"] in error
    assert not (tmp_path / "out/manifest.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_large_corpus_of_dirt_stops_within_a_minute(
    ending: str, tokenizer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, open_file = tmp_path / "corpus", gzip.open if ending else open
    folder.mkdir()
    block = ("<p>no JSON</p>" * 20 + "\n") * 9 + json.dumps({"text": "A good one. " * 20}) + "\n"
    for i in range(4):
        with open_file(folder / f"{i}.jsonl{ending}", "wt", encoding="utf-8") as file:
            for _ in range(60):
                file.write(block * 200)
    began = time.monotonic()
    flags = ["--input", f"{folder}/*", "--output", str(tmp_path / "out"), "--tokenizer", tokenizer]
    assert main(["build", *flags]) == 1
    assert time.monotonic() - began < 60
    told = capsys.readouterr().err
    assert told.startswith("noisebeam: stopped before the build: ")
    assert told.count("\n") == 1
    assert not (tmp_path / "out/manifest.json").exists()
