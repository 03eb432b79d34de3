from __future__ import annotations

import base64
import gzip
import json
import pickle
import time
import tracemalloc
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.data.documents import DeadLetter, Document
from noisebeam.transforms.formats import ReadOptions, lines, read_documents, split_inputs
from noisebeam.transforms.io import input_files as files
from noisebeam.transforms.io.file_names import InputError
from noisebeam.transforms.io.input_files import FilePart

URL = "memory:///documents/file"
Records = list[Document | DeadLetter]


def read(content: bytes, ending: str = ".jsonl", options: ReadOptions | None = None) -> Records:
    fsspec.filesystem("memory").pipe(URL + ending, content)
    return list(read_documents(FilePart(URL + ending), options or ReadOptions()))


def dead(content: bytes, ending: str = ".jsonl", options: ReadOptions | None = None) -> DeadLetter:
    (letter,) = read(content, ending, options)
    assert isinstance(letter, DeadLetter)
    return letter


def test_lines_of_json_become_documents() -> None:
    content = (
        b'{"id": "a", "text": "One."}\n\n  \r\n{"text": "\\u4f60\\ud83d\\ude00", "id": 12, '
        b'"more": [1]}\r\n'
    )
    assert read(content) == [Document("a", "One."), Document("12", "你😀")]


def test_fields_are_selectable() -> None:
    options = ReadOptions(text_field="body", id_field="name")
    assert read(b'{"name": "x", "body": "One.", "text": 3}', options=options) == [
        Document("x", "One.")
    ]


@pytest.mark.parametrize(
    ("value", "lang"),
    [
        ('"zho_Hans"', "zh"),
        ('"de"', "de"),
        ('"tlh"', "tlh"),
        ('"Deutsch"', None),
        ("null", None),
        ("7", None),
    ],
)
def test_a_field_names_the_language(value: str, lang: str | None) -> None:
    record = f'{{"id": 1, "text": "One.", "language": {value}}}'.encode()
    assert read(record, options=ReadOptions(lang_field="language")) == [Document("1", "One.", lang)]
    assert read(record) == [Document("1", "One.")]


@pytest.mark.parametrize("record", [b'{"text": "One."}', b'{"id": null, "text": "One."}'])
def test_a_missing_id_is_a_hash_of_the_text(record: bytes) -> None:
    assert read(record) == [Document("dcc47be7abc04d47807ee464d18fba2d", "One.")]


def test_a_byte_order_mark_is_dropped_and_positions_count_it() -> None:
    documents = read(b'\xef\xbb\xbf{"text": "One.", "id": 1}\nbad')
    assert documents[0] == Document("1", "One.")
    assert isinstance(documents[1], DeadLetter)
    assert documents[1].position == 29


def test_a_text_file_is_one_document() -> None:
    assert [
        d.text for d in read(b"\xef\xbb\xbfOne.\r\n\r\nTwo.\n", ".txt") if isinstance(d, Document)
    ] == ["One.\r\n\r\nTwo.\n"]


def test_paragraphs_are_separated_by_blank_lines() -> None:
    content = b"\xef\xbb\xbf\r\n\nOne.\r\nStill one.\r\n\r\n \t\nTwo.\n\xff\n\n\nThree."
    documents = read(content, ".txt", ReadOptions(format="paragraphs"))
    assert [d.text if isinstance(d, Document) else (d.position, d.record) for d in documents] == [
        "One.\r\nStill one.",
        (29, b"Two.\n\xff"),
        "Three.",
    ]


