import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import fsspec.implementations.memory
import pytest

from noisebeam.pipeline.epoch import shard_cache as cache
from noisebeam.pipeline.epoch.shard_cache import ShardCache
from noisebeam.transforms.io.storage import publish
from noisebeam.transforms.shards.info import ShardInfo
from noisebeam.transforms.shards.reader import ShardError


def put(content: bytes, folder: str = "memory://") -> tuple[str, ShardInfo]:
    """A shard with this content, as if it were remote."""
    url = f"{folder}/{uuid4().hex}/shard.tar"
    publish(url, content)
    return url, ShardInfo(
        "shard.tar", 1, 1, 1, len(content), sha256(content).hexdigest(), "i", "", 0, 0
    )


@pytest.fixture
def fail(monkeypatch):
    """Make the next openings of remote files fail with these errors."""
    errors: list[BaseException] = []
    whole = fsspec.implementations.memory.MemoryFileSystem._open

    def open_or_fail(*arguments, **settings):
        if errors:
            raise errors.pop(0)
        return whole(*arguments, **settings)

    monkeypatch.setattr(fsspec.implementations.memory.MemoryFileSystem, "_open", open_or_fail)
    return errors.extend


def test_a_shard_is_fetched_once(tmp_path, fail):
    cache, (url, info) = ShardCache(str(tmp_path)), put(b"content")
    path = cache.fetch(url, info)
    assert Path(path).read_bytes() == b"content"
    fail([OSError("not again")])
    assert cache.fetch(url, info) == path


def test_a_failed_download_is_repeated(tmp_path, fail):
    url, info = put(b"content")
    fail([OSError("reset"), TimeoutError("slow"), RuntimeError("503")])
    assert (
        Path(ShardCache(str(tmp_path), attempts=4, pause=0).fetch(url, info)).read_bytes()
        == b"content"
    )
    assert len(os.listdir(tmp_path)) == 1


def test_a_download_that_keeps_failing_is_an_error_and_leaves_nothing(tmp_path, fail):
    url, info = put(b"content")
    fail([OSError("reset")] * 3)
    with pytest.raises(ShardError, match=f"cannot fetch shard {url} in 3 attempts: reset"):
        ShardCache(str(tmp_path), attempts=3, pause=0).fetch(url, info)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [b"contenu", b"cont", b"contents"])
def test_other_bytes_than_the_manifest_tells_are_an_error(tmp_path, content):
    url, info = put(b"content")
    publish(url, content)
    size = len(content)
    with pytest.raises(
        ShardError, match=f"expected 7 bytes with sha256 {info.sha256}, got {size} with "
    ):
        ShardCache(str(tmp_path), attempts=2, pause=0).fetch(url, info)
    assert os.listdir(tmp_path) == []


def test_a_file_on_this_machine_is_read_without_a_thread(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "run_with_deadline", pytest.fail)
    (tmp_path / "manifest.json").write_bytes(b"{}")
    assert ShardCache().read(f"{tmp_path}/manifest.json", 2) == b"{}"


def test_a_missing_shard_is_an_error_at_once(tmp_path):
    url, info = put(b"content")
    with pytest.raises(ShardError, match=rf"shard {url}x is missing; build or copy it again"):
        ShardCache(str(tmp_path), pause=100).fetch(url + "x", info)


def test_the_shard_used_longest_ago_leaves(tmp_path):
    cache = ShardCache(str(tmp_path), max_bytes=250)
    shards = [put(bytes([i]) * 100) for i in range(3)]
    first, second = (Path(cache.fetch(*shard)) for shard in shards[:2])
    os.utime(first, (1, 1))
    os.utime(second, (2, 2))
    cache.fetch(*shards[0])
    third = Path(cache.fetch(*shards[2]))
    assert [path.exists() for path in (first, second, third)] == [True, False, True]


def test_a_shard_larger_than_the_cache_is_fetched_all_the_same(tmp_path):
    url, info = put(b"x" * 1000)
    assert Path(ShardCache(str(tmp_path), max_bytes=10).fetch(url, info)).stat().st_size == 1000


def test_what_a_crash_left_is_not_taken_for_a_shard_and_goes_in_time(tmp_path):
    url, info = put(b"content")
    (tmp_path / f"{info.sha256}.tar").write_bytes(b"con")
    abandoned, busy = tmp_path / ".a.tar.1.tmp", tmp_path / ".b.tar.1.tmp"
    abandoned.write_bytes(b"")
    busy.write_bytes(b"")
    os.utime(abandoned, (1, 1))
    assert Path(ShardCache(str(tmp_path)).fetch(url, info)).read_bytes() == b"content"
    assert (abandoned.exists(), busy.exists()) == (False, True)


def test_many_may_fetch_the_same_shards_at_once(tmp_path):
    """From files: who reads one that fsspec has in memory shares its place in it with all
    others.
    """
    cache = ShardCache(str(tmp_path / "cache"), max_bytes=1000, pause=0.01)
    shards = [put(bytes([i]) * 100, f"file://{tmp_path}") for i in range(5)]
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda i: cache.fetch(*shards[i % 5]), range(100)))
    assert all(Path(path).read_bytes() == bytes([i % 5]) * 100 for i, path in enumerate(paths))
    assert len(os.listdir(tmp_path / "cache")) == 5


def test_a_forged_copy_is_fetched_again(tmp_path):
    """Another process may have put other bytes of the right size there."""
    store, (url, info) = ShardCache(str(tmp_path)), put(b"content")
    (tmp_path / f"{info.sha256}.tar").write_bytes(b"forgery")
    assert Path(store.fetch(url, info)).read_bytes() == b"content"


def test_the_default_folder_is_the_users_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    url, info = put(b"content")
    path = Path(ShardCache().fetch(url, info))
    assert path.parent == tmp_path / "noisebeam" / "shards"
    assert path.parent.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(ShardError, match=r"expected the cache folder .* to be yours, got one of"):
        ShardCache().fetch(url, info)
