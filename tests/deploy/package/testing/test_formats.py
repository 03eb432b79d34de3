"""Built-in formats obey the laws; a broken format is told which law it breaks."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from noisebeam.testing import BrokenLawError, check_format
from noisebeam.transforms.data.documents import DeadLetter, Document
from noisebeam.transforms.formats import FORMATS, ReadOptions
from noisebeam.transforms.io.input_files import FilePart

LINES = b'{"id": "a", "text": "One."}\n{"id": "b"}\nbad\n{"id": "c", "text": "Tw\xc3\xb6."}\n'
PARAGRAPHS = "One,\nstill one.\n\n\nZwölf.\n \nThree.".encode()
TEXT = "One. Zwölf.\n".encode()
Records = Iterator[Document | DeadLetter]


def parquet() -> bytes:
    table = pa.table({"text": [f"T {i}." for i in range(40)], "id": [f"d{i}" for i in range(40)]})
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=7)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "ending", "texts"),
    [
        ("jsonl", LINES, ".jsonl", ["One.", "Twö."]),
        ("paragraphs", PARAGRAPHS, ".txt", None),
        ("text", TEXT, ".txt", None),
        ("parquet", parquet(), ".parquet", [f"T {i}." for i in range(40)]),
    ],
)
def test_built_in_formats_obey_the_laws(
    name: str, content: bytes, ending: str, texts: list[str] | None
) -> None:
    check_format(FORMATS[name], content, ending=ending, documents=texts)


def test_dead_letters_of_json_lines_hold_their_records_whole() -> None:
    bad = [b'{"id": "b"}', b"bad"]
    check_format(FORMATS["jsonl"], LINES, ending=".jsonl", bad_records=bad)


def truncating(part: FilePart, options: ReadOptions) -> Records:
    for i, line in enumerate(lines_of(part)):
        if line.startswith(b"bad"):
            yield DeadLetter(part.url, i, "a bad line", line[:4])
        else:
            yield Document(f"d{i}", line.decode(errors="replace") or "an empty line")


def test_a_truncated_record_of_a_dead_letter_is_told() -> None:
    text = (
        r"truncating: dead letters hold their records whole: expected \[b'bad one'\], got \[b'bad "
    )
    with pytest.raises(BrokenLawError, match=text):
        check_format(truncating, b"One.\nbad one\n", ending=".txt", bad_records=[b"bad one"])


def lines_of(part: FilePart) -> list[bytes]:
    data = Path(part.url).read_bytes()
    return (gzip.decompress(data) if part.url.endswith(".gz") else data).splitlines()


def strict(part: FilePart, options: ReadOptions) -> Records:
    for i, line in enumerate(lines_of(part)):
        yield Document(f"d{i}", line.decode("ascii"))


def dropping(part: FilePart, options: ReadOptions) -> Records:
    for i, line in enumerate(lines_of(part)[:1]):
        yield Document(f"d{i}", line.decode(errors="replace"))


def counting() -> Callable[[FilePart, ReadOptions], Records]:
    calls: list[int] = []

    def read(part: FilePart, options: ReadOptions) -> Records:
        calls.append(1)
        yield Document(f"d{len(calls)}", "A text.")

    return read


def plain_texts(part: FilePart, options: ReadOptions) -> Iterator[str]:
    yield "A text."


def empty_text(part: FilePart, options: ReadOptions) -> Records:
    yield Document("a", "")


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (
            strict,
            "a damaged file raises nothing but DamagedFileError: expected no error, got Un",
        ),
        (dropping, "the documents of the file are found: expected ['One.', 'Two.']"),
        (counting(), "the documents of the file are found: expected ['One.', 'Two.']"),
        (plain_texts, "every record is a Document or a DeadLetter: expected Document or Dead"),
        (empty_text, "ids and texts of documents are valid: expected a valid document"),
    ],
)
def test_a_broken_format_is_told_its_law_in_one_line(
    read: Callable[[FilePart, ReadOptions], Records], text: str
) -> None:
    with pytest.raises(BrokenLawError) as caught:
        check_format(read, b"One.\nTwo.\n", ending=".txt", documents=["One.", "Two."])
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_records_that_change_from_reading_to_reading_are_told() -> None:
    with pytest.raises(BrokenLawError, match="read: the same records in every reading: expected"):
        check_format(counting(), b"One.\n", ending=".txt")
