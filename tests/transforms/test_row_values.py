"""Rows to documents and back."""

from __future__ import annotations

import apache_beam as beam
import pytest

from noisebeam.transforms.beam.row_values import ToDocuments


@pytest.mark.parametrize(
    ("text", "record", "got"),
    [
        ("", b'{"id": "a", "text": ""}', "an empty one"),
        (None, b'{"id": "a", "text": null}', "an empty one"),
        (" ", b'{"id": "a", "text": " "}', "white space only"),
    ],
)
def test_a_row_that_is_no_document_is_a_dead_letter_that_has_all_of_it(
    text: str | None, record: bytes, got: str
) -> None:
    (output,) = ToDocuments().process(beam.Row(id="a", text=text))
    assert (output.tag, output.value.record) == ("dead_letters", record)
    assert output.value.reason == f"expected a text, got {got}"
