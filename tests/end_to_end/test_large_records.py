"""Records of a gigabyte, and small files that unpack to more: bounded memory, and nothing else is
lost.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import zstandard
from support.memory import PEAK
from tokenizers import Tokenizer

from noisebeam.pipeline.epoch.shard_source import ShardSource
from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.output.manifest import read_manifest

pytestmark = pytest.mark.slow

MEGABYTE = 2**20
GOOD = b'{"id": "good", "text": "A good one. And another."}\n'

READ = f"""
import sys
from itertools import islice
from noisebeam.transforms.data.documents import Document
from noisebeam.transforms.io.input_files import FilePart
from noisebeam.transforms.formats import ReadOptions, read_documents
from noisebeam.transforms.segmenters.segmenters import SegmenterOptions, load_segmenter
from noisebeam.transforms.tokenization.sentence_encoder import load_encoder
from noisebeam.transforms.tokenization.tokenizer import load_tokenizer
from noisebeam.transforms.tokenization.windows import WindowOptions, build_windows

tokenizer, segmenter = load_tokenizer(sys.argv[2]), load_segmenter(SegmenterOptions())
encoder = load_encoder(tokenizer.name, tokenizer.fingerprint)
before = {PEAK}
for document in read_documents(FilePart(sys.argv[1]), ReadOptions()):
    assert isinstance(document, Document)
    (spans,) = segmenter.segment([document.text], ["en"])
    runs = build_windows(document, spans, encoder, WindowOptions())
    windows = sum(len(run) for run, _ in islice(runs, 10))
    print(len(document.text), len(spans), windows, file=sys.stderr)
