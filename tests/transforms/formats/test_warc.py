from __future__ import annotations

import encodings.aliases
import gzip
import io
from pathlib import Path

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from noisebeam.testing import check_format
from noisebeam.transforms.data.documents import DeadLetter, Document
from noisebeam.transforms.formats import FORMATS, ReadOptions, read_documents
from noisebeam.transforms.formats.record import record_of
from noisebeam.transforms.formats.warc import decode_html
from noisebeam.transforms.io.input_files import FilePart

PAGE = (
    "<html><head><title>T</title></head><body><nav>menu</nav><p>Grüße, "
    "Welt.</p><p>Second.</p></body></html>"
)


def archive(*, compressed: bool = False, texts: int = 2) -> bytes:
    """What a crawl looks like: about the file, then for each page its request, its response, its
    text.
    """
    file = io.BytesIO()
    writer = WARCWriter(file, gzip=compressed)
    writer.write_record(writer.create_warcinfo_record("crawl.warc", {"software": "a crawler"}))
    for i in range(texts):
        url = f"http://example.org/{i}"
        add(
            writer,
            "request",
            url,
            b"GET / HTTP/1.1\r\n\r\n",
            "application/http; msgtype=request",
            i,
        )
        page(writer, url, PAGE.encode("utf-8"), "text/html; charset=utf-8", i)
        page(writer, url + ".png", b"\x89PNG", "image/png", i)
        page(writer, url + "/gone", b"<p>Not found</p>", "text/html", i, status="404 Not Found")
        add(writer, "conversion", url, f"Text {i}.\n你好。".encode(), "text/plain", i)
    return file.getvalue()


def add(
    writer: WARCWriter,
    kind: str,
    url: str,
    payload: bytes,
    media_type: str,
    number: int,
    **others: str,
) -> None:
    headers = {"WARC-Record-ID": f"<urn:uuid:{kind}-{number}>", **others}
    writer.write_record(
        writer.create_warc_record(
            url,
            kind,
            payload=io.BytesIO(payload),
            warc_content_type=media_type,
            warc_headers_dict=headers,
        )
    )


def page(
    writer: WARCWriter, url: str, body: bytes, media_type: str, number: int, status: str = "200 OK"
) -> None:
    http = StatusAndHeaders(status, [("Content-Type", media_type)], protocol="HTTP/1.1")
    headers = {"WARC-Record-ID": f"<urn:uuid:response-{number}>"}
    writer.write_record(
        writer.create_warc_record(
            url, "response", payload=io.BytesIO(body), http_headers=http, warc_headers_dict=headers
        )
    )


def read(
    path: Path, content: bytes, options: ReadOptions | None = None
) -> list[Document | DeadLetter]:
    path.write_bytes(content)
    return list(read_documents(FilePart(str(path)), options or ReadOptions()))


EXPECTED = [
    Document("urn:uuid:response-0", "Grüße, Welt.\n\nSecond."),
    Document("urn:uuid:conversion-0", "Text 0.\n你好。"),
    Document("urn:uuid:response-1", "Grüße, Welt.\n\nSecond."),
    Document("urn:uuid:conversion-1", "Text 1.\n你好。"),
]


def test_pages_and_texts_become_documents(tmp_path: Path) -> None:
    assert read(tmp_path / "a.warc", archive()) == EXPECTED


def test_a_member_a_record_and_one_member_for_all_are_read(tmp_path: Path) -> None:
    assert read(tmp_path / "a.warc.gz", archive(compressed=True)) == EXPECTED
    assert read(tmp_path / "b.wet.gz", gzip.compress(archive())) == EXPECTED


def test_a_page_says_its_encoding_or_it_is_found(tmp_path: Path) -> None:
    file = io.BytesIO()
    writer = WARCWriter(file, gzip=False)
    page(
        writer,
        "http://a",
        "<p>Привет, мир. Это текст.</p>".encode("cp1251"),
        "text/html; charset=windows-1251",
        0,
    )
    page(
        writer,
        "http://b",
        "<p>Привет, мир. Это текст на русском.</p>".encode("koi8-r"),
        "text/html",
        1,
    )
    first, second = read(tmp_path / "a.warc", file.getvalue())
    assert isinstance(first, Document)
    assert first.text == "Привет, мир. Это текст."
    assert isinstance(second, Document)
    assert second.text == "Привет, мир. Это текст на русском."


