"""Readers and segmenters on any bytes and any text: no crash but the errors that are documented,
and no hang.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import strategies as st
from support.fuzz import EXAMPLES, damaged, fuzz
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from noisebeam.transforms.data.documents import DeadLetter, Document, make_document
from noisebeam.transforms.data.spans import find_broken_law
from noisebeam.transforms.formats import ReadOptions, read_documents, split_inputs
from noisebeam.transforms.segmenters.segmenters import SegmenterOptions, load_segmenter

LINES = b"".join(
    json.dumps({"id": str(i), "text": f"Text {i}. 你好 \U0001f642"}).encode() + b"\n"
    for i in range(8)
)


def parquet() -> bytes:
    buffer = io.BytesIO()
    texts = [f"Text {i}." for i in range(20)] + [None]
    pq.write_table(
        pa.table({"id": list(range(21)), "text": texts}),
        buffer,
        row_group_size=7,
        write_page_checksum=True,
    )
    return buffer.getvalue()


def warc() -> bytes:
    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=False)
    for i in range(3):
        headers = {
            "WARC-Record-ID": f"<urn:{i}>",
            "WARC-Date": "2026-01-01T00:00:00Z",
            "Content-Type": "text/plain",
        }
        content = io.BytesIO(f"Text {i}.\n".encode())
        writer.write_record(
            writer.create_warc_record(
                f"http://a/{i}", "conversion", payload=content, warc_headers_dict=headers
            )
        )
    http = StatusAndHeaders(
        "200 OK", [("Content-Type", "text/html; charset=gbk")], protocol="HTTP/1.0"
    )
    page = io.BytesIO(
        "<html><body><main><p>你好</p><p>Text &amp; more.</p></main></body></html>".encode("gbk")
    )
    writer.write_record(
        writer.create_warc_record("http://a/9", "response", payload=page, http_headers=http)
    )
    return buffer.getvalue()


FILES = {
    ".jsonl": LINES,
    ".txt": LINES,
    ".jsonl.gz": gzip.compress(LINES[:150], mtime=0) + gzip.compress(LINES[150:], mtime=0),
    ".jsonl.bz2": bz2.compress(LINES[:150]) + bz2.compress(LINES[150:]),
    ".jsonl.xz": lzma.compress(LINES[:150]) + bytes(4) + lzma.compress(LINES[150:]),
    ".jsonl.zst": zstandard.compress(LINES[:150]) + zstandard.compress(LINES[150:]),
    ".parquet": parquet(),
    ".warc": warc(),
    ".warc.gz": gzip.compress(warc(), mtime=0),
}


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("ending", FILES)
def test_readers_give_documents_and_dead_letters_of_any_bytes(ending: str, examples: int) -> None:
    url = f"memory:///fuzz/file{ending}"

    def check(content: bytes, part_bytes: int) -> None:
        fsspec.filesystem("memory").pipe(url, content)
        options = ReadOptions(max_record_bytes=1000)
        whole = [
            record
            for part in split_inputs([url], options)
            for record in read_documents(part, options)
        ]
        for record in whole:
            assert isinstance(record, Document | DeadLetter)
            if isinstance(record, Document):
                make_document(record.id, record.text)
            else:
                json.loads(record.to_json())
        parts = split_inputs([url], options, part_bytes)
        divided = [record for part in parts for record in read_documents(part, options)]
        is_damaged = any(
            isinstance(record, DeadLetter) and record.record is None for record in whole + divided
        )
        assert is_damaged or divided == whole

    fuzz(check, examples, damaged(FILES[ending]), st.integers(1, 400))


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-16", "utf-16-le", "utf-32", "gb18030", "shift_jis", "cp1252"]
)
@pytest.mark.parametrize("form", ["jsonl", "text", "paragraphs"])
def test_readers_take_any_bytes_in_any_encoding(form: str, encoding: str, examples: int) -> None:
    def check(content: bytes) -> None:
        fsspec.filesystem("memory").pipe("memory:///fuzz/encoded", content)
        options = ReadOptions(format=form, encoding=encoding, max_record_bytes=1000)
        for part in split_inputs(["memory:///fuzz/encoded"], options):
            assert all(
                isinstance(record, Document | DeadLetter)
                for record in read_documents(part, options)
            )

    fuzz(check, examples // 4, damaged(LINES.decode().encode(encoding, "replace")))


letters = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
pieces = st.sampled_from(
    [
        ".",
        "! ",
        "?\n",
        "\n\n",
        "。",
        "Mr. ",
        "e.g. ",
        "\u200d",
        "\u0301",
        "😀🏽",
        " ",
        "\u2028",
        '"',
        "(",
        "1.5",
    ]
)
documents = st.lists(st.one_of(st.text(letters, max_size=8), pieces), max_size=30).map("".join)


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("name", ["sentencex", "lines"])
def test_segmenters_give_lawful_spans_of_any_text(name: str, examples: int) -> None:
    segmenter = load_segmenter(SegmenterOptions(name=name))

    def check(texts: list[str], lang: str | None) -> None:
        for text, spans in zip(texts, segmenter.segment(texts, [lang] * len(texts)), strict=True):
            assert find_broken_law(text, spans) is None

    langs = st.one_of(
        st.none(), st.sampled_from(["en", "de", "zh", "ja", "ar", "hi", "th", "am", "xx"])
    )
    fuzz(check, examples, st.lists(documents, max_size=3), langs)
