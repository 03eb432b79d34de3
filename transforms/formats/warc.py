"""Web archives: WARC files of pages, and WET files of their texts, as Common Crawl publishes them.

Documents are the `conversion` records (texts) and the `response` records of status 200 that hold
HTML, of which the main content is extracted, or plain text. Records of other kinds, such as
requests, are skipped. The id of a document is that of its record. The language field is a header of
the record, such as Common Crawl's WARC-Identified-Content-Language; its first language counts.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from noisebeam.transforms.data.documents import (
    BadRecordError,
    DeadLetter,
    Document,
    decode,
    make_document,
)
from noisebeam.transforms.data.languages import language_code
from noisebeam.transforms.errors import one_line
from noisebeam.transforms.formats.encodings import longer_than
from noisebeam.transforms.formats.lines import BEGINNING_BYTES
from noisebeam.transforms.io.compression import DamagedFileError
from noisebeam.transforms.io.input_files import FilePart, read_blocks, read_range

if TYPE_CHECKING:
    from noisebeam.transforms.formats.options import ReadOptions

_PIECE_BYTES = 2**16
_CODE_PAGE = re.compile(r"(cp|ms)\d+|uhc", re.ASCII)
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_LARGEST = {"gbk": "gb18030", "euc_kr": "cp949", "shift_jis": "cp932", "big5": "big5hkscs"}
_TEXT, _HTML = ("text/plain",), ("text/html", "application/xhtml+xml")


def read_warc(part: FilePart, options: ReadOptions) -> Iterator[Document | DeadLetter]:
    """Yield a document or a dead letter for each record of a web archive that contains a page or
    its text.
    """
    for page in _pages(part.url, options):
        try:
            if page.problem:
                raise BadRecordError(page.problem)
            document = make_document(page.id.strip("<>") or None, page.text())
            yield replace(
                document,
                lang=language_code(page.lang),
                source=part.url,
                position=page.start,
                size=page.end - page.start,
            )
        except BadRecordError as error:
            is_long = page.end - page.start > options.max_record_bytes
            end = page.start + BEGINNING_BYTES if is_long else page.end
            yield DeadLetter(
                part.url, page.start, str(error), read_range(part.url, page.start, end)
            )


class _Page(NamedTuple):
    """Page in a record of a web archive, not yet decoded.

    `id` is that of the record, `lang` the first language that its header names. `media_type` and
    `charset` are those of the page, `content` its bytes. `problem` says what is wrong with the
    record ("" if nothing). The record is bytes `start` to `end` - 1 of the decompressed file.
    """

    id: str
    lang: str  # the first that the record's header names
    media_type: str
    charset: str
    content: bytes
    problem: str
    start: int = 0
    end: int = 0

    def text(self) -> str:
        """Return the text of the page: plain text as it is, or the main content of HTML."""
        if self.media_type in _TEXT:
            return decode(self.content, "utf-8")
        from resiliparse.extract.html2text import extract_plain_text

        return str(extract_plain_text(decode_html(self.content, self.charset), main_content=True))


def decode_html(content: bytes, charset: str = "") -> str:
    """Return the bytes of an HTML page as text, decoded as browsers do; `charset` is that of its
    HTTP header.

    In this order: byte order mark, header, UTF-8 if the bytes are valid, meta element, guess.
    (Browsers look at the meta element before UTF-8.) Names are those of the WHATWG's Encoding
    Standard and of code pages; an East Asian one means the largest encoding of its family. Bytes
    that cannot be decoded are dropped.

    >>> page = "<meta charset=gb2312>€".encode("gb18030")
    >>> decode_html(page), decode_html("é".encode(), "utf8mb4")
    ('<meta charset=gb2312>€', 'é')
    """
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    marked = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    found = marked or _codec(charset) or ("utf-8" if _is_utf8(content) else None)
    found = found or str(detect_encoding(content, from_html_meta=True))
    if found.startswith("utf-16") and b"\0" not in content:  # without which it has no tags
        found = "utf-8"
    return str(bytes_to_str(content, _LARGEST.get(found, found)))


def _codec(charset: str) -> str | None:
    """Return Python's name of the encoding that a web page calls `charset`; None if it is
    unknown.
    """
    from resiliparse.parse.encoding import map_encoding_to_html5

    if name := map_encoding_to_html5(charset, fallback_utf8=False):
        return str(name)
    try:
        return codecs.lookup(charset).name if _CODE_PAGE.fullmatch(charset) else None
    except LookupError:
        return None


def _is_utf8(content: bytes) -> bool:
    # of UTF-16, and of ISO-2022-JP, whose bytes are all ASCII
    """Return True if the bytes of a page are valid UTF-8, and not another encoding that only looks
    like it.
    """
    if b"\0" in content or b"\x1b" in content:
        return False
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _pages(url: str, options: ReadOptions) -> Iterator[_Page]:
    """Yield the pages of a web archive, with the position of each record."""
    from warcio.archiveiterator import ArchiveIterator

    archive = ArchiveIterator(_Stream(read_blocks(url)))
    records = iter(archive)
    while True:
        errors = archive.err_count
        with _damage_as_error():
            record = next(records, None)
            if record is None:
                return
            page = _page(record, options)
            start = archive.get_record_offset()  # reads to the record's end
        if page is not None:
            stray = archive.err_count > errors
            problem = (
                "expected a blank line after the record, got more: its Content-Length is wrong"
            )
            page = page._replace(problem=problem if stray else page.problem)
            yield page._replace(start=start, end=start + archive.get_record_length())


@contextmanager
def _damage_as_error() -> Iterator[None]:
    """Turn any error of warcio in the block into a DamagedFileError, and suppress what warcio
    prints.
    """
    try:
        with redirect_stderr(io.StringIO()):
            yield
    except (DamagedFileError, OSError, ImportError, MemoryError):
        raise
    except Exception as error:
        raise DamagedFileError(
            f"expected a WARC record, got something else: {one_line(error)}"
        ) from error


def _page(record: Any, options: ReadOptions) -> _Page | None:
    """Return the page in a record of a web archive; None if the record is of another kind."""
    longest = options.max_record_bytes
    headers = record.http_headers if record.rec_type == "response" else record.rec_headers
    if record.rec_type not in ("conversion", "response") or headers is None:
        return None
    if record.rec_type == "response" and headers.get_statuscode() != "200":
        return None
    media_type, _, parameters = (headers.get_header("Content-Type") or "").lower().partition(";")
    if media_type.strip() not in _TEXT + _HTML:
        return None
    pieces = list(_pieces(record.content_stream(), longest))
    problem = ""
    if sum(map(len, pieces)) > longest:
        pieces, problem = [], longer_than(longest)
    elif getattr(record.raw_stream, "limit", 0):
        problem = "expected a whole record, got its beginning: the file ends there"
    name = record.rec_headers.get_header("WARC-Record-ID") or ""
    lang = (record.rec_headers.get_header(options.lang_field or "") or "").partition(",")[0].strip()
    charset = parameters.partition("charset=")[2].partition(";")[0].strip(" \"'")
    return _Page(name, lang, media_type.strip(), charset, b"".join(pieces), problem)


def _pieces(stream: Any, longest: int) -> Iterator[bytes]:
    """Yield pieces of a stream, until a little more than `longest` bytes are read."""
    size = 0
    while size <= longest and (piece := stream.read(_PIECE_BYTES)):
        size += len(piece)
        yield piece


class _Stream(io.RawIOBase):
    """File object that reads from an iterable of blocks of bytes."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._block, self._at = b"", 0

    def read(self, size: int = -1) -> bytes:
        while self._at == len(self._block):
            block = next(self._blocks, None)
            if block is None:
                return b""
            self._block, self._at = block, 0
        start = self._at
        self._at = len(self._block) if size < 0 else min(start + size, len(self._block))
        return self._block[start : self._at]
