import os
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from noisebeam.transforms.io import storage


@pytest.fixture(params=["local", "file", "memory"])
def folder(request, tmp_path):
    return {
        "local": str(tmp_path),
        "file": f"file://{tmp_path}",
        "memory": f"memory://{uuid4().hex}",
    }[request.param]


def test_a_published_file_reads_back_and_can_be_replaced(folder):
    url = storage.join(folder, "deep/er/a.bin")
    assert not storage.exists(url)
    storage.publish(url, b"one")
    storage.publish(url, b"two")
    assert storage.exists(url)
    assert storage.read_bytes(url) == b"two"


def test_list_names_gives_files_only_in_order(folder):
    for name in ("b", "a", "sub/c"):
        storage.publish(storage.join(folder, name), b"")
    assert storage.list_names(folder) == ["a", "b"]
    assert storage.list_names(storage.join(folder, "absent")) == []


def test_remove_is_fine_with_an_absent_file(folder):
    url = storage.join(folder, "a")
    storage.publish(url, b"")
    storage.remove(url)
    storage.remove(url)
    assert not storage.exists(url)


def test_reading_an_absent_file_is_file_not_found(folder):
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(storage.join(folder, "absent"))


def test_check_writable_leaves_nothing_behind(folder):
    storage.check_writable(storage.join(folder, "out"))
    assert storage.list_names(storage.join(folder, "out")) == []


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    storage.publish(str(path), b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        storage.publish(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_writers_of_the_same_file_do_not_disturb_each_other(tmp_path):
    path = str(tmp_path / "a.bin")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: storage.publish(path, b"same" * 1000), range(64)))
    assert os.listdir(tmp_path) == ["a.bin"]
    assert storage.read_bytes(path) == b"same" * 1000


def test_a_file_is_as_readable_as_the_umask_allows(tmp_path):
    storage.publish(str(tmp_path / "a"), b"")
    (tmp_path / "b").write_bytes(b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("{path}/file/out", "Not a directory"),
        ("/proc/out", "No such file or directory"),
        ("nosuchscheme://bucket/out", "Protocol not known: nosuchscheme"),
        ("http://127.0.0.1:9/out", ""),
    ],
)
def test_an_unwritable_output_is_named_in_one_line(tmp_path, url, reason):
    (tmp_path / "file").write_bytes(b"")
    url = url.format(path=tmp_path)
    with pytest.raises(OSError, match="cannot write to") as caught:
        storage.check_writable(url)
    text = str(caught.value)
    assert url in text
    assert reason in text
    assert "\n" not in text
    assert text.endswith("give an output folder that you may write to")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/data/set", "/data/set"),
        ("file:///data/set", "/data/set"),
        ("memory://set", None),
        ("s3://bucket/set", None),
    ],
)
def test_local_path_knows_what_lies_on_this_machine(url, path):
    assert storage.local_path(url) == path
