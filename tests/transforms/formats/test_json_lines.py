"""JSON Lines: fields, bad records, and documents of every size."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
from pathlib import Path

import pytest
from support.records import URL, read

from noisebeam.transforms.data.documents import DeadLetter, Document
from noisebeam.transforms.formats import ReadOptions, read_documents
from noisebeam.transforms.io.input_files import FilePart


def test_lines_of_json_become_documents() -> None:
    content = (
        b'{"id": "a", "text": "One."}\n\n  \r\n{"text": "\\u4f60\\ud83d\\ude00", "id": 12, '
        b'"more": [1]}\r\n'
    )
    assert read(content) == [Document("a", "One."), Document("12", "你😀")]


def test_fields_are_selectable() -> None:
    options = ReadOptions(text_field="body", id_field="name")
    assert read(b'{"name": "x", "body": "One.", "text": 3}', options=options) == [
        Document("x", "One.")
    ]


@pytest.mark.parametrize(
    ("value", "lang"),
    [
        ('"zho_Hans"', "zh"),
        ('"de"', "de"),
        ('"tlh"', "tlh"),
        ('"Deutsch"', None),
        ("null", None),
        ("7", None),
    ],
)
def test_a_field_names_the_language(value: str, lang: str | None) -> None:
    record = f'{{"id": 1, "text": "One.", "language": {value}}}'.encode()
    assert read(record, options=ReadOptions(lang_field="language")) == [Document("1", "One.", lang)]
    assert read(record) == [Document("1", "One.")]


@pytest.mark.parametrize("record", [b'{"text": "One."}', b'{"id": null, "text": "One."}'])
def test_a_missing_id_is_a_hash_of_the_text(record: bytes) -> None:
    assert read(record) == [Document("dcc47be7abc04d47807ee464d18fba2d", "One.")]


BAD_RECORDS = [
    (
        b"{'text': 1}",
        "expected JSON, got something else: Expecting property name enclosed in double quotes "
        "(character 1)",
    ),
    (
        b'{"text": "cut',
        "expected JSON, got something else: Unterminated string starting at (character 9)",
    ),
    (
        b'{"text": "a\0b"}',
        "expected JSON, got something else: Invalid control character at (character 11)",
    ),
    (b"[" * 200_000, "expected JSON, got too many nested brackets"),
    (b"1" * 5000, "expected JSON, got something else: Exceeds the limit"),
    (b"[1]", "expected a JSON object, got an array"),
    (b'"text"', "expected a JSON object, got a string"),
    (b"null", "expected a JSON object, got null"),
    (b"{}", "expected a text in field 'text', got the fields: none"),
    (b'{"Text": "a", "id": 1}', "expected a text in field 'text', got the fields: 'Text', 'id'"),
    (b'{"text": null}', "expected a string in field 'text', got null"),
    (b'{"text": true}', "expected a string in field 'text', got true"),
    (b'{"text": 1.5}', "expected a string in field 'text', got a number"),
    (b'{"text": {"a": 1}}', "expected a string in field 'text', got an object"),
    (b'{"text": ""}', "expected a text, got an empty one"),
    (b'{"text": " \\n\\t\\u00a0\\u3000"}', "expected a text, got white space only"),
    (b'{"text": "a\xff"}', "expected UTF-8, got 0xff at byte 11 (invalid start byte)"),
    (b'{"text": "\xe4\xbd', "expected UTF-8, got 0xe4 at byte 10 (unexpected end of data)"),
    (
        b'{"text": "\xed\xa0\x80"}',
        "expected UTF-8, got 0xed at byte 10 (invalid continuation byte)",
    ),
    (b'{"text": "a\\ud800b"}', "expected text without lone surrogates, got U+D800 at character 1"),
    (
        b'{"text": "a", "id": "\\udfff"}',
        "expected id without lone surrogates, got U+DFFF at character 0",
    ),
    (b'{"text": "a\\u0000b"}', "expected text without NUL, got one at character 1"),
    (b'{"text": "a", "id": "b\\u0000"}', "expected id without NUL, got one at character 1"),
    (b'{"text": "a", "id": 1.5}', "expected a string or an integer in field 'id', got a number"),
    (b'{"text": "a", "id": false}', "expected a string or an integer in field 'id', got false"),
    (b'{"text": "a", "id": ["b"]}', "expected a string or an integer in field 'id', got an array"),
]


@pytest.mark.parametrize(("record", "reason"), BAD_RECORDS, ids=lambda value: repr(value[:30]))
def test_a_bad_record_is_a_dead_letter_between_good_ones(record: bytes, reason: str) -> None:
    good = b'{"text": "Good.", "id": 1}\n'
    first, letter, last = read(good + record + b"\r\n" + good)
    assert first == last == Document("1", "Good.")
    assert isinstance(letter, DeadLetter)
    assert letter == DeadLetter(URL + ".jsonl", len(good), letter.reason, record)
    assert letter.reason.startswith(reason)


def test_a_document_of_20_megabytes_is_read_in_seconds() -> None:
    text = "word " * 4_000_000
    content = json.dumps({"id": "big", "text": text}).encode()
    began = time.monotonic()
    assert read(content) == [Document("big", text)]
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("ending", [".jsonl", ".txt"])
def test_of_a_large_record_only_its_document_stays_in_memory(ending: str, tmp_path: Path) -> None:
    text = "word " * 4_000_000
    path = tmp_path / f"large{ending}"
    path.write_text(json.dumps({"text": text}) if ending == ".jsonl" else text, encoding="utf-8")
    records = read_documents(FilePart(str(path)), ReadOptions())
    tracemalloc.start()
    document = next(records)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(document, Document)
    assert len(document.text) < held < 1.3 * len(text)


def test_real_documents_are_read_whole(shared: Path) -> None:
    url = str(shared / "corpora/zh_docs.jsonl.gz")
    with gzip.open(url) as file:
        expected = [Document(value["id"], value["text"]) for value in map(json.loads, file)]
    assert list(read_documents(FilePart(url), ReadOptions())) == expected
