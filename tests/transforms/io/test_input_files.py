from __future__ import annotations

import gzip
import os
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFile

from noisebeam.transforms.formats import ReadOptions
from noisebeam.transforms.io.file_names import InputError, name_endings
from noisebeam.transforms.io.input_files import (
    FilePart,
    expand_inputs,
    read_blocks,
    read_range,
    split_file,
)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for name in ("b.jsonl", "a.jsonl", "deep/er/c.jsonl", "notes.txt", "[odd].jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def names(urls: list[str], folder: Path) -> list[str]:
    return [os.path.relpath(url, folder) for url in urls]


def test_patterns_give_sorted_unique_files(corpus: Path) -> None:
    found = expand_inputs([f"{corpus}/b*.jsonl", f"{corpus}/?.jsonl", f"{corpus}/a.jsonl"])
    assert names(found, corpus) == ["a.jsonl", "b.jsonl"]


def test_two_stars_find_files_in_any_folder_and_no_folders(corpus: Path) -> None:
    found = names(expand_inputs([f"{corpus}/**"]), corpus)
    assert found == ["[odd].jsonl", "a.jsonl", "b.jsonl", "deep/er/c.jsonl", "notes.txt"]


def test_a_name_with_brackets_is_found_as_it_stands(corpus: Path) -> None:
    assert names(expand_inputs([f"{corpus}/[odd].jsonl"]), corpus) == ["[odd].jsonl"]


def test_relative_paths_come_back_absolute(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(corpus)
    assert expand_inputs(["a.jsonl"]) == [str(corpus / "a.jsonl")]


def test_urls_keep_their_protocol() -> None:
    fsspec.filesystem("memory").pipe({"/urls/x.jsonl": b"x", "/urls/y.jsonl": b"y"})
    assert expand_inputs(["memory://urls/*.jsonl"]) == [
        "memory:///urls/x.jsonl",
        "memory:///urls/y.jsonl",
    ]
    assert b"".join(read_blocks("memory:///urls/y.jsonl")) == b"y"


def test_files_inside_an_archive_are_found_and_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("in/a.jsonl", "one")
        archive.writestr("in/b.txt", "two")
    (found,) = expand_inputs([f"zip://in/*.jsonl::{tmp_path}/all.zip"])
    assert found.startswith("zip://")
    assert b"".join(read_blocks(found)) == b"one"
    assert name_endings(found) == (".jsonl", "")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{}/none*.jsonl", r"^input: '.*/none\*\.jsonl' matches no file$"),
        ("{}/none.jsonl", r"^input: '.*/none\.jsonl' matches no file$"),
        ("{}/deep", r"^input: '.*/deep' is a folder without a file of a known format; give"),
        ("nowhere://x", r"^input: cannot open 'nowhere://x': Protocol not known: nowhere$"),
    ],
)
def test_a_pattern_without_files_is_an_error(corpus: Path, pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        expand_inputs([f"{corpus}/a.jsonl", pattern.format(corpus)], lambda url: False)


def test_a_file_is_split_into_ranges_that_cover_it(tmp_path: Path) -> None:
    path = str(tmp_path / "x.jsonl")
    Path(path).write_bytes(b"x" * 25)
    assert split_file(path, 10) == [
        FilePart(path, 0, 10),
        FilePart(path, 10, 20),
        FilePart(path, 20, None),
    ]
    assert split_file(path, 25) == [FilePart(path, 0, None)]
    Path(path).write_bytes(b"")
    assert split_file(path, 10) == [FilePart(path, 0, None)]


@pytest.fixture
def web_server(tmp_path: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_web_server_without_ranges_is_read_from_the_beginning(
    tmp_path: Path, web_server: str
) -> None:
    pytest.importorskip("aiohttp", reason="fsspec reads http with aiohttp")
    content = os.urandom(3_000_000)
    (tmp_path / "a.jsonl").write_bytes(content)
    (url,) = expand_inputs([f"{web_server}/a.jsonl"])
    assert split_file(url, 1000) == [FilePart(url)]
    assert b"".join(read_blocks(url)) == content


def test_a_file_on_the_web_may_take_any_time_to_read(
    tmp_path: Path, web_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    aiohttp = pytest.importorskip("aiohttp", reason="fsspec reads http with aiohttp")
    monkeypatch.setattr(aiohttp.client, "DEFAULT_TIMEOUT", aiohttp.ClientTimeout(total=0.1))
    fsspec.filesystem("http").clear_instance_cache()
    (tmp_path / "a.jsonl").write_bytes(bytes(20_000_000))
    blocks = read_blocks(f"{web_server}/a.jsonl")
    first = len(next(blocks))
    time.sleep(0.3)
    assert first + sum(map(len, blocks)) == 20_000_000


def test_a_silent_store_is_an_error_that_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.filesystem("memory").pipe("memory:///silent/x.jsonl", b"x")
    monkeypatch.setattr(MemoryFile, "read", lambda *_: time.sleep(2))
    monkeypatch.setattr("noisebeam.transforms.io.timeouts.SHORTEST_DEADLINE", 0.1)
    with pytest.raises(
        OSError, match=r"^cannot read memory:///silent/x\.jsonl: no answer in 1\.1 seconds$"
    ):
        list(read_blocks("memory:///silent/x.jsonl"))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_range_of_bytes_is_that_of_the_content(ending: str) -> None:
    content = os.urandom(3_000_000)
    url = f"memory:///ranges/x{ending}"
    fsspec.filesystem("memory").pipe(url, gzip.compress(content, 0) if ending else content)
    for start, end in ((0, 5), (7, 7), (1_048_570, 1_048_590), (2_999_990, 3_000_000)):
        assert read_range(url, start, end) == content[start:end]


def test_a_folder_means_its_files_of_a_known_format(tmp_path: Path) -> None:
    """Those of WikiExtractor have no ending; hidden files and marks of Spark are left out."""
    names_ = ("AA/wiki_00", "AA/wiki_01.bz2", "b.jsonl.gz", "c.csv", "_SUCCESS", ".d.jsonl")
    for name in names_:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    automatic, text = ReadOptions(), ReadOptions(format="text")
    found = names(expand_inputs([str(tmp_path)], automatic.is_input), tmp_path)
    assert found == ["AA/wiki_00", "AA/wiki_01.bz2", "b.jsonl.gz"]
    found = names(expand_inputs([str(tmp_path)], text.is_input), tmp_path)
    assert found == ["AA/wiki_00", "AA/wiki_01.bz2", "b.jsonl.gz", "c.csv"]
    assert automatic.format_of(f"{tmp_path}/AA/wiki_01.bz2") == "jsonl"
