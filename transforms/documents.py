"""Documents: the records of input files, and the dead letters that bad records become.

JSON Lines (an object with a text a line), plain text (a file a document) and paragraphs (documents separated by blank
lines), UTF-8 with or without a byte order mark, plain or gzip. No record vanishes: each is a `Document` or a
`DeadLetter`, and blank lines between records are no records. A document without an id is named after its content, so
that it has the same name wherever it is read from.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from noisebeam.transforms.files import (
    DamagedFileError,
    FilePart,
    InputError,
    expand_inputs,
    name_endings,
    read_blocks,
    split_file,
)

__all__ = [
    "DeadLetter",
    "Document",
    "FilePart",
    "InputError",
    "ReadOptions",
    "expand_inputs",
    "read_documents",
    "split_inputs",
]

FORMATS = {".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl", ".txt": "text", ".md": "text"}
_FORMAT_NAMES = ("auto", "jsonl", "text", "paragraphs")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CUT_OFF = "expected a whole record, got its beginning: the file is damaged here"


@dataclass(frozen=True, slots=True)
class Document:
    """A text of the corpus: not empty, without NUL, and valid as UTF-8. `lang` is a language code such as "en".

    `source` and `position` tell where it was read, as in `DeadLetter`; documents that differ in nothing else are equal.
    """

    id: str
    text: str
    lang: str | None = None
    source: str = field(default="", compare=False)
    position: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that is no document, whole, with its source and the reason.

    `position` is the byte offset of the record in the decompressed file. Where the file itself cannot be read to its
    end, `position` and `record` are None.
    """

    source: str
    position: int | None
    reason: str
    record: bytes | None

    def to_json(self) -> str:
        """One line of JSON; the record as `record_base64` where it is not UTF-8.

        >>> DeadLetter("a.jsonl", 7, "expected a JSON object, got a number", b"1").to_json()
        '{"source": "a.jsonl", "position": 7, "reason": "expected a JSON object, got a number", "record": "1"}'
        """
        fields: dict[str, str | int | None] = {
            "source": self.source,
            "position": self.position,
            "reason": self.reason,
            "record": None,
        }
        try:
            fields["record"] = None if self.record is None else self.record.decode("utf-8")
        except UnicodeDecodeError:
            del fields["record"]
            fields["record_base64"] = base64.b64encode(self.record or b"").decode("ascii")
        return json.dumps(fields)


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How records are read.

    `format` is "jsonl", "text" (a file a document), "paragraphs" (documents separated by blank lines), or "auto": by
    the file's name. `text_field` and `id_field` name the fields of a JSON record; the id may be absent or null.
    """

    format: str = "auto"
    text_field: str = "text"
    id_field: str = "id"

    def __post_init__(self) -> None:
        if self.format not in _FORMAT_NAMES:
            raise ValueError(f"format: expected one of {', '.join(_FORMAT_NAMES)}, got {self.format!r}")
        for name, value in (("text_field", self.text_field), ("id_field", self.id_field)):
            if not isinstance(value, str) or not value:
                raise ValueError(f"{name}: expected the name of a field, got {value!r}")
        if self.text_field == self.id_field:
            raise ValueError(f"id_field: expected another field than text_field, got {self.id_field!r} for both")

    def format_of(self, url: str) -> str:
        """The format of this file, "auto" resolved; `InputError` if its name does not tell.

        >>> ReadOptions().format_of("corpus/books.jsonl.gz")
        'jsonl'
        """
        if self.format != "auto":
            return self.format
        ending, _ = name_endings(url)
        if ending not in FORMATS:
            raise InputError(
                f"format: expected a name ending in {', '.join(FORMATS)} (or one of these and .gz), got {url!r}; "
                "name the format with --format"
            )
        return FORMATS[ending]


def split_inputs(urls: Sequence[str], options: ReadOptions, part_bytes: int = 64 * 2**20) -> list[FilePart]:
    """Parts to read independently: uncompressed JSON Lines in parts of `part_bytes` bytes, other files whole."""
    return [part for url in urls for part in _split(url, options, part_bytes)]


def _split(url: str, options: ReadOptions, part_bytes: int) -> list[FilePart]:
    is_divisible = options.format_of(url) == "jsonl" and not name_endings(url)[1]
    return split_file(url, part_bytes) if is_divisible else [FilePart(url)]


def read_documents(part: FilePart, options: ReadOptions) -> Iterator[Document | DeadLetter]:
    """The records of a part, in their order: each a document or a dead letter.

    A damaged file gives a dead letter for the record that is cut off and one for the file.
    """
    form = options.format_of(part.url)
    try:
        for record in _records(part, form):
            try:
                if not record.is_whole:
                    raise _BadRecordError(_CUT_OFF)
                document = _parse_json(record.content, options) if form == "jsonl" else _parse_text(record.content)
                yield replace(document, source=part.url, position=record.position)
            except _BadRecordError as error:
                yield DeadLetter(part.url, record.position, str(error), record.content)
    except DamagedFileError as error:
        yield DeadLetter(part.url, None, f"{error}; records before that are read, those after it are lost", None)


class _Record(NamedTuple):
    position: int  # bytes, in the decompressed file
    content: bytes
    is_whole: bool = True


def _records(part: FilePart, form: str) -> Iterator[_Record]:
    if form == "text":
        return _whole_file(read_blocks(part.url))
    lines = _lines_of_part(part)
    return _paragraphs(lines) if form == "paragraphs" else (_joined([line]) for line in lines if line.content.strip())


def _lines_of_part(part: FilePart) -> Iterator[_Record]:
    """The lines that start in the part; the one that runs into it from the part before belongs there."""
    start = max(part.start - 1, 0)
    lines = _lines(read_blocks(part.url, start), start)
    if part.start:
        next(lines, None)
    for line in lines:
        if part.end is not None and line.position >= part.end:
            return
        yield line


def _lines(blocks: Iterable[bytes], position: int) -> Iterator[_Record]:
    """Lines without their "\\n". Before the error of a damaged file comes the line that it cuts off."""
    pieces: list[bytes] = []  # of the line that goes on in the next block
    try:
        for block in blocks:
            first, *rest = block.split(b"\n")
            pieces.append(first)
            for following in rest:
                content = b"".join(pieces)
                yield _line(position, content)
                position += len(content) + 1
                pieces = [following]
    except DamagedFileError:
        if any(pieces):
            yield _line(position, b"".join(pieces))._replace(is_whole=False)
        raise
    if any(pieces):
        yield _line(position, b"".join(pieces))


def _line(position: int, content: bytes) -> _Record:
    return _Record(position, content if position else content.removeprefix(_BYTE_ORDER_MARK))


def _paragraphs(lines: Iterable[_Record]) -> Iterator[_Record]:
    """Runs of lines between blank lines."""
    run: list[_Record] = []
    try:
        for line in lines:
            if line.content.strip() or not line.is_whole:
                run.append(line)
            elif run:
                yield _joined(run)
                run = []
    except DamagedFileError:
        if run:
            yield _joined(run)._replace(is_whole=False)
        raise
    if run:
        yield _joined(run)


def _joined(lines: Sequence[_Record]) -> _Record:
    content = b"\n".join(line.content for line in lines).removesuffix(b"\r")
    return _Record(lines[0].position, content, lines[-1].is_whole)


def _whole_file(blocks: Iterable[bytes]) -> Iterator[_Record]:
    content: list[bytes] = []
    try:
        content.extend(blocks)
    except DamagedFileError:
        if content:
            yield _Record(0, b"".join(content).removeprefix(_BYTE_ORDER_MARK), is_whole=False)
        raise
    yield _Record(0, b"".join(content).removeprefix(_BYTE_ORDER_MARK))


class _BadRecordError(ValueError):
    """A record is no document; the text says what was expected and what came."""


def _parse_text(record: bytes) -> Document:
    return _document(None, _decode(record))


def _parse_json(record: bytes, options: ReadOptions) -> Document:
    content = _decode(record)
    try:
        value = json.loads(content)
    except json.JSONDecodeError as error:
        raise _BadRecordError(f"expected JSON, got something else: {error.msg} (character {error.pos})") from error
    except RecursionError as error:
        raise _BadRecordError("expected JSON, got too many nested brackets") from error
    except ValueError as error:
        raise _BadRecordError(f"expected JSON, got something else: {error}") from error
    if not isinstance(value, dict):
        raise _BadRecordError(f"expected a JSON object, got {_kind(value)}")
    if options.text_field not in value:
        fields = ", ".join(repr(name)[:40] for name in list(value)[:8]) or "none"
        raise _BadRecordError(f"expected a text in field {options.text_field!r}, got the fields: {fields}")
    text = value[options.text_field]
    if not isinstance(text, str):
        raise _BadRecordError(f"expected a string in field {options.text_field!r}, got {_kind(text)}")
    return _document(_identifier(value.get(options.id_field), options.id_field), text)


def _identifier(value: Any, field: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise _BadRecordError(f"expected a string or an integer in field {field!r}, got {_kind(value)}")


def _document(identifier: str | None, text: str) -> Document:
    if not text or text.isspace():
        raise _BadRecordError(f"expected a text, got {'white space only' if text else 'an empty one'}")
    encoded = _encode("text", text)
    if identifier is None:
        return Document(hashlib.blake2b(encoded, digest_size=16).hexdigest(), text)
    _encode("id", identifier)
    return Document(identifier, text)


def _encode(name: str, value: str) -> bytes:
    if "\0" in value:
        raise _BadRecordError(f"expected {name} without NUL, got one at character {value.index(chr(0))}")
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:
        found = f"U+{ord(value[error.start]):04X} at character {error.start}"
        raise _BadRecordError(f"expected {name} without lone surrogates, got {found}") from error


def _decode(record: bytes) -> str:
    try:
        return record.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"0x{record[error.start]:02x} at byte {error.start} ({error.reason})"
        raise _BadRecordError(f"expected UTF-8, got {found}") from error


def _kind(value: Any) -> str:
    """What a JSON value is, in JSON's words."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    names = {str: "a string", dict: "an object", list: "an array", int: "a number", float: "a number"}
    return names[type(value)]
