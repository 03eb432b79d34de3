"""Files to documents: JSON Lines, plain text, paragraphs, parquet and web archives.

A format has a function that reads a part of a file and, where files can be divided, one that divides them. No record
vanishes: each comes out as a `Document` or a `DeadLetter`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from noisebeam.transforms.compression import DamagedFileError
from noisebeam.transforms.documents import DeadLetter, Document
from noisebeam.transforms.files import FilePart, read_range
from noisebeam.transforms.formats.json_lines import read_json_lines, split_json_lines
from noisebeam.transforms.formats.options import ReadOptions
from noisebeam.transforms.formats.parquet import read_parquet, split_parquet
from noisebeam.transforms.formats.text import read_paragraphs, read_text
from noisebeam.transforms.formats.warc import read_warc

__all__ = ["FORMATS", "Format", "ReadOptions", "read_documents", "record_of", "split_inputs"]


def _whole(url: str, options: ReadOptions, part_bytes: int) -> list[FilePart]:
    return [FilePart(url)]


class Format(NamedTuple):
    """How files of a kind are read, and divided into parts of about so many bytes."""

    read: Callable[[FilePart, ReadOptions], Iterator[Document | DeadLetter]]
    split: Callable[[str, ReadOptions, int], list[FilePart]] = _whole


FORMATS: Mapping[str, Format] = {
    "jsonl": Format(read_json_lines, split_json_lines),
    "text": Format(read_text),
    "paragraphs": Format(read_paragraphs),
    "parquet": Format(read_parquet, split_parquet),
    "warc": Format(read_warc),
}


def split_inputs(urls: Sequence[str], options: ReadOptions, part_bytes: int = 64 * 2**20) -> list[FilePart]:
    """Parts to read independently: uncompressed JSON Lines and parquet in parts of about `part_bytes`, others whole."""
    return [part for url in urls for part in FORMATS[options.format_of(url)].split(url, options, part_bytes)]


def read_documents(part: FilePart, options: ReadOptions) -> Iterator[Document | DeadLetter]:
    """The records of a part, in their order: each a document or a dead letter.

    A damaged file gives a dead letter for the record that is cut off and one for the file.
    """
    try:
        yield from FORMATS[options.format_of(part.url)].read(part, options)
    except DamagedFileError as error:
        yield DeadLetter(part.url, None, f"{error}; records before that are read, those after it are lost", None)


def record_of(document: Document) -> bytes:
    """The record of a document, read once more from its file; its id and text as JSON where there is no such place."""
    if document.position is not None and document.size is not None:
        return read_range(document.source, document.position, document.position + document.size)
    return json.dumps({"id": document.id, "text": document.text}, ensure_ascii=False).encode()
