from __future__ import annotations

import json

import fsspec
import pytest

from noisebeam.transforms.data.documents import DeadLetter, Document
from noisebeam.transforms.formats import ReadOptions, read_documents, split_inputs
from noisebeam.transforms.formats.record import record_of

URL = "memory:///encodings/file"
TEXTS = {
    "utf-8-sig": "Grüße 你好 😀.",
    "utf-16": "Grüße 你好 😀. ഊ\u0a0a.",
    "utf-16-le": "Grüße 你好 😀. ഊ\u0a0a.",
    "utf-32-be": "Grüße 你好 😀. ഊ\u0a0a.",
    "latin-1": "Grüße.",
    "cp1252": "“Grüße” – 5 €.",
    "gb18030": "你好，世界。",
    "big5": "你好，世界。",
    "shift_jis": "こんにちは。ソ表。",
    "euc-kr": "안녕하세요.",
    "koi8-r": "Привет.",
}


def read(
    content: bytes, options: ReadOptions, ending: str = ".jsonl"
) -> list[Document | DeadLetter]:
    fsspec.filesystem("memory").pipe(URL + ending, content)
    parts = split_inputs([URL + ending], options, part_bytes=20)
    return [record for part in parts for record in read_documents(part, options)]


@pytest.mark.parametrize("encoding", TEXTS)
def test_lines_and_files_in_any_encoding_are_read(encoding: str) -> None:
    text, options = TEXTS[encoding], ReadOptions(encoding=encoding)
    lines = "".join(
        json.dumps({"id": i, "text": text}, ensure_ascii=False) + "\n" for i in range(5)
    )
    assert read(lines.encode(encoding), options) == [Document(str(i), text) for i in range(5)]
    (document,) = read(text.encode(encoding), options, ".txt")
    assert isinstance(document, Document)
    assert document.text == text


def test_a_record_in_another_encoding_is_a_dead_letter_between_good_ones() -> None:
    good = '{"id": "a", "text": "Grüße."}\n'.encode("shift_jis", "replace")
    first, letter, last = read(
        good + b'{"text": "\x81"}\n' + good, ReadOptions(encoding="shift_jis")
    )
    assert first == last == Document("a", "Gr??e.")
    assert isinstance(letter, DeadLetter)
    assert letter.reason.startswith("expected SHIFT_JIS, got 0x81 at byte 10 ")
    assert letter.record == b'{"text": "\x81"}'


def test_a_lone_surrogate_spoils_its_record_alone() -> None:
    content = '{"text": "One."}\n{"text": "\ud800"}\n{"text": "Two."}'.encode(
        "utf-16-le", "surrogatepass"
    )
    kinds = [type(record).__name__ for record in read(content, ReadOptions(encoding="utf-16-le"))]
    assert kinds == ["Document", "DeadLetter", "Document"]


def test_a_file_that_ends_within_a_character_is_damaged() -> None:
    content = '{"text": "One."}\n{"text": "Two."}'.encode("utf-16-le")[:-1]
    *records, whole = read(content, ReadOptions(encoding="utf-16-le"))
    assert [type(record).__name__ for record in records] == ["Document", "DeadLetter"]
    assert isinstance(whole, DeadLetter)
    assert whole.reason.startswith("expected UTF-16-LE, got something else: truncated data; ")


@pytest.mark.parametrize(
    ("encoding", "kept"), [("utf-8", True), ("cp1252", True), ("utf-16", False)]
)
def test_the_record_of_a_document_is_its_bytes_in_the_file(encoding: str, kept: bool) -> None:
    line = '{"id": "a", "text": "Grüße.", "more": [1]}'
    (document,) = read(f"\n{line}\r\n".encode(encoding), ReadOptions(encoding=encoding))
    assert isinstance(document, Document)
    expected = line.encode(encoding) if kept else '{"id": "a", "text": "Grüße."}'.encode()
    assert record_of(document) == expected


@pytest.mark.parametrize("encoding", ["utf-9", "base64", "utf-7x", "cp037"])
def test_what_is_no_encoding_of_lines_is_refused(encoding: str) -> None:
    message = f"^encoding: expected the name of a text encoding, such as .*, got '{encoding}'$"
    with pytest.raises(ValueError, match=message):
        ReadOptions(encoding=encoding)


def test_a_record_over_the_limit_is_not_held_and_the_next_is_read() -> None:
    content = b'{"text": "Short."}\n{"text": "' + b"long " * 20 + b'"}\n{"text": "Short."}\n'
    first, letter, last = read(content, ReadOptions(max_record_bytes=30))
    assert first == last
    assert letter == DeadLetter(
        URL + ".jsonl",
        19,
        "expected a record of at most 30 bytes, got a longer one, whose beginning this is",
        b'{"text": "long long long long ',
    )
    (letter,) = read(b"long " * 20, ReadOptions(max_record_bytes=30), ".txt")
    assert isinstance(letter, DeadLetter)
    assert letter.record == b"long " * 6


def test_a_file_of_wide_characters_without_its_mark_is_damaged() -> None:
    (letter,) = read("a".encode("utf-16-le"), ReadOptions(encoding="utf-16"))
    assert isinstance(letter, DeadLetter)
    assert letter.reason.startswith(
        "expected UTF-16, got something else: UTF-16 stream does not start with BOM; "
    )
