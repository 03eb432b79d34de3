"""Processes that share a small cache, one of which was killed in the middle of a download."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from support.faults import FaultProxy, QuietHandler, seeded, served

pytestmark = pytest.mark.slow

READ = """
import sys
from hashlib import sha256
from noisebeam.pipeline import ShardCache, ShardDataset

url, folder, most = sys.argv[1:]
found = sha256()
for epoch in range(2):
    cache = ShardCache(folder, int(most), attempts=12, pause=0.001)
    for batch in ShardDataset(url, batch_size=4, seed=3, epoch=epoch, cache=cache):
        found.update(batch["input_ids"].numpy().tobytes())
print(found.hexdigest())
"""


@pytest.fixture
def folder(make_set: Callable[..., str], tmp_path: Path) -> Path:
    return Path(make_set(str(tmp_path / "set"), 300, num_shards=12))


@pytest.fixture
def proxy(folder: Path) -> Iterator[FaultProxy]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    with (
        served(server),
        served(found := FaultProxy(server.server_port, seeded(0, ("503", "cut", "slow")))),
    ):
        yield found


def start(url: str, cache: Path, most: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", READ, url, str(cache), str(most)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def size(cache: Path) -> int:
    """Bytes of the shards in a cache that others change."""
    total = 0
    for path in cache.glob("*.tar"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def test_streams_are_the_same_the_cache_stays_small_and_nothing_is_left(folder, proxy, tmp_path):
    cache = tmp_path / "cache"
    most = 3 * max(path.stat().st_size for path in folder.glob("*.tar"))
    schedule = proxy.schedule
    proxy.schedule = lambda method, name, request: (
        "silent" if name.endswith(".tar") and method == "GET" else "none"
    )
    victim = start(proxy.url, cache, most)
    wait_until(lambda: any(cache.glob(".*.tmp")))
    victim.kill()
    victim.communicate()
    left = list(cache.glob(".*.tmp"))
    assert left
    for path in left:
        os.utime(path, (1, 1))  # an hour ago and more

    proxy.schedule = schedule
    readers = [start(proxy.url, cache, most) for _ in range(3)]
    sizes = []
    while any(reader.poll() is None for reader in readers):
        sizes.append(size(cache))
        time.sleep(0.001)
    found = {reader.communicate()[0] for reader in readers}
    local = start(str(folder), cache, most)
    assert found == {local.communicate()[0]} != {""}
    assert 0 < max(sizes) <= most
    assert len(set(sizes)) > 10
    assert not list(cache.glob(".*.tmp"))


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    raise TimeoutError("nothing came")