@pytest.mark.parametrize("charset", ["utf8mb4", "bk", "windows\0-1251", "", "none; charset=koi8-r"])
def test_a_page_of_an_encoding_that_nobody_knows_says_it_itself_or_it_is_found(
    tmp_path: Path, charset: str
) -> None:
    """One such page used to end the build."""
    file, text = io.BytesIO(), "Привет, мир."
    writer = WARCWriter(file, gzip=False)
    html = f"<html><head><meta charset=windows-1251></head><body><p>{text}</p></body></html>"
    page(writer, "http://a", html.encode("cp1251"), f"text/html; charset={charset}", 0)
    page(writer, "http://b", f"<p>{text * 9}</p>".encode(), f"text/html; charset={charset}", 1)
    assert [document.text for document in read(tmp_path / "a.warc", file.getvalue())] == [
        text,
        text * 9,
    ]


@pytest.mark.parametrize(
    ("text", "encoding", "names"),
    [
        ("你好，€𠮷。", "gb18030", ["gb2312", "gbk", "x-gbk", "cp936"]),
        ("한국어 똠방각하", "cp949", ["euc-kr", "ks_c_5601-1987", "cp949", "ms949", "uhc"]),
        ("①㈱髙 日本", "cp932", ["shift_jis", "sjis", "cp932"]),
        ("香港㗎", "big5hkscs", ["big5", "big5-hkscs"]),
        ("“Café” €", "cp1252", ["iso-8859-1", "latin1", "ascii"]),
        ("Café", "utf-8-sig", ["utf-8", "iso-8859-1", ""]),
        ("Café", "utf-16", ["utf-16", "utf-8", ""]),
        ("Café", "utf-8", ["utf-8", "utf-16", "", "utf8mb4", "idna", "hex"]),
        ("こんにちは", "iso2022_jp", ["iso-2022-jp"]),
    ],
)
@pytest.mark.parametrize("meta", ["", "utf-16", "iso-8859-1"])
def test_a_page_is_decoded_as_browsers_do(
    text: str, encoding: str, names: list[str], meta: str
) -> None:
    page = f"<meta charset={meta}><p>{text}</p>"
    assert [decode_html(page.encode(encoding), name) for name in names] == [page] * len(names)


def test_a_page_without_a_header_is_what_it_says_or_looks_like() -> None:
    for encoding, name in [
        ("cp1251", "windows-1251"),
        ("gb18030", "gb2312"),
        ("iso2022_jp", "iso-2022-jp"),
    ]:
        page = f"<meta charset={name}><p>Привет</p>"
        assert decode_html(page.encode(encoding)) == page
    assert decode_html("<p>こんにちは</p>".encode("iso2022_jp")) == "<p>こんにちは</p>"


def test_no_encoding_that_anybody_may_name_ends_a_build() -> None:
    names = {
        *encodings.aliases.aliases,
        *encodings.aliases.aliases.values(),
        "none",
        "ünï",
        "\0",
        "cp99999",
        "x" * 5000,
    }
    contents = [
        bytes(range(256)),
        b"\xff\xfe\0\0\xd8",
        b"",
        b"<meta charset=hex>\xe9",
        "é".encode("utf-32"),
    ]
    assert all(
        isinstance(decode_html(content, name), str) for name in names for content in contents
    )


def test_a_text_that_is_no_document_is_a_dead_letter_whole(tmp_path: Path) -> None:
    file = io.BytesIO()
    writer = WARCWriter(file, gzip=False)
    add(writer, "conversion", "http://a", b"bad \xff text", "text/plain", 0)
    add(writer, "conversion", "http://a", b"Good text.", "text/plain", 1)
    letter, document = read(tmp_path / "a.warc", file.getvalue())
    assert document == Document("urn:uuid:conversion-1", "Good text.")
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "expected UTF-8, got 0xff at byte 4 (invalid start byte)"
    assert (letter.record or b"").startswith(b"WARC/1.0\r\n")
    assert (letter.record or b"").endswith(b"bad \xff text")


