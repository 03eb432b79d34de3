"""Parquet: each row is a document, as in the data sets of Hugging Face."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from noisebeam.transforms.data.documents import (
    BadRecordError,
    DeadLetter,
    Document,
    describe_undecodable,
    document_of_fields,
)
from noisebeam.transforms.errors import one_line
from noisebeam.transforms.io.compression import DamagedFileError
from noisebeam.transforms.io.input_files import FilePart, open_file

if TYPE_CHECKING:
    from noisebeam.transforms.formats.options import ReadOptions

_ROWS = 16  # held at a time: a value that is large may be stored once and stand in every row
_UNFIT = (ValueError, OverflowError)  # of Arrow, for values that Python's types do not hold

Fields = dict[str, object]


def read_parquet(part: FilePart, options: ReadOptions) -> Iterator[Document | DeadLetter]:
    """Yield a document or a dead letter for each row in a part of a parquet file, whose `start` and
    `end` count row groups.

    Only the columns of text, id and language are read.
    """
    with _open(part.url) as file:
        names = file.schema_arrow.names
        columns = [
            name
            for name in (options.text_field, options.id_field, options.lang_field)
            if name in names
        ]
        for name in (options.text_field, options.lang_field):
            if name is not None and name not in names:
                raise DamagedFileError(f"expected a column {name!r}, got {', '.join(names)}")
        groups = range(part.start, file.num_row_groups if part.end is None else part.end)
        number = sum(file.metadata.row_group(group).num_rows for group in range(part.start))
        for batch in file.iter_batches(_ROWS, row_groups=list(groups), columns=columns):
            for row, fields in enumerate(_rows(batch)):
                yield _read_row(file, part.url, number + row, fields, options)
            number += len(batch)


def split_parquet(url: str, options: ReadOptions, part_bytes: int) -> list[FilePart]:
    """Divide a parquet file into parts of whole row groups, of about `part_bytes` bytes of content
    each, and return the parts.
    """
    try:
        with _open(url) as file:
            sizes = [
                file.metadata.row_group(group).total_byte_size
                for group in range(file.num_row_groups)
            ]
    except DamagedFileError:  # the reader says what is wrong
        return [FilePart(url)]
    starts, size = [0], 0
    for group, bytes_ in enumerate(sizes):
        if size and size + bytes_ > part_bytes:
            starts.append(group)
            size = 0
        size += bytes_
    ends = [*starts[1:], len(sizes)]
    return [FilePart(url, start, end) for start, end in zip(starts, ends, strict=True)]


def _rows(batch: Any) -> Iterator[Fields | BadRecordError]:
    """Yield each row of a batch as a dict; for a row with values that Python cannot hold, yield the
    error.
    """
    try:
        yield from batch.to_pylist()
    except _UNFIT:
        for row in range(len(batch)):
            yield _row(batch.slice(row, 1))


def _row(batch: Any) -> Fields | BadRecordError:
    """Return the only row of a batch as a dict, or the error if Python cannot hold its values."""
    try:
        (fields,) = batch.to_pylist()
        return dict(fields)
    except UnicodeDecodeError as error:
        return BadRecordError(describe_undecodable(error))
    except _UNFIT as error:
        return BadRecordError(f"expected a text and an id, got values that cannot be read: {error}")


def _read_row(
    file: Any, url: str, number: int, fields: Fields | BadRecordError, options: ReadOptions
) -> Document | DeadLetter:
    """Return the document or dead letter of row `number` of a file, given its fields or the error
    of reading them.
    """
    try:
        if isinstance(fields, BadRecordError):
            raise fields
        document = document_of_fields(
            fields, options.text_field, options.id_field, options.lang_field
        )
        return replace(document, source=url, position=number)
    except BadRecordError as error:
        return DeadLetter(url, number, str(error), _whole_row(file, number))


def _whole_row(file: Any, number: int) -> bytes:
    """Return row `number` of a parquet file with all of its columns, as JSON, for a dead letter."""
    group = 0
    while number >= (rows := file.metadata.row_group(group).num_rows):
        number, group = number - rows, group + 1
    row = file.read_row_group(group).slice(number, 1)
    fields = {
        name: _plain(column) for name, column in zip(row.column_names, row.columns, strict=True)
    }
    return json.dumps(fields, default=repr).encode("utf-8", "surrogatepass")


def _plain(column: Any) -> object:
    """Return the only value of a column as a Python value; else its bytes, or Arrow's text
    of it.
    """
    import pyarrow

    for kind in (column.type, pyarrow.binary(), pyarrow.string()):
        try:
            return column.cast(kind)[0].as_py()
        except (*_UNFIT, pyarrow.ArrowException):
            continue
    return f"{column.type} that cannot be read"


@contextmanager
def _open(url: str) -> Iterator[Any]:
    """Open a parquet file for the block; raise DamagedFileError if its content is wrong, and
    OSError if it cannot be accessed.
    """
    import pyarrow
    from pyarrow.parquet import ParquetFile

    with open_file(url) as source:
        try:
            with ParquetFile(source, page_checksum_verification=True) as file:
                yield file
        # the latter: a name that is no UTF-8
        except (
            pyarrow.ArrowException,
            UnicodeDecodeError,
        ) as error:
            raise DamagedFileError(f"the parquet file is corrupt: {one_line(error)}") from error
        except OSError as error:  # pyarrow's own have no errno
            if type(error) is not OSError or error.errno is not None:
                raise OSError(f"cannot read {url}: {one_line(error)}") from error
            raise DamagedFileError(f"the parquet file is corrupt: {one_line(error)}") from error
