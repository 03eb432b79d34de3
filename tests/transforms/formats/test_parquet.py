from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from noisebeam.transforms.data.documents import DeadLetter, Document
from noisebeam.transforms.formats import ReadOptions, read_documents, split_inputs
from noisebeam.transforms.formats.record import record_of
from noisebeam.transforms.io.input_files import FilePart, expand_inputs

COLUMNS: dict[str, list[Any]] = {
    "id": [1, None, 3, 4, 5],
    "text": ["One.", "Two 你好.", None, " \n", "Five."],
    "score": [0.5, 0.25, 0.125, None, 2.0],
}


def write(path: Path, columns: dict[str, Any], row_group_size: int = 2, **settings: Any) -> str:
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size, **settings)
    return str(path)


def read(url: str, options: ReadOptions | None = None) -> list[Document | DeadLetter]:
    return list(read_documents(FilePart(url), options or ReadOptions()))


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
def test_rows_become_documents_and_bad_rows_dead_letters_whole(
    tmp_path: Path, compression: str
) -> None:
    url = write(tmp_path / "a.parquet", COLUMNS, compression=compression)
    first, second, third, fourth, fifth = read(url)
    assert first == Document("1", "One.")
    assert second == Document("7fd3f06fac88e9501ca82d18fc1e9c22", "Two 你好.")
    assert fifth == Document("5", "Five.")
    assert isinstance(third, DeadLetter)
    assert (third.position, third.reason) == (2, "expected a string in field 'text', got null")
    assert json.loads(third.record or b"") == {"id": 3, "text": None, "score": 0.125}
    assert isinstance(fourth, DeadLetter)
    assert (fourth.position, fourth.reason) == (3, "expected a text, got white space only")
    assert json.loads(fourth.record or b"") == {"id": 4, "text": " \n", "score": None}


def test_columns_are_selectable_and_of_any_type_of_string(tmp_path: Path) -> None:
    columns = {
        "body": pa.array(["a", "b", "a"], pa.large_string()).dictionary_encode(),
        "url": pa.array(["x", "y", "z"], pa.string_view()),
    }
    url = write(tmp_path / "a.parquet", columns)
    assert read(url, ReadOptions(text_field="body", id_field="url")) == [
        Document("x", "a"),
        Document("y", "b"),
        Document("z", "a"),
    ]


def test_a_column_names_the_language(tmp_path: Path) -> None:
    columns = {"id": ["1", "2"], "text": ["One.", "Zwei."], "lang": ["eng", None]}
    url = write(tmp_path / "a.parquet", columns)
    assert read(url, ReadOptions(lang_field="lang")) == [
        Document("1", "One.", "en"),
        Document("2", "Zwei."),
    ]
    (letter,) = read(url, ReadOptions(lang_field="language"))
    assert isinstance(letter, DeadLetter)
    assert letter.reason.startswith("expected a column 'language', got id, text, lang; ")


@pytest.mark.parametrize("part_bytes", [1, 300, 10**9])
def test_parts_of_row_groups_hold_every_row_once(tmp_path: Path, part_bytes: int) -> None:
    url = write(
        tmp_path / "a.parquet", {"text": [f"Text {i}." for i in range(1000)]}, row_group_size=70
    )
    parts = split_inputs([url], ReadOptions(), part_bytes)
    found = [document for part in parts for document in read_documents(part, ReadOptions())]
    assert found == read(url)
    assert [document.position for document in found] == list(range(1000))
    assert len(parts) == {1: 15, 10**9: 1}.get(part_bytes, len(parts))
    assert len(parts) > 1 or part_bytes == 10**9


def test_an_empty_file_has_no_documents(tmp_path: Path) -> None:
    url = write(tmp_path / "a.parquet", {"text": pa.array([], pa.string())})
    assert read(url) == []
    assert [
        list(read_documents(part, ReadOptions())) for part in split_inputs([url], ReadOptions())
    ] == [[]]