@pytest.mark.parametrize("compressed", [False, True])
def test_the_record_of_a_document_can_be_read_again(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / ("a.warc.gz" if compressed else "a.warc")
    documents = read(path, archive(compressed=compressed))
    assert isinstance(documents[1], Document)
    record = record_of(documents[1])
    assert record.startswith(b"WARC/1.0\r\n")
    assert "Text 0.\n你好。".encode() in record


def test_a_file_that_ends_within_a_record_says_so(tmp_path: Path) -> None:
    content = archive()
    *before, last = read(tmp_path / "a.warc", content[: content.rindex(b"Text 1.") + 4])
    assert before == EXPECTED[:3]
    assert isinstance(last, DeadLetter)
    assert last.reason == "expected a whole record, got its beginning: the file ends there"
    assert (last.record or b"").endswith(b"Text")


def test_a_wrong_content_length_is_found(tmp_path: Path) -> None:
    content = archive().replace(b"Content-Length: 17\r\n", b"Content-Length: 10\r\n", 1)
    letter = read(tmp_path / "a.warc", content)[1]
    assert isinstance(letter, DeadLetter)
    assert (
        letter.reason
        == "expected a blank line after the record, got more: its Content-Length is wrong"
    )


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    (letter,) = read(tmp_path / "a.warc", b"Some text.\nAnd more.\n")
    assert isinstance(letter, DeadLetter)
    assert letter.record is None
    assert letter.reason.startswith("expected a WARC record, got something else: ")


def test_a_record_over_the_limit_is_not_held(tmp_path: Path) -> None:
    letter = read(tmp_path / "a.warc", archive(), ReadOptions(max_record_bytes=12))[1]
    assert isinstance(letter, DeadLetter)
    assert (
        letter.reason
        == "expected a record of at most 12 bytes, got a longer one, whose beginning this is"
    )


def test_a_file_that_ends_within_the_headers_of_a_record_gives_what_comes_before(
    tmp_path: Path,
) -> None:
    whole = archive(texts=1)
    end = whole.index(b"WARC-Type: response") + len(b"WARC-Type: response\r\n")
    for cut in (whole[:end], whole[:end] + b"\r\n"):
        assert [
            record for record in read(tmp_path / "a.warc", cut) if isinstance(record, Document)
        ] == []
    rest = whole[whole.index(b"WARC/1.0", end) :]
    found = read(tmp_path / "b.warc", rest + whole[:end])
    assert [record.id for record in found if isinstance(record, Document)] == [
        "urn:uuid:conversion-0"
    ]
    damage = found[-1]
    assert isinstance(damage, DeadLetter)
    assert damage.record is None
    assert damage.reason.startswith("expected a WARC record, got something else: ")


@pytest.mark.parametrize(
    ("languages", "lang"),
    [("zho", "zh"), ("deu,eng", "de"), ("", None), ("unknown", None), (None, None)],
)
def test_a_header_names_the_language(
    languages: str | None, lang: str | None, tmp_path: Path
) -> None:
    file, name = io.BytesIO(), "WARC-Identified-Content-Language"
    others = {} if languages is None else {name: languages}
    add(
        WARCWriter(file, gzip=True),
        "conversion",
        "http://example.org",
        b"A text.",
        "text/plain",
        0,
        **others,
    )
    for field, expected in ((name, lang), (None, None)):
        (document,) = read(tmp_path / "a.wet.gz", file.getvalue(), ReadOptions(lang_field=field))
        assert isinstance(document, Document)
        assert document.lang == expected


@pytest.mark.parametrize("compressed", [False, True])
def test_archives_obey_the_laws_of_formats(compressed: bool) -> None:
    ending = ".warc.gz" if compressed else ".warc"
    check_format(FORMATS["warc"], archive(compressed=compressed), ending=ending, damages=40)
