"""Plain text: a file is a document, or its paragraphs are."""

from __future__ import annotations

import pytest
from support.records import URL, read

from noisebeam.transforms.data.documents import DeadLetter, Document
from noisebeam.transforms.formats import ReadOptions


def dead(content: bytes, ending: str = ".jsonl", options: ReadOptions | None = None) -> DeadLetter:
    (letter,) = read(content, ending, options)
    assert isinstance(letter, DeadLetter)
    return letter


def test_a_text_file_is_one_document() -> None:
    assert [
        d.text for d in read(b"\xef\xbb\xbfOne.\r\n\r\nTwo.\n", ".txt") if isinstance(d, Document)
    ] == ["One.\r\n\r\nTwo.\n"]


def test_paragraphs_are_separated_by_blank_lines() -> None:
    content = b"\xef\xbb\xbf\r\n\nOne.\r\nStill one.\r\n\r\n \t\nTwo.\n\xff\n\n\nThree."
    documents = read(content, ".txt", ReadOptions(format="paragraphs"))
    assert [d.text if isinstance(d, Document) else (d.position, d.record) for d in documents] == [
        "One.\r\nStill one.",
        (29, b"Two.\n\xff"),
        "Three.",
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "expected a text, got an empty one"),
        (b" \n\n", "expected a text, got white space only"),
        (b"ab\xff\n", "expected UTF-8, got 0xff at byte 2 (invalid start byte)"),
        (b"ab\0", "expected text without NUL, got one at character 2"),
    ],
)
def test_a_bad_text_file_is_a_dead_letter_whole(content: bytes, reason: str) -> None:
    assert dead(content, ".txt") == DeadLetter(URL + ".txt", 0, reason, content)


def test_byte_order_marks_of_concatenated_texts_are_dropped() -> None:
    one, two = "\ufeffOne.\n\n".encode(), "\ufeffTwo.\n".encode()
    options = ReadOptions(format="paragraphs")
    assert [found.text for found in read(one + two, ".txt", options)] == ["One.", "Two."]
    assert [found.text for found in read(one + two, ".txt")] == ["One.\n\nTwo.\n"]
