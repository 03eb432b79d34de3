"""A proxy on the loopback address between a client and an HTTP server, which does to answers what
networks do.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer

FAULTS = ("500", "503", "slow", "cut", "reset", "short")

# of method, file name and how-manieth request for it: a fault, or "none"
Schedule = Callable[[str, str, int], str]


def seeded(seed: int, faults: tuple[str, ...] = FAULTS) -> Schedule:
    """One or two faults before each answer that is right, drawn from the seed and the request."""

    def draw(method: str, name: str, request: int) -> str:
        chance = random.Random(f"{seed} {method} {name} {request // 3}")
        # Only a checksum tells that an answer is whole but too short, and a manifest has none.
        kinds = [fault for fault in faults if fault != "short" or name != "manifest.json"]
        drawn = [chance.choice(kinds), chance.choice([*kinds, "none"]), "none"]
        return drawn[request % 3]

    return draw


class Cut:
    """A schedule that loses the network after some requests, for good: no answer comes any more."""

    def __init__(self) -> None:
        self.silent_from: str | None = (
            None  # method and file name; from then on connections stay, and nothing comes
        )
        self.left: int | None = None  # requests that still pass; None: all
        self.passed: list[str] = []  # method and file name of each

    def after(self, requests: int | None) -> None:
        """Let so many more requests pass."""
        self.left, self.passed, self.silent_from = requests, [], None

    def __call__(self, method: str, name: str, _: int) -> str:
        if f"{method} {name}" == self.silent_from:
            self.left = 0
        if self.left == 0:
            return "silent" if self.silent_from else "gone"
        self.left = None if self.left is None else self.left - 1
        self.passed.append(f"{method} {name}")
        return "none"


class FaultProxy(ThreadingHTTPServer):
    """Passes requests on to the port `upstream`. `schedule` may be changed at any time; `met`
    counts faults by name.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: int, schedule: Schedule) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.schedule = schedule
        self.asked: Counter[tuple[str, str]] = Counter()
        self.met: Counter[str] = Counter()
        self.lock = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone away is no news here."""

    @property
    def url(self) -> str:
        """Where clients go."""
        return f"http://127.0.0.1:{self.server_port}"

    def next_fault(self, method: str, name: str) -> str:
        """What happens to this request."""
        with self.lock:
            fault = self.schedule(method, name, self.asked[method, name])
            self.asked[method, name] += 1
            self.met[fault] += 1
        return fault


class _Handler(BaseHTTPRequestHandler):
    server: FaultProxy

    def do_GET(self) -> None:
        name = self.path.split("?")[0].rsplit("/", 1)[-1]
        fault = self.server.next_fault(self.command, name)
        if fault == "silent":
            time.sleep(600)
        if "Expect" in self.headers:
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault == "gone":
            self.close_connection = True
            return
        if fault in ("500", "503"):
            self.send_error(int(fault))
            return
        time.sleep(0.1 if fault == "slow" else 0)
        status, headers, body = self._upstream(sent)
        half = body[: len(body) // 2]
        self.send_response_only(status)
        for key, value in headers:
            if key.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(key, value)
        size = next(
            (value for key, value in headers if key.lower() == "content-length"), str(len(body))
        )
        self.send_header("Content-Length", str(len(half)) if fault == "short" and body else size)
        self.end_headers()
        self.wfile.write(half if fault in ("cut", "reset", "short", "stalled") else body)
        if fault == "stalled":
            time.sleep(600)
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def _upstream(self, sent: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = HTTPConnection("127.0.0.1", self.server.upstream, timeout=30)
        connection.request(self.command, self.path, sent, dict(self.headers.items()))
        reply = connection.getresponse()
        answer = reply.status, reply.getheaders(), reply.read()
        connection.close()
        return answer

    def log_message(self, *_: object) -> None:
        pass


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder, and logs nothing."""

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(server: ThreadingHTTPServer) -> Iterator[None]:
    """While this is open, the server answers."""
    threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    ).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
