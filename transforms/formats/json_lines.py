"""JSON Lines: one JSON object with a text on each line, as WikiExtractor's `--json` also writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from noisebeam.transforms.data.documents import (
    BadRecordError,
    DeadLetter,
    Document,
    document_of_fields,
    kind_of,
)
from noisebeam.transforms.formats.lines import Record, lines, parse_each
from noisebeam.transforms.io.input_files import FilePart

if TYPE_CHECKING:
    from noisebeam.transforms.formats.options import ReadOptions


def read_json_lines(part: FilePart, options: ReadOptions) -> Iterator[Document | DeadLetter]:
    """Yield a document or a dead letter for each line of a part of a file that is not blank."""
    records = map(_without_return, filter(_is_record, lines(part, options)))
    return parse_each(records, part, options, _parse)


def _is_record(line: Record) -> bool:
    """Return True if a line is not blank, or is damaged."""
    return bool(line.problem or line.content.strip())


def _without_return(line: Record) -> Record:
    """Return the line without a carriage return at its end."""
    return line._replace(content=line.content.removesuffix(b"\r"))


def _parse(content: str, options: ReadOptions) -> Document:
    """Return a text as a document whose id is a hash of the text."""
    try:
        value = json.loads(content)
    except json.JSONDecodeError as error:
        raise BadRecordError(
            f"expected JSON, got something else: {error.msg} (character {error.pos})"
        ) from error
    except RecursionError as error:
        raise BadRecordError("expected JSON, got too many nested brackets") from error
    except ValueError as error:
        raise BadRecordError(f"expected JSON, got something else: {error}") from error
    if not isinstance(value, dict):
        raise BadRecordError(f"expected a JSON object, got {kind_of(value)}")
    return document_of_fields(value, options.text_field, options.id_field, options.lang_field)