BAD_RECORDS = [
    (
        b"{'text': 1}",
        "expected JSON, got something else: Expecting property name enclosed in double quotes "
        "(character 1)",
    ),
    (
        b'{"text": "cut',
        "expected JSON, got something else: Unterminated string starting at (character 9)",
    ),
    (
        b'{"text": "a\0b"}',
        "expected JSON, got something else: Invalid control character at (character 11)",
    ),
    (b"[" * 200_000, "expected JSON, got too many nested brackets"),
    (b"1" * 5000, "expected JSON, got something else: Exceeds the limit"),
    (b"[1]", "expected a JSON object, got an array"),
    (b'"text"', "expected a JSON object, got a string"),
    (b"null", "expected a JSON object, got null"),
    (b"{}", "expected a text in field 'text', got the fields: none"),
    (b'{"Text": "a", "id": 1}', "expected a text in field 'text', got the fields: 'Text', 'id'"),
    (b'{"text": null}', "expected a string in field 'text', got null"),
    (b'{"text": true}', "expected a string in field 'text', got true"),
    (b'{"text": 1.5}', "expected a string in field 'text', got a number"),
    (b'{"text": {"a": 1}}', "expected a string in field 'text', got an object"),
    (b'{"text": ""}', "expected a text, got an empty one"),
    (b'{"text": " \\n\\t\\u00a0\\u3000"}', "expected a text, got white space only"),
    (b'{"text": "a\xff"}', "expected UTF-8, got 0xff at byte 11 (invalid start byte)"),
    (b'{"text": "\xe4\xbd', "expected UTF-8, got 0xe4 at byte 10 (unexpected end of data)"),
    (
        b'{"text": "\xed\xa0\x80"}',
        "expected UTF-8, got 0xed at byte 10 (invalid continuation byte)",
    ),
    (b'{"text": "a\\ud800b"}', "expected text without lone surrogates, got U+D800 at character 1"),
    (
        b'{"text": "a", "id": "\\udfff"}',
        "expected id without lone surrogates, got U+DFFF at character 0",
    ),
    (b'{"text": "a\\u0000b"}', "expected text without NUL, got one at character 1"),
    (b'{"text": "a", "id": "b\\u0000"}', "expected id without NUL, got one at character 1"),
    (b'{"text": "a", "id": 1.5}', "expected a string or an integer in field 'id', got a number"),
    (b'{"text": "a", "id": false}', "expected a string or an integer in field 'id', got false"),
    (b'{"text": "a", "id": ["b"]}', "expected a string or an integer in field 'id', got an array"),
]


@pytest.mark.parametrize(("record", "reason"), BAD_RECORDS, ids=lambda value: repr(value[:30]))
def test_a_bad_record_is_a_dead_letter_between_good_ones(record: bytes, reason: str) -> None:
    good = b'{"text": "Good.", "id": 1}\n'
    first, letter, last = read(good + record + b"\r\n" + good)
    assert first == last == Document("1", "Good.")
    assert isinstance(letter, DeadLetter)
    assert letter == DeadLetter(URL + ".jsonl", len(good), letter.reason, record)
    assert letter.reason.startswith(reason)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "expected a text, got an empty one"),
        (b" \n\n", "expected a text, got white space only"),
        (b"ab\xff\n", "expected UTF-8, got 0xff at byte 2 (invalid start byte)"),
        (b"ab\0", "expected text without NUL, got one at character 2"),
    ],
)
def test_a_bad_text_file_is_a_dead_letter_whole(content: bytes, reason: str) -> None:
    assert dead(content, ".txt") == DeadLetter(URL + ".txt", 0, reason, content)


def test_an_empty_file_of_lines_has_no_records() -> None:
    assert read(b"") == read(b"\n\n") == read(gzip.compress(b""), ".jsonl.gz") == []


@pytest.mark.parametrize("record", [b"plain", '你\n"'.encode(), b"\xff\x00", b"", None])
def test_dead_letters_hold_the_record_whole_as_one_line(record: bytes | None) -> None:
    line = DeadLetter("s3://b/a.jsonl", 5, "why", record).to_json()
    fields = json.loads(line)
    if "record_base64" in fields:
        assert base64.b64decode(fields.pop("record_base64")) == record
    else:
        assert fields.pop("record") == (None if record is None else record.decode())
    assert "\n" not in line
    assert fields == {"source": "s3://b/a.jsonl", "position": 5, "reason": "why"}


