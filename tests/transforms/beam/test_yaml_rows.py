"""Rows to documents and back."""

from __future__ import annotations

import json

import apache_beam as beam
import pytest

from noisebeam.transforms.beam.yaml_rows import ToDocuments


@pytest.mark.parametrize(
    ("text", "record", "got"),
    [
        ("", b'{"id": "a", "text": ""}', "an empty one"),
        (" ", b'{"id": "a", "text": " "}', "white space only"),
    ],
)
def test_a_row_that_is_no_document_is_a_dead_letter_that_has_all_of_it(
    text: str | None, record: bytes, got: str
) -> None:
    (output,) = ToDocuments().process(beam.Row(id="a", text=text))
    assert (output.tag, output.value.record) == ("dead_letters", record)
    assert output.value.reason == f"expected a text, got {got}"


@pytest.mark.parametrize(
    ("row", "record", "reason"),
    [
        (
            {"id": b"x", "text": " "},
            {"id": "b'x'", "text": " "},
            "a string or an integer in field 'id', got bytes",
        ),
        (
            {"id": "a", "text": None},
            {"id": "a", "text": None},
            "a string in field 'text', got null",
        ),
        (
            {"id": "a", "text": b"x"},
            {"id": "a", "text": "b'x'"},
            "a string in field 'text', got bytes",
        ),
    ],
)
def test_a_row_of_other_types_is_a_dead_letter(
    row: dict[str, object], record: dict[str, object], reason: str
) -> None:
    (output,) = ToDocuments().process(beam.Row(**row))
    assert (output.tag, json.loads(output.value.record)) == ("dead_letters", record)
    assert output.value.reason == f"expected {reason}"


def test_an_id_may_be_an_integer() -> None:
    (document,) = ToDocuments().process(beam.Row(id=7, text="One."))
    assert document.id == "7"