def test_a_file_without_the_column_says_which_it_has(tmp_path: Path) -> None:
    url = write(tmp_path / "a.parquet", COLUMNS)
    (letter,) = read(url, ReadOptions(text_field="content"))
    assert isinstance(letter, DeadLetter)
    assert letter.record is None
    assert letter.reason.startswith("expected a column 'content', got id, text, score; ")


def test_damage_is_named_wherever_it_is(tmp_path: Path) -> None:
    good = Path(
        write(
            tmp_path / "a.parquet",
            {"text": [f"Text {i} " * 50 for i in range(200)]},
            compression="gzip",
        )
    )
    content = good.read_bytes()
    for damaged in (
        content[: len(content) // 2],
        b"PAR1" + b"x" * 100,
        b"",
        b"PAR1" + b"\xff" * 60 + content[64:],
    ):
        path = tmp_path / "damaged.parquet"
        path.write_bytes(damaged)
        parts = split_inputs([str(path)], ReadOptions())
        *_, last = [record for part in parts for record in read_documents(part, ReadOptions())]
        assert isinstance(last, DeadLetter)
        assert last.reason.startswith("the parquet file is corrupt: ")


def test_a_missing_file_stays_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(str(tmp_path / "none.parquet"))


def test_a_folder_of_parquet_as_hugging_face_writes_it_is_an_input(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("# A data set")
    for i in range(2):
        write(tmp_path / f"data/train-0000{i}-of-00002.parquet", COLUMNS)
    assert [Path(url).name for url in expand_inputs([str(tmp_path)])] == [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]


def test_a_row_has_no_bytes_of_its_own_so_its_record_is_id_and_text(tmp_path: Path) -> None:
    document = read(write(tmp_path / "a.parquet", COLUMNS))[0]
    assert isinstance(document, Document)
    assert record_of(document) == b'{"id": "1", "text": "One."}'


def test_values_that_python_cannot_hold_are_dead_letters_among_good_rows(tmp_path: Path) -> None:
    texts = pa.array([b"Good.", b"b\xff", b"Good.", b"Good.", b""], pa.binary())
    columns = {
        "id": ["1", "2", "3", "4", "5"],
        "text": pa.Array.from_buffers(pa.string(), 5, texts.buffers()),
        "date": pa.array([0, 0, 2**62, 0, 2**62], pa.timestamp("ms")),  # far beyond the year 9999
    }
    found = read(write(tmp_path / "a.parquet", columns, row_group_size=5))
    assert [record.id for record in found if isinstance(record, Document)] == ["1", "3", "4"]
    bad, empty = (record for record in found if isinstance(record, DeadLetter))
    assert (bad.position, bad.reason) == (
        1,
        "expected UTF-8, got 0xff at byte 1 (invalid start byte)",
    )
    assert json.loads(bad.record or b"")["text"] == "b'b\\xff'"
    assert empty.position == 4
    assert json.loads(empty.record or b"")["id"] == "5"


def test_an_id_that_python_cannot_hold_is_a_dead_letter(tmp_path: Path) -> None:
    columns = {"id": pa.array([2**62], pa.timestamp("ms")), "text": ["Text."]}
    (letter,) = read(write(tmp_path / "a.parquet", columns))
    assert isinstance(letter, DeadLetter)
    assert letter.reason.startswith("expected a text and an id, got values that cannot be read: ")


def test_a_column_whose_name_is_no_utf_8_is_damage(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "a.parquet", {"text": ["One."], "column": ["x"]}))
    path.write_bytes(path.read_bytes().replace(b"column", b"colum\xff"))
    (letter,) = read(str(path))
    assert isinstance(letter, DeadLetter)
    assert letter.reason.startswith(
        "the parquet file is corrupt: 'utf-8' codec can't decode byte 0xff"
    )
    assert split_inputs([str(path)], ReadOptions()) == [FilePart(str(path))]
