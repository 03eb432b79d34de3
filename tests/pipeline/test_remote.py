"""Shards from an HTTP server that fails, cuts connections and is slow."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from noisebeam.pipeline import ShardDataset
from noisebeam.pipeline.cache import ShardCache
from noisebeam.transforms.shard_reader import ShardError

FAULTS = ("error", "cut", "none", "slow")  # of the requests for a file, one after the other


class FaultyHandler(SimpleHTTPRequestHandler):
    """Serves a folder; requests for shards and indexes meet a fault in turn."""

    seen: Counter[str]

    def do_GET(self) -> None:
        name = Path(self.path).name
        self.seen[name] += 1
        fault = FAULTS[(self.seen[name] - 1) % len(FAULTS)] if name.startswith("shard-") else "none"
        if fault == "error":
            self.send_error(503)
        elif fault == "cut":
            content = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        else:
            time.sleep(0.05 if fault == "slow" else 0)
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator:
    """serve(folder): the URL of a server, and how many times each file was asked for."""
    servers = []

    def start(folder: str) -> tuple[str, Counter[str]]:
        handler = type("Handler", (FaultyHandler,), {"seen": Counter()})
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", handler.seen

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def batches(url: str, cache: ShardCache) -> list[dict[str, torch.Tensor]]:
    return list(ShardDataset(url, batch_size=4, seed=3, epoch=1, cache=cache))


def test_the_stream_is_complete_and_the_same(make_set, serve, tmp_path):
    folder = make_set(str(tmp_path / "set"), 150, num_shards=6)
    url, seen = serve(folder)
    remote = batches(url, ShardCache(str(tmp_path / "cache"), pause=0.01))
    local = batches(folder, ShardCache())
    assert len(remote) == len(local) == 37
    assert all(torch.equal(a[name], b[name]) for a, b in zip(remote, local, strict=True) for name in b)
    assert all(seen[f"shard-{i:05d}-of-00006.tar"] >= 3 for i in range(6))


def test_a_cache_smaller_than_the_data_gives_the_same(make_set, serve, tmp_path):
    folder = make_set(str(tmp_path / "set"), 150, num_shards=6)
    largest = max(path.stat().st_size for path in Path(folder).glob("*.tar"))
    cache = ShardCache(str(tmp_path / "cache"), max_bytes=2 * largest, pause=0.01)
    remote, local = batches(serve(folder)[0], cache), batches(folder, ShardCache())
    assert all(torch.equal(a[name], b[name]) for a, b in zip(remote, local, strict=True) for name in b)
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) <= 2 * largest


def test_a_server_that_only_fails_is_an_error_that_names_the_file(make_set, serve, tmp_path):
    url, _ = serve(make_set(str(tmp_path / "set"), 20, num_shards=1))
    with pytest.raises(ShardError, match=r"cannot fetch the index http.*-00000-of-00001\.index\.npz in 2 attempts: "):
        batches(url, ShardCache(str(tmp_path / "cache"), attempts=2, pause=0))
