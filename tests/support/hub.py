"""What the file system of the Hugging Face hub asks of its API: one data set, a folder of files, on
the loopback.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_SHA = "0" * 40  # of the one revision


class Handler(BaseHTTPRequestHandler):
    """Serves `folder` as the data set `name`."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        super().__init__(*arguments)

    def do_GET(self) -> None:
        place = unquote(urlsplit(self.path).path)
        if found := re.fullmatch(rf"/api/datasets/{self.name}/tree/[^/]+/?(.*)", place):
            self._tree(found[1])
        elif re.fullmatch(rf"/api/datasets/{self.name}(/revision/[^/]+)?", place):
            self._json({"id": self.name, "sha": _SHA, "siblings": [], "private": False, "tags": []})
        elif found := re.fullmatch(rf"/datasets/{self.name}/resolve/[^/]+/(.+)", place):
            self._file(self.folder / found[1])
        else:
            self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = json.loads(body) if body.startswith("{") else parse_qs(body)
        paths = [asked["paths"]] if isinstance(asked["paths"], str) else asked["paths"]
        self._json(
            [self._entry(self.folder / path) for path in paths if (self.folder / path).exists()]
        )

    def _tree(self, path: str) -> None:
        recursive = "recursive=true" in self.path.lower()
        if not (self.folder / path).is_dir():
            self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        entries = sorted(
            (self.folder / path).rglob("*") if recursive else (self.folder / path).iterdir()
        )
        self._json([self._entry(entry) for entry in entries])

    def _entry(self, path: Path) -> dict[str, Any]:
        name = path.relative_to(self.folder).as_posix()
        kind, size = ("directory", 0) if path.is_dir() else ("file", path.stat().st_size)
        return {
            "type": kind,
            "path": name,
            "size": size,
            "oid": hashlib.sha1(name.encode()).hexdigest(),
        }

    def _file(self, path: Path) -> None:
        if not path.is_file():
            self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        content, status = path.read_bytes(), 200
        headers = {"X-Repo-Commit": _SHA, "ETag": '"1"', "Accept-Ranges": "bytes"}
        if span := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, end = int(span[1]), min(int(span[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            content, status = content[start : end + 1], 206
        self._send(content, "application/octet-stream", status, headers)

    def _json(
        self, value: object, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        self._send(json.dumps(value).encode(), "application/json", status, headers or {})

    def _send(self, content: bytes, kind: str, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {
            **headers,
            "Content-Type": kind,
            "Content-Length": str(len(content)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


def hub(folder: Path, name: str) -> ThreadingHTTPServer:
    """A server, not yet serving, of the data set `name`."""
    return ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, folder=folder, name=name))
