"""Formats of input files: files are read as documents and dead letters.

A dead letter is a record that is not a document, with the reason. A format has a function that
reads a part of a file and, if files can be divided, a function that divides them. A new built-in
format is its module and its line in `FORMATS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from noisebeam.transforms.data.documents import BadRecordError, DeadLetter, Document, make_document
from noisebeam.transforms.formats.json_lines import read_json_lines
from noisebeam.transforms.formats.lines import split_lines
from noisebeam.transforms.formats.options import ReadOptions
from noisebeam.transforms.formats.parquet import read_parquet, split_parquet
from noisebeam.transforms.formats.text import read_paragraphs, read_text
from noisebeam.transforms.formats.warc import read_warc
from noisebeam.transforms.io.compression import DamagedFileError
from noisebeam.transforms.io.input_files import FilePart, file_size, for_each
from noisebeam.transforms.plugins import FORMATS as FORMAT_PLUGINS
from noisebeam.transforms.plugins import PluginError, load_plugin, plugin_origin

__all__ = ["FORMATS", "Format", "ReadOptions", "read_documents", "split_inputs"]


_PARTS, _LEAST_PART_BYTES, _MOST_PART_BYTES = 1024, 2**20, 2**26


def _whole(url: str, options: ReadOptions, part_bytes: int) -> list[FilePart]:
    """Return a file as a single part, for formats whose files cannot be divided."""
    return [FilePart(url)]


class Format(NamedTuple):
    """Format of input files: a function that reads one part of a file, and a function that divides
    a file into parts.

    `read(part, options)` yields a document or a dead letter for each record. `split(url, options,
    part_bytes)` returns parts of about `part_bytes` bytes; by default a file is one part.
    """

    read: Callable[[FilePart, ReadOptions], Iterator[Document | DeadLetter]]
    split: Callable[[str, ReadOptions, int], list[FilePart]] = _whole


FORMATS: Mapping[str, Format] = {
    "jsonl": Format(read_json_lines, split_lines),
    "text": Format(read_text),
    "paragraphs": Format(read_paragraphs, split_lines),
    "parquet": Format(read_parquet, split_parquet),
    "warc": Format(read_warc),
}


def split_inputs(
    urls: Sequence[str], options: ReadOptions, part_bytes: int | None = None
) -> list[FilePart]:
    """Divide input files into parts that can be read independently, and return the parts of all
    files.

    Parquet files and uncompressed files of lines are divided into parts of about `part_bytes`
    bytes; other files are one part. With None there are about a thousand parts, of 1 to 64 MiB.
    """
    forms = {url: _format(options.format_of(url)) for url in urls}
    if part_bytes is None:
        part_bytes = min(
            _MOST_PART_BYTES, max(_LEAST_PART_BYTES, sum(for_each(urls, file_size)) // _PARTS)
        )
    size = part_bytes
    return [
        part
        for parts in for_each(urls, lambda url: forms[url].split(url, options, size))
        for part in parts
    ]


def read_documents(part: FilePart, options: ReadOptions) -> Iterator[Document | DeadLetter]:
    """Yield a document or a dead letter for each record in a part of an input file, in order.

    A damaged file yields a dead letter for the record that is cut off, and one for the file.
    """
    try:
        yield from _format(options.format_of(part.url)).read(part, options)
    except DamagedFileError as error:
        yield DeadLetter(
            part.url, None, f"{error}; records before that are read, those after it are lost", None
        )


def _format(name: str) -> Format:
    """Return the format with this name, built in or of an installed plugin, whose documents are
    checked.
    """
    if name in FORMATS:
        return FORMATS[name]
    found = load_plugin(FORMAT_PLUGINS, name)
    added = found if isinstance(found, Format) else Format(found)
    return added._replace(
        read=lambda part, options: _checked(name, part, added.read(part, options))
    )


def _checked(
    name: str, part: FilePart, records: Iterable[Document | DeadLetter]
) -> Iterator[Document | DeadLetter]:
    """Yield the documents and dead letters of a plugin's reader; invalid documents become dead
    letters.

    Raises PluginError if the reader yields something else.
    """
    for found in records:
        if isinstance(found, DeadLetter):
            yield found
        elif isinstance(found, Document):
            try:
                make_document(found.id, found.text)
                yield replace(found, source=part.url)
            except BadRecordError as error:
                record = json.dumps({"id": found.id, "text": found.text}).encode()
                yield DeadLetter(part.url, found.position, str(error), record)
        else:
            origin = plugin_origin(FORMAT_PLUGINS, name)
            raise PluginError(
                f"format {name!r} of {origin}: expected a Document or a DeadLetter, got "
                f"{found!r:.80}"
            )
