"""Conversions between documents, windows, samples and dead letters and Beam rows with schemas, in
both directions.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import apache_beam as beam
import numpy as np

from noisebeam.transforms.beam.common import SegmentedDocument, dead_letter
from noisebeam.transforms.data.documents import (
    BadRecordError,
    DeadLetter,
    Document,
    document_of_fields,
)
from noisebeam.transforms.data.ragged import Array
from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.io.storage import join
from noisebeam.transforms.output.finish import Failure
from noisebeam.transforms.output.manifest import MANIFEST_NAME, Manifest
from noisebeam.transforms.tokenization.windows import Window

Fields = Mapping[str, Sequence[int]]
_PLACE = [("source", str), ("position", int | None)]
_SPANS = [("starts", Sequence[int]), ("ends", Sequence[int])]
DOCUMENT_FIELDS = [("id", str), ("text", str), ("lang", str | None), *_PLACE]
SEGMENTED_FIELDS = [*DOCUMENT_FIELDS, *_SPANS]
WINDOW_FIELDS = [
    ("document", str),
    ("document_key", int),
    ("window", int),
    ("text", str),
    *_SPANS,
    ("fields", Fields | None),
]
SAMPLE_FIELDS = [("key", int), ("document", str), ("window", int), ("fields", Fields)]
LETTER_FIELDS = [*_PLACE, ("reason", str), ("record", bytes | None)]
COUNT_FIELDS = [("name", str), ("number", int)]
WRITTEN_FIELDS = [("manifest", str), ("samples", int), ("tokens", int)]


class ToDocuments(beam.DoFn):  # type: ignore[misc]
    """DoFn that converts rows to documents; a row that is not a document becomes a dead letter."""

    def process(self, row: Any) -> Iterator[Any]:
        source, position, name = (
            getattr(row, "source", ""),
            getattr(row, "position", None),
            getattr(row, "id", None),
        )
        try:
            document = document_of_fields({"id": name, "text": row.text}, "text", "id")
            yield replace(
                document, lang=getattr(row, "lang", None), source=source, position=position
            )
        except BadRecordError as error:
            record = json.dumps({"id": name, "text": row.text}, ensure_ascii=False, default=str)
            yield dead_letter(
                DeadLetter(source, position, str(error), record.encode("utf-8", "surrogatepass"))
            )


def document_row(document: Document) -> beam.Row:
    """Return a document as a row."""
    return beam.Row(**{name: getattr(document, name) for name, _ in DOCUMENT_FIELDS})


def segmented_row(segmented: Any) -> beam.Row:
    """Return a document and its sentence spans as a row."""
    document, spans = segmented
    return beam.Row(
        **document_row(document).as_dict(), starts=spans[:, 0].tolist(), ends=spans[:, 1].tolist()
    )


def segmented_of(row: Any) -> SegmentedDocument:
    """Return the document and the sentence spans of a row."""
    return Document(row.id, row.text, row.lang, row.source, row.position), _spans(row)


def window_row(window: Window) -> beam.Row:
    """Return a window as a row."""
    return beam.Row(
        document=window.document,
        document_key=_signed(window.document_key),
        window=window.index,
        text=window.text,
        starts=window.sentences[:, 0].tolist(),
        ends=window.sentences[:, 1].tolist(),
        fields=None if window.fields is None else _lists(window.fields),
    )


def window_of(row: Any) -> Window:
    """Return the window of a row."""
    fields = getattr(row, "fields", None)
    arrays = None if fields is None else _arrays(fields)
    return Window(row.document, row.document_key % 2**64, row.window, row.text, _spans(row), arrays)


def sample_row(sample: Sample) -> beam.Row:
    """Return a sample as a row."""
    key, fields = _signed(sample.key), _lists(sample.fields)
    return beam.Row(key=key, document=sample.document, window=sample.window, fields=fields)


def sample_of(row: Any) -> Sample:
    """Return the sample of a row."""
    return Sample(row.key % 2**64, row.document, row.window, _arrays(row.fields))


def letter_row(letter: DeadLetter) -> beam.Row:
    """Return a dead letter as a row."""
    return beam.Row(**{name: getattr(letter, name) for name, _ in LETTER_FIELDS})


def letter_of(row: Any) -> DeadLetter:
    """Return the dead letter of a row."""
    return DeadLetter(row.source, row.position, row.reason, row.record)


def count_row(counted: tuple[str, int]) -> beam.Row:
    """Return a pair of a name and a number as a row."""
    name, number = counted
    return beam.Row(name=name, number=number)


def count_of(row: Any) -> tuple[str, int]:
    """Return the pair of a name and a number in a row."""
    return row.name, row.number


def written_row(outcome: Manifest | Failure, output: str) -> beam.Row:
    """Return the location and the counts of a finished build as a row; raise RuntimeError if the
    build failed.
    """
    if isinstance(outcome, Failure):
        raise RuntimeError(outcome.reason)
    return beam.Row(
        manifest=join(output, MANIFEST_NAME), samples=outcome.samples, tokens=outcome.tokens
    )


def _spans(row: Any) -> Array:
    """Return the sentence spans in a row: int64 (sentences, 2)."""
    return np.stack([np.asarray(row.starts, np.int64), np.asarray(row.ends, np.int64)], axis=1)


def _lists(fields: Mapping[str, Array]) -> dict[str, list[int]]:
    """Return arrays as lists of integers, by name."""
    return {name: values.tolist() for name, values in fields.items()}


def _arrays(fields: Fields) -> dict[str, Array]:
    """Return lists of integers as int64 arrays, by name."""
    return {name: np.asarray(values, dtype=np.int64) for name, values in fields.items()}


def _signed(key: int) -> int:
    """Return a 64-bit key as a signed number, since Beam's schemas have no unsigned numbers of 64
    bits.

    >>> _signed(2**64 - 1) % 2**64 == 2**64 - 1
    True
    """
    return key - 2**64 if key >= 2**63 else key
