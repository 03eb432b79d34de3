"""Plain text: a file a document, or documents separated by blank lines."""

from __future__ import annotations

from collections.abc import Iterator

from noisebeam.transforms.documents import DeadLetter, Document, make_document
from noisebeam.transforms.files import FilePart
from noisebeam.transforms.formats.lines import paragraphs, whole_file
from noisebeam.transforms.formats.options import ReadOptions


def read_text(part: FilePart, options: ReadOptions) -> Iterator[Document | DeadLetter]:
    """The file as one document."""
    return (record.parse(part.url, options, _parse) for record in whole_file(part, options))


def read_paragraphs(part: FilePart, options: ReadOptions) -> Iterator[Document | DeadLetter]:
    """A document for each run of lines between blank ones."""
    return (record.parse(part.url, options, _parse) for record in paragraphs(part, options))


def _parse(text: str, options: ReadOptions) -> Document:
    return make_document(None, text)
