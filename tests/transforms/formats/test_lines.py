"""Records of files of lines: each is in one part, and none is lost."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import URL, read

from noisebeam.transforms.data.documents import DeadLetter, Document
from noisebeam.transforms.formats import ReadOptions, lines, read_documents, split_inputs
from noisebeam.transforms.formats.record import record_of
from noisebeam.transforms.io import input_files as files
from noisebeam.transforms.io.input_files import FilePart


def test_a_byte_order_mark_is_dropped_and_positions_count_it() -> None:
    documents = read(b'\xef\xbb\xbf{"text": "One.", "id": 1}\nbad')
    assert documents[0] == Document("1", "One.")
    assert isinstance(documents[1], DeadLetter)
    assert documents[1].position == 29


def test_byte_order_marks_of_concatenated_files_are_dropped() -> None:
    one, two = (f'\ufeff{{"id": {i}, "text": "Text {i}."}}\n'.encode() for i in (1, 2))
    documents = read(one + two)
    assert [getattr(found, "text", found) for found in documents] == ["Text 1.", "Text 2."]
    assert documents[1].position == len(one) + 3
    assert [record_of(found) for found in documents] == [one[3:-1], two[3:-1]]


def test_an_empty_file_of_lines_has_no_records() -> None:
    assert read(b"") == read(b"\n\n") == read(gzip.compress(b""), ".jsonl.gz") == []


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
    marked = (line.removeprefix(b"\xef\xbb\xbf") for line in content.split(b"\n"))
    expected = [line for line in marked if line.strip()]
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