print({PEAK} - before)
"""


def write_line(path: Path, unit: bytes, megabytes: int) -> int:
    """A JSON record whose text is `unit` over and over; its bytes."""
    with path.open("wb") as file:
        file.write(b'{"id": "large", "text": "')
        for _ in range(megabytes):
            file.write(unit * (MEGABYTE // len(unit)))
        file.write(b'"}\n')
        return file.tell()


@pytest.mark.parametrize(
    ("unit", "megabytes"),
    [(b"A day went by, and then another one came along. ", 300), (b"many words ", 1000)],
)
def test_a_line_of_a_gigabyte_takes_five_times_its_size(
    unit: bytes, megabytes: int, tokenizer: str, tmp_path: Path
) -> None:
    size = write_line(tmp_path / "large.jsonl", unit, megabytes)
    command = [sys.executable, "-c", READ, str(tmp_path / "large.jsonl"), tokenizer]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    characters, sentences, windows = map(int, done.stderr.split())
    assert characters > megabytes * MEGABYTE * 0.99
    assert sentences > 10**6 or unit == b"many words "
    assert windows > 1000
    assert float(done.stdout) < 5 * size


WARC = (
    b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s"
)


def lines(zeros: int) -> Iterator[bytes]:
    yield GOOD
    yield from (bytes(MEGABYTE) for _ in range(zeros))
    yield b"\n" + GOOD.replace(b"good", b"later")


def archive(zeros: int) -> Iterator[bytes]:
    yield WARC % (11, b"A good one.\r\n\r\n") + WARC % (zeros * MEGABYTE, b"")
    yield from (bytes(MEGABYTE) for _ in range(zeros))
    yield b"\r\n\r\n" + WARC % (9, b"A second.\r\n\r\n")


def gzipped(path: Path, pieces: Iterable[bytes]) -> None:
    with gzip.open(path, "wb") as file:
        file.writelines(pieces)


def zstandardised(path: Path, pieces: Iterable[bytes]) -> None:
    with path.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as writer:
        for piece in pieces:
            writer.write(piece)


BOMBS: dict[
    str, tuple[Callable[[Path, Iterable[bytes]], None], Callable[[int], Iterator[bytes]]]
] = {
    "jsonl.gz": (gzipped, lines),
    "jsonl.zst": (zstandardised, lines),
    "warc.gz": (gzipped, archive),
}


BUILD = f"""
import sys
from noisebeam.pipeline.cli import main
status = main(sys.argv[1:])
print({PEAK})
sys.exit(status)
"""


def build(corpus: Path, tokenizer: str, output: Path) -> int:
    """The most memory, in bytes, that a build which goes well takes."""
    flags = [
        "--input",
        str(corpus),
        "--output",
        str(output),
        "--tokenizer",
        tokenizer,
        "--max-bad-fraction",
        "0.9",
    ]
    command = [sys.executable, "-c", BUILD, "build", "--quiet", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def stored_samples(url: str) -> Iterator[Sample]:
    source = ShardSource(url, read_manifest(url))
    for reader in map(source.reader, range(len(source.manifest.shards))):
        for block in map(reader.block, range(reader.blocks)):
            yield from map(block.sample, range(len(block)))


def test_a_whole_build_of_one_large_document_loses_no_character(
    shared: Path, tmp_path: Path
) -> None:
    with gzip.open(shared / "corpora/en_books.jsonl.gz", "rt", encoding="utf-8") as file:
        text = "\n\n".join(json.loads(line)["text"] for line in file)
    (tmp_path / "large.jsonl").write_text(
        json.dumps({"text": text}, ensure_ascii=False), encoding="utf-8"
    )
    folder = shared / "tokenizers/bart-base"
    memory = build(tmp_path / "large.jsonl", str(folder), tmp_path / "out")
    assert memory < 400 * MEGABYTE + 7 * (tmp_path / "large.jsonl").stat().st_size
    samples = sorted(stored_samples(str(tmp_path / "out")), key=lambda sample: sample.window)
    texts = Tokenizer.from_file(str(folder / "tokenizer.json")).decode_batch(
        [s.fields["ids"].tolist() for s in samples]
    )
    assert [sample.window for sample in samples] == list(range(len(samples)))
    assert "".join("".join(texts).split()) == "".join(text.split())


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_becomes_a_dead_letter_of_its_beginning(
    kind: str, tokenizer: str, tmp_path: Path
) -> None:
    bomb = tmp_path / f"bomb.{kind}"
    pack, pieces = BOMBS[kind]
    pack(bomb, pieces(1100))
    assert bomb.stat().st_size < 2 * MEGABYTE
    memory = build(bomb, tokenizer, tmp_path / "out")
    counts = read_manifest(str(tmp_path / "out")).counts
    assert (counts["documents"], counts["dead_letters"]) == (2, 1)
    (letters,) = (tmp_path / "out/dead_letters").iterdir()
    letter = json.loads(letters.read_bytes())
    assert letter["position"] in (len(GOOD), len(next(archive(0))) - len(WARC % (0, b"")))
    assert letter["reason"].startswith(
        "expected a record of at most 1073741824 bytes, got a longer one"
    )
    assert letters.stat().st_size < 100_000
    assert memory < 2**31


def test_a_parquet_file_that_stores_a_large_text_once_for_all_rows(
    tokenizer: str, tmp_path: Path
) -> None:
    text = "many words " * (4 * MEGABYTE // 11)
    values = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 1000), pyarrow.array([text]))
    pyarrow.parquet.write_table(
        pyarrow.table({"text": values}), tmp_path / "bomb.parquet", compression="zstd"
    )
    assert (tmp_path / "bomb.parquet").stat().st_size < MEGABYTE
    read = (
        "import sys\n"
        "from noisebeam.transforms.io.input_files import FilePart\n"
        "from noisebeam.transforms.formats import ReadOptions, read_documents\n"
        "print(sum(1 for _ in read_documents(FilePart(sys.argv[1]), ReadOptions())))\n"
        f"print({PEAK})\n"
    )
    command = [sys.executable, "-c", read, str(tmp_path / "bomb.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    rows, memory = map(int, done.stdout.split())
    assert rows == 1000
    assert memory < 2**30