def test_a_truncated_gzip_gives_its_records_the_cut_one_and_the_file() -> None:
    lines = [json.dumps({"id": i, "text": f"{i} text " * 20}).encode() for i in range(2000)]
    file = gzip.compress(b"\n".join(lines))
    *documents, cut, whole = read(file[: len(file) // 2], ".jsonl.gz")
    assert len(documents) > 100
    assert [document.id for document in documents if isinstance(document, Document)] == [
        str(i) for i in range(len(documents))
    ]
    position = sum(len(line) + 1 for line in lines[: len(documents)])
    assert isinstance(cut, DeadLetter)
    assert cut.record is not None
    assert (cut.position, cut.reason) == (
        position,
        "expected a whole record, got its beginning: the file is damaged here",
    )
    assert lines[len(documents)].startswith(cut.record)
    assert whole == DeadLetter(
        URL + ".jsonl.gz",
        None,
        f"the gzip stream ends too early, after {position + len(cut.record)} bytes of content; "
        "records before that are read, those after it are lost",
        None,
    )


@pytest.mark.parametrize(("form", "records"), [("text", 2), ("paragraphs", 3)])
def test_a_truncated_gzip_of_text_gives_no_document_that_is_cut(form: str, records: int) -> None:
    file = gzip.compress(b"One.\n\nTwo, which is whole.", compresslevel=0)
    got = read(file[:-9], ".txt.gz", ReadOptions(format=form))
    assert [type(record).__name__ for record in got] == ["Document"] * (records - 2) + [
        "DeadLetter"
    ] * 2
    assert isinstance(got[-2], DeadLetter)
    assert got[-2].record is not None
    assert got[-2].record.endswith(b"Two, which is whole")


def test_a_missing_file_stays_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        list(read_documents(FilePart("memory:///nothing/here.jsonl"), ReadOptions()))


line_ends = st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n \r\n"])
texts = st.text(min_size=1, max_size=12).map(
    lambda text: json.dumps({"text": "x" + text}, ensure_ascii=False)
)
raw_lines = st.one_of(
    texts.map(lambda text: text.encode("utf-8", "surrogatepass")), st.binary(max_size=8)
)


@given(
    st.lists(st.tuples(raw_lines, line_ends), max_size=8),
    raw_lines,
    st.booleans(),
    st.integers(1, 60),
    st.integers(1, 20),
)
def test_parts_and_blocks_of_any_size_hold_every_record_once(
    lines: list[tuple[bytes, bytes]], last: bytes, has_mark: bool, part_bytes: int, block_bytes: int
) -> None:
    content = b"\xef\xbb\xbf" * has_mark + b"".join(line + end for line, end in lines) + last
    whole = read(content)
    parts = split_inputs([URL + ".jsonl"], ReadOptions(), part_bytes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_BLOCK_BYTES", block_bytes)
        assert [record for part in parts for record in read_documents(part, ReadOptions())] == whole


@given(
    st.lists(
        st.sampled_from([b"", b" ", b"\t \r", b"one", b"two words", b" x", b"\xef\xbb\xbf"]),
        max_size=12,
    ),
    st.booleans(),
    st.integers(1, 12),
    st.integers(1, 5),
    st.sampled_from([5, 1000]),
)
def test_parts_of_any_size_hold_every_paragraph_once(
    written: list[bytes], has_mark: bool, part_bytes: int, look_back: int, longest: int
) -> None:
    options = ReadOptions(format="paragraphs", max_record_bytes=longest)
    whole = read(b"\xef\xbb\xbf" * has_mark + b"\n".join(written), ".txt", options)
    parts = split_inputs([URL + ".txt"], options, part_bytes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_LOOK_BACK_BYTES", look_back)
        assert [record for part in parts for record in read_documents(part, options)] == whole


@pytest.mark.parametrize("ending", [".jsonl", ".paragraphs"])
def test_a_line_that_runs_through_many_parts_is_read_by_its_own(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the parts of a file of one line would read it as often as there are parts."""
    path, options = (
        tmp_path / f"a{ending}",
        ReadOptions(format="jsonl" if ending == ".jsonl" else "paragraphs"),
    )
    texts = ["first", "long " * 20_000, "last"]
    written = (
        [json.dumps({"id": text[:5], "text": text}) for text in texts]
        if ending == ".jsonl"
        else texts
    )
    path.write_text("\n\n".join(written))
    monkeypatch.setattr(files, "_BLOCK_BYTES", 100)
    read = []
    monkeypatch.setattr(
        lines,
        "read_blocks",
        lambda *where: (read.append(len(b)) or b for b in files.read_blocks(*where)),
    )
    parts = split_inputs([str(path)], options, part_bytes=1000)
    documents = [document for part in parts for document in read_documents(part, options)]
    assert [document.text.split()[0] for document in documents] == ["first", "long", "last"]
    assert len(parts) > 100
    # its own, one part before it, and every part a look at itself
    assert sum(read) < 3.5 * path.stat().st_size


@given(st.lists(raw_lines, max_size=8))
def test_no_line_vanishes(lines: list[bytes]) -> None:
    content = b"\n" + b"\n".join(lines)
    expected = [line for line in content.split(b"\n") if line.strip()]
    assert len(read(content)) == len(expected)


def test_compressed_files_and_text_files_stay_whole(tmp_path: Path) -> None:
    urls = [str(tmp_path / name) for name in ("a.jsonl.gz", "b.txt", "c.jsonl")]
    for url in urls:
        Path(url).write_bytes(b"x" * 20)
    parts = split_inputs(urls, ReadOptions(), part_bytes=10)
    assert parts == [
        FilePart(urls[0]),
        FilePart(urls[1]),
        FilePart(urls[2], 0, 10),
        FilePart(urls[2], 10, None),
    ]


def test_a_small_corpus_has_parts_for_many_workers_too(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_bytes(b"x" * (3 * 2**20 + 5))
    parts = split_inputs([str(tmp_path / name) for name in ("a.jsonl", "b.jsonl")], ReadOptions())
    assert [(part.start, part.end) for part in parts] == 2 * [
        (0, 2**20),
        (2**20, 2**21),
        (2**21, 3 * 2**20),
        (3 * 2**20, None),
    ]


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.JSONL", "jsonl"),
        ("a.ndjson.gz", "jsonl"),
        ("a.json", "jsonl"),
        ("a.b.txt.gz", "text"),
        ("s3://b/a.md", "text"),
    ],
)
def test_the_format_follows_the_name(name: str, form: str) -> None:
    assert ReadOptions().format_of(name) == form


@pytest.mark.parametrize("name", ["corpus", "a.gz", "a.csv", "folder.jsonl/a"])
def test_a_name_that_tells_no_format_is_an_error(name: str) -> None:
    with pytest.raises(
        InputError, match=rf"^format: expected a name ending in .*, got '{name}'; .* with --format$"
    ):
        split_inputs([name], ReadOptions())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"format": "csv"},
            "^format: expected one of auto, jsonl, text, paragraphs, parquet, warc, got 'csv'$",
        ),
        ({"text_field": ""}, "^text_field: expected the name of a field, got ''$"),
        ({"lang_field": ""}, "^lang_field: expected the name of a field, got ''$"),
        (
            {"lang_field": "l", "format": "text"},
            "^lang_field: expected only where records have fields, got it with 't",
        ),
        (
            {"id_field": "text"},
            "^id_field: expected another field than text_field, got 'text' for both$",
        ),
    ],
)
def test_nonsensical_options_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReadOptions(**settings)


def test_options_travel_to_workers() -> None:
    options = ReadOptions(format="jsonl", text_field="body")
    assert pickle.loads(pickle.dumps(options)) == options


def test_a_document_of_20_megabytes_is_read_in_seconds() -> None:
    text = "word " * 4_000_000
    content = json.dumps({"id": "big", "text": text}).encode()
    began = time.monotonic()
    assert read(content) == [Document("big", text)]
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("ending", [".jsonl", ".txt"])
def test_of_a_large_record_only_its_document_stays_in_memory(ending: str, tmp_path: Path) -> None:
    text = "word " * 4_000_000
    path = tmp_path / f"large{ending}"
    path.write_text(json.dumps({"text": text}) if ending == ".jsonl" else text, encoding="utf-8")
    records = read_documents(FilePart(str(path)), ReadOptions())
    tracemalloc.start()
    document = next(records)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(document, Document)
    assert len(document.text) < held < 1.3 * len(text)


def test_real_documents_are_read_whole(shared: Path) -> None:
    url = str(shared / "corpora/zh_docs.jsonl.gz")
    with gzip.open(url) as file:
        expected = [Document(value["id"], value["text"]) for value in map(json.loads, file)]
    assert list(read_documents(FilePart(url), ReadOptions())) == expected
