"""Plain text: each file is a document, or documents are separated by blank lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from noisebeam.transforms.data.documents import DeadLetter, Document, make_document
from noisebeam.transforms.formats.lines import paragraphs, parse_each, whole_file
from noisebeam.transforms.io.input_files import FilePart

if TYPE_CHECKING:
    from noisebeam.transforms.formats.options import ReadOptions


_MARKS = re.compile("^\ufeff", re.MULTILINE)  # byte order marks of concatenated files


def read_text(part: FilePart, options: ReadOptions) -> Iterator[Document | DeadLetter]:
    """Yield a whole file as one document or dead letter."""
    return parse_each(whole_file(part, options), part, options, _parse)


def read_paragraphs(part: FilePart, options: ReadOptions) -> Iterator[Document | DeadLetter]:
    """Yield a document or a dead letter for each paragraph in a part of a file; blank lines
    separate paragraphs.
    """
    return parse_each(paragraphs(part, options), part, options, _parse)


def _parse(text: str, options: ReadOptions) -> Document:
    return make_document(None, _MARKS.sub("", text))
