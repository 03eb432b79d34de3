"""Records in files of lines: single lines, paragraphs between blank lines, or the whole file.

    bytes of a part -> blocks -> lines -> Record(position, content) -> Document or DeadLetter

A block is some bytes of a file, read together. Blank lines between records are not records. The
record that a damaged file cuts off is yielded, marked, before the error is raised.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, takewhile
from typing import TYPE_CHECKING, NamedTuple

from noisebeam.transforms.data.documents import BadRecordError, DeadLetter, Document, decode
from noisebeam.transforms.formats.encodings import is_wide, longer_than
from noisebeam.transforms.io.compression import DamagedFileError
from noisebeam.transforms.io.file_names import name_endings
from noisebeam.transforms.io.input_files import FilePart, read_blocks, read_range, split_file

if TYPE_CHECKING:
    from noisebeam.transforms.formats.options import ReadOptions

BEGINNING_BYTES = 2**16  # kept of a record that is too long

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SPACES = b" \t\r\x0b\x0c"  # what a blank line may hold
_LOOK_BACK_BYTES = 2**16
_CUT_OFF = "expected a whole record, got its beginning: the file is damaged here"


Parse = Callable[[str, "ReadOptions"], Document]


class Record(NamedTuple):
    """Bytes of one record, and their byte offset in the decompressed file.

    `problem` says what is wrong if the record is too long or cut off, so that `content` is not the
    whole record; else it is "".
    """

    position: int
    content: bytes
    problem: str = ""

    def parse(self, url: str, options: ReadOptions, parse: Parse) -> Document | DeadLetter:
        """Return the document that `parse` makes of the record's text, or a dead letter if it
        raises BadRecordError.

        `url` is the file of the record.
        """
        try:
            if self.problem:
                raise BadRecordError(self.problem)
            is_kept = not is_wide(options.encoding)  # whether the bytes are those of the file
            document = parse(
                decode(self.content, options.encoding if is_kept else "utf-8"), options
            )
            return replace(
                document,
                source=url,
                position=self.position,
                size=len(self.content) if is_kept else None,
            )
        except BadRecordError as error:
            return DeadLetter(url, self.position, str(error), self.content)


def parse_each(
    records: Iterable[Record], part: FilePart, options: ReadOptions, parse: Parse
) -> Iterator[Document | DeadLetter]:
    """Yield the document or dead letter of each record, as `parse` makes it.

    A record may have a gigabyte, so no record is kept in memory while its document is in use.
    """

    def parsed(record: Record) -> Document | DeadLetter:
        return record.parse(part.url, options, parse)

    return map(parsed, records)  # a generator would hold it


def split_lines(url: str, options: ReadOptions, part_bytes: int) -> list[FilePart]:
    """Divide a file of lines into parts of `part_bytes` bytes, and return the parts.

    A file that is compressed, or whose encoding has units of several bytes, is one part.
    """
    is_divisible = not name_endings(url)[1] and not is_wide(options.encoding)
    return split_file(url, part_bytes) if is_divisible else [FilePart(url)]


def lines(part: FilePart, options: ReadOptions) -> Iterator[Record]:
    """Yield the lines that start in a part of a file, blank ones too, without their "\\n".

    A line that began in the part before belongs to that part. Files with units of 16 or 32 bits are
    converted to UTF-8 first.
    """
    start, blocks = (
        _next_line(part, part.start - 1, options)
        if part.start
        else (0, _blocks(part.url, 0, options))
    )
    end = math.inf if part.end is None else part.end
    own = takewhile(
        lambda line: line.position < end, _split(blocks, start, options.max_record_bytes)
    )
    return map(partial(_without_mark, anywhere=True), own)


def _next_line(part: FilePart, start: int, options: ReadOptions) -> tuple[int, Iterator[bytes]]:
    """Return two values: the byte offset of the first line that starts after byte `start`, and the
    blocks of the file from there on.

    There are no blocks if that line starts behind the part, so that a line that runs through many
    parts is read by its own part alone.
    """
    blocks = _blocks(part.url, start, options)
    for block in blocks:
        found = block.find(b"\n") + 1
        start += found or len(block)
        if part.end is not None and start >= part.end:
            break
        if found:
            return start, chain([block[found:]], blocks)
    return start, iter(())


def paragraphs(part: FilePart, options: ReadOptions) -> Iterator[Record]:
    """Yield the paragraphs that start in a part of a file: consecutive lines between blank
    lines.
    """
    position, run = 0, bytearray()
    try:
        for line in _lines_of_paragraphs(part, options):
            is_blank = not (line.content.strip() or line.problem)
            if not is_blank:
                position = position if run else line.position
                run += line.content + b"\n"
            is_long = len(run) > options.max_record_bytes
            if run and (is_blank or is_long or line.problem):
                yield _paragraph(
                    position,
                    run,
                    longer_than(options.max_record_bytes) if is_long else line.problem,
                )
    except DamagedFileError:
        if run:
            yield _paragraph(position, run, _CUT_OFF)
        raise
    if run:
        yield _paragraph(position, run)


def _lines_of_paragraphs(part: FilePart, options: ReadOptions) -> Iterator[Record]:
    """Yield the lines of all paragraphs that start in a part of a file, and the blank lines between
    them.
    """
    start = _line_before(part)
    end = math.inf if part.end is None else part.end
    if start and _next_line(part, start, options)[0] >= end:
        return  # the line before goes on behind the part
    # in a paragraph of the part before; after a blank line
    is_others, is_fresh = (
        start > 0,
        start == 0,
    )
    for line in map(
        _without_mark, _split(_blocks(part.url, start, options), start, options.max_record_bytes)
    ):
        is_blank = not (line.content.strip() or line.problem)
        if line.position >= end and (is_blank or is_fresh or is_others):
            return
        if is_fresh:
            is_others = line.position < part.start
        if is_blank or not is_others:
            yield line
        is_fresh = is_blank


def _line_before(part: FilePart) -> int:
    """Return the byte offset at which reading must begin to see whether the line before the part is
    blank.
    """
    end = part.start - 1
    while end > 0:
        start = max(0, end - _LOOK_BACK_BYTES)
        if written := read_range(part.url, start, end).rstrip(_SPACES):
            found = start + len(written) - (not written.endswith(b"\n"))
            return found if found >= len(_BYTE_ORDER_MARK) else 0
        end = start
    return 0


def whole_file(part: FilePart, options: ReadOptions) -> Iterator[Record]:
    """Yield the content of a file as one record."""
    content: list[bytes] = []
    size = 0
    try:
        for block in _blocks(part.url, 0, options):
            content.append(block)
            size += len(block)
            if size > options.max_record_bytes:
                content = _beginning(content)
                break
    except DamagedFileError:
        if content:
            yield _without_mark(
                _line(0, content, size, options.max_record_bytes)._replace(problem=_CUT_OFF)
            )
        raise
    yield _without_mark(_line(0, content, size, options.max_record_bytes))


def _blocks(url: str, start: int, options: ReadOptions) -> Iterator[bytes]:
    """Yield the decompressed bytes of a file from byte `start` on, converted to UTF-8 if the
    encoding has units of several bytes.
    """
    blocks = read_blocks(url, start)
    return _to_utf8(blocks, options.encoding) if is_wide(options.encoding) else blocks


def _to_utf8(blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yield blocks of bytes in `encoding` as UTF-8; a lone surrogate becomes invalid bytes, which
    make its record bad.
    """
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    try:
        for block in blocks:
            yield decoder.decode(block).encode("utf-8", "surrogatepass")
        decoder.decode(b"", final=True)
    except UnicodeError as error:  # one without a reason where a byte order mark is missing
        reason = getattr(error, "reason", str(error))
        raise DamagedFileError(
            f"expected {encoding.upper()}, got something else: {reason}"
        ) from error


