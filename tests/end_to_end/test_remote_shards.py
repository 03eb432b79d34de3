"""Shards from stores that fail, are slow, cut connections and give too little: an HTTP server, and
a real S3 API.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest
from support.faults import FAULTS, FaultProxy, QuietHandler, Schedule, seeded, served
from support.object_store import s3_server, s3_settings
from support.sets import equal
from torch.utils.data import DataLoader

from noisebeam.pipeline import GroupByLength, ShardDataset
from noisebeam.pipeline.epoch.shard_cache import ShardCache
from noisebeam.transforms.shards.reader import ShardError

SHARDS = 6

Serve = Callable[[str, Schedule], tuple[str, FaultProxy]]  # a folder, behind a proxy: its URL


@pytest.fixture
def over_http() -> Iterator[Serve]:
    with ExitStack() as stack:

        def serve(folder: str, schedule: Schedule) -> tuple[str, FaultProxy]:
            server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder))
            proxy = FaultProxy(server.server_port, schedule)
            stack.enter_context(served(server))
            stack.enter_context(served(proxy))
            return proxy.url, proxy

        yield serve


@pytest.fixture(scope="module")
def s3_port() -> Iterator[int]:
    with s3_server() as port:
        yield port


@pytest.fixture
def over_s3(s3_port: int) -> Iterator[Serve]:
    import s3fs

    with ExitStack() as stack:

        def serve(folder: str, schedule: Schedule) -> tuple[str, FaultProxy]:
            bucket = f"s3://set-{uuid4().hex}"
            with s3_settings(f"http://127.0.0.1:{s3_port}"):
                store = s3fs.S3FileSystem()
                store.mkdir(bucket)
                for path in Path(folder).iterdir():
                    store.pipe_file(f"{bucket}/{path.name}", path.read_bytes())
            proxy = FaultProxy(s3_port, schedule)
            stack.enter_context(served(proxy))
            stack.enter_context(s3_settings(proxy.url))
            return bucket, proxy

        yield serve


@pytest.fixture(params=["http", pytest.param("s3", marks=pytest.mark.slow)])
def serve(request: pytest.FixtureRequest) -> Serve:
    """serve(folder, schedule): the URL of its files, and the proxy that stands before them."""
    found: Serve = request.getfixturevalue(f"over_{request.param}")
    return found


@pytest.fixture
def folder(make_set: Callable[..., str], tmp_path: Path) -> str:
    """150 samples in 6 shards."""
    return make_set(str(tmp_path / "set"), 150, num_shards=SHARDS)


def dataset(url: str, cache: ShardCache) -> ShardDataset:
    return ShardDataset(url, batch_size=4, seed=3, epoch=1, cache=cache)


def patient(tmp_path: Path, **settings) -> ShardCache:
    return ShardCache(str(tmp_path / "cache"), **{"pause": 0.01, **settings})


def hasty(tmp_path: Path, url: str) -> ShardCache:
    """One that soon gives up; S3 takes its time on a busy machine."""
    return patient(tmp_path, attempts=2, timeout=1 if url.startswith("http") else 3)


def none(method: str, name: str, request: int) -> str:
    return "none"


@pytest.mark.parametrize("seed", [0, 1])
def test_the_stream_is_complete_and_the_same(folder, serve, tmp_path, seed):
    url, proxy = serve(folder, seeded(seed))
    remote, local = list(dataset(url, patient(tmp_path))), list(dataset(folder, ShardCache()))
    assert len(local) == 37
    assert equal(remote, local)
    assert proxy.met.keys() >= set(FAULTS)
    assert not list((tmp_path / "cache").glob(".*.tmp"))


def test_a_cache_smaller_than_the_data_gives_the_same(folder, serve, tmp_path):
    largest = max(path.stat().st_size for path in Path(folder).glob("*.tar"))
    cache = patient(tmp_path, max_bytes=2 * largest)
    url, _ = serve(folder, seeded(2, ("503", "cut", "slow")))
    assert equal(list(dataset(url, cache)), list(dataset(folder, ShardCache())))
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) <= 2 * largest


def test_loader_workers_share_the_cache(folder, serve, tmp_path):
    url, proxy = serve(folder, seeded(3, ("503", "reset", "short")))
    # Each worker may meet the faults that come before the right answer of the other as well.
    cache = patient(tmp_path, attempts=12, pause=0.001)
    loader = DataLoader(dataset(url, cache), batch_size=None, num_workers=2)
    assert equal(list(loader), list(dataset(folder, ShardCache())))
    assert proxy.met["reset"] > 0


@pytest.mark.parametrize(
    "what", ["manifest.json", "shard-00000-of-00006.index.npz", "shard-00000-of-00006.tar"]
)
@pytest.mark.parametrize("fault", ["cut", pytest.param("silent", marks=pytest.mark.slow)])
def test_a_store_that_only_fails_is_soon_an_error_that_names_the_file(
    folder, serve, tmp_path, what, fault
):
    url, _ = serve(
        folder, lambda method, name, request: fault if name == what and method == "GET" else "none"
    )
    began = time.monotonic()
    cache = hasty(tmp_path, url)
    reason = f"no answer in {cache.timeout} seconds" if fault == "silent" else ""
    with pytest.raises(
        ShardError, match=rf"^cannot fetch .*{url}/{what} in 2 attempts: {reason}"
    ) as error:
        list(dataset(url, cache))
    assert "\n" not in str(error.value)
    assert time.monotonic() - began < 20


def test_a_store_that_is_not_there_is_soon_an_error(folder, serve, tmp_path):
    url, proxy = serve(folder, none)
    data = dataset(url, hasty(tmp_path, url))
    proxy.shutdown()
    proxy.server_close()
    what = rf"{url}/shard-0000\d-of-00006\.index\.npz"
    with pytest.raises(
        ShardError, match=rf"^cannot fetch the index {what} in 2 attempts: "
    ) as error:
        list(data)
    assert str(error.value).count("cannot ") == 1


def test_one_shard_that_cannot_be_had_may_be_left_out(folder, serve, tmp_path, caplog):
    lost = "shard-00001-of-00006.tar"
    url, _ = serve(folder, lambda method, name, request: "500" if name == lost else "none")
    data = ShardDataset(
        url, batch_size=4, seed=3, epoch=1, cache=hasty(tmp_path, url), on_error="skip"
    )
    assert len(list(data)) == 37
    assert 0 < data.skipped <= data.manifest.shards[1].samples
    assert f"cannot fetch shard {url}/{lost} in 2 attempts: " in caplog.text


def test_a_shard_that_is_not_there_is_an_error_at_once(folder, serve, tmp_path):
    Path(folder, "shard-00003-of-00006.tar").unlink()
    url, _ = serve(folder, none)
    with pytest.raises(
        ShardError,
        match=rf"shard {url}/shard-00003-of-00006\.tar is missing; build or copy it again",
    ):
        list(dataset(url, patient(tmp_path, pause=100)))


def test_a_copy_that_went_bad_on_the_disk_is_fetched_anew(folder, serve, tmp_path, caplog):
    url, proxy = serve(folder, none)
    expected = list(dataset(url, patient(tmp_path)))
    for path in (tmp_path / "cache").glob("*.tar"):
        content = bytearray(path.read_bytes())
        content[700] ^= 1
        path.write_bytes(content)
    asked = proxy.asked["GET", "shard-00002-of-00006.tar"]
    data = dataset(url, patient(tmp_path))
    assert equal(list(data), expected)
    assert proxy.asked["GET", "shard-00002-of-00006.tar"] > asked
    assert equal(list(data), expected)


def test_a_copy_that_is_bad_in_all_blocks_is_fetched_once_more(folder, serve, tmp_path):
    """Blocks are read in several threads, each of which finds it bad."""
    url, proxy = serve(folder, none)
    expected = list(dataset(url, patient(tmp_path)))
    once = {
        name: count
        for (method, name), count in proxy.asked.items()
        if method == "GET" and name.endswith(".tar")
    }
    for path in (tmp_path / "cache").glob("*.tar"):
        path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
    assert equal(list(dataset(url, patient(tmp_path))), expected)
    assert {name: proxy.asked["GET", name] for name in once} == {
        name: 2 * count for name, count in once.items()
    }
    assert len(once) == SHARDS


def test_a_copy_that_was_cut_while_it_is_open_is_fetched_anew(folder, serve, tmp_path):
    url, _ = serve(folder, none)
    data = dataset(url, patient(tmp_path))
    expected = list(data)
    for path in (tmp_path / "cache").glob("*.tar"):
        os.truncate(path, 1000)
    assert equal(list(data), expected)


@pytest.mark.parametrize(("on_error", "most"), [("raise", 1), ("skip", 2)])
def test_a_bad_copy_of_a_lost_shard_is_not_asked_for_block_by_block(
    folder, over_http, tmp_path, monkeypatch, on_error, most
):
    (url, _), cache, lost = (
        over_http(folder, none),
        patient(tmp_path),
        Path(folder, "shard-00002-of-00006.tar"),
    )
    data = ShardDataset(url, batch_size=4, cache=cache, on_error=on_error)
    list(data)
    info = next(shard for shard in data.manifest.shards if shard.name == lost.name)
    Path(cache.fetch(f"{url}/{info.name}", info)).write_bytes(bytes(info.bytes))
    lost.unlink()
    asked, download = [], ShardCache._download
    monkeypatch.setattr(
        ShardCache, "_download", lambda *arguments: asked.append(arguments) or download(*arguments)
    )
    with (
        pytest.raises(ShardError, match=f"{lost.name} is missing")
        if on_error == "raise"
        else nullcontext()
    ):
        list(ShardDataset(url, batch_size=4, cache=cache, on_error=on_error))
    assert 1 <= len(asked) <= most


WAIT = """
import signal
import sys
from noisebeam.pipeline import ShardCache, ShardDataset

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a script's `&` and nohup take away
data = ShardDataset(sys.argv[1], batch_size=4, cache=ShardCache(sys.argv[2], timeout=120))
print("waiting", flush=True)
next(iter(data))
"""


@pytest.mark.slow
def test_who_waits_for_a_silent_store_can_be_interrupted(folder, over_http, tmp_path):
    url, proxy = over_http(
        folder, lambda method, name, request: "silent" if name.endswith(".tar") else "none"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WAIT, url, str(tmp_path / "cache")]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "waiting\n"
    while not proxy.met["silent"]:
        time.sleep(0.05)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate()[1]
    assert time.monotonic() - began < 20


def test_indexes_are_read_once(folder, serve, tmp_path):
    url, proxy = serve(folder, none)
    data = ShardDataset(
        url, batch_size=4, min_tokens=4, batching=GroupByLength(4), cache=patient(tmp_path)
    )
    assert len(list(data)) == len(data)
    assert {proxy.asked["GET", f"shard-{i:05d}-of-00006.index.npz"] for i in range(SHARDS)} == {1}