def _split(blocks: Iterable[bytes], position: int, longest: int) -> Iterator[Record]:
    """Yield the lines in blocks of bytes, without their "\\n"; `position` is the byte offset of the
    first block.

    A line of more than `longest` bytes is marked as a problem. A line that a damaged file cuts off
    is yielded, marked, before the error is raised.
    """
    pieces: list[bytes] = []  # of the line that goes on in the next block
    size = 0
    try:
        for block in blocks:
            first, *rest = block.split(b"\n")
            size += len(first)
            pieces.append(first)
            if size > longest:
                pieces = _beginning(pieces)
            for following in rest:
                yield _line(position, pieces, size, longest)
                position += size + 1
                pieces, size = [following], len(following)
    except DamagedFileError:
        if size:
            yield _line(position, pieces, size, longest)._replace(problem=_CUT_OFF)
        raise
    if size:
        yield _line(position, pieces, size, longest)


def _beginning(pieces: Iterable[bytes]) -> list[bytes]:
    """Return the first 64 KiB of some pieces of a record, as one piece."""
    kept = bytearray()
    for piece in pieces:
        kept += piece[: BEGINNING_BYTES - len(kept)]
    return [bytes(kept)]


def _line(position: int, pieces: list[bytes], size: int, longest: int) -> Record:
    """Return the line that consists of these pieces, of `size` bytes in all, and empty the list of
    pieces.

    A line of more than `longest` bytes is marked as a problem.
    """
    content = b"".join(pieces)
    pieces.clear()
    if size > longest:
        return Record(position, content[:longest], longer_than(longest))
    return Record(position, content)


def _without_mark(record: Record, anywhere: bool = False) -> Record:
    """Return the record without a byte order mark at the beginning of the file.

    With `anywhere` it may begin any record, as each file of a concatenation may have one.
    """
    if not record.content.startswith(_BYTE_ORDER_MARK) or (record.position and not anywhere):
        return record
    return record._replace(
        position=record.position + len(_BYTE_ORDER_MARK),
        content=record.content.removeprefix(_BYTE_ORDER_MARK),
    )


def _paragraph(position: int, run: bytearray, problem: str = "") -> Record:
    """Return the record of consecutive lines in a buffer, and empty the buffer."""
    run.pop()  # the end of the last line
    content = bytes(run).removesuffix(b"\r")
    run.clear()
    return Record(position, content, problem)
