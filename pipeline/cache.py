"""Local copies of remote shards, in a folder of bounded size that the processes of a machine may share."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, TypeVar
from uuid import uuid4

from fsspec.core import url_to_fs

from noisebeam.transforms.shard_reader import ShardError
from noisebeam.transforms.shards import ShardInfo

T = TypeVar("T")

_CHUNK = 2**23  # bytes
_ABANDONED = 3600  # seconds after which nobody writes to a temporary file any more


def _default_folder() -> str:
    return os.path.join(tempfile.gettempdir(), f"noisebeam-cache-{os.getuid()}")


@dataclass(frozen=True)
class ShardCache:
    """A folder of shards, named by their sha256. The ones used longest ago leave when it grows beyond `max_bytes`.

    A shard that is open stays readable when it leaves. Downloads are checked against the manifest's sha256 and repeated
    up to `attempts` times, with a pause that doubles from `pause` seconds.
    """

    folder: str | None = None  # None: a folder of this user among the temporary files
    max_bytes: int = 64 * 2**30
    attempts: int = 5
    pause: float = 0.2

    def fetch(self, url: str, info: ShardInfo) -> str:
        """The path of a local copy of the shard at `url`; ShardError names the shard if there is none to be had."""
        folder = Path(self.folder or _default_folder())
        path = folder / f"{info.sha256}.tar"
        if not (path.exists() and path.stat().st_size == info.bytes):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._download(url, info, path)
            self._make_room(folder, path)
        with suppress(OSError):
            os.utime(path)
        return str(path)

    def _download(self, url: str, info: ShardInfo, path: Path) -> None:
        temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
        try:
            self.repeat(lambda: _copy(url, info, temporary), f"shard {url}")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def repeat(self, fetch: Callable[[], T], what: str) -> T:
        """What `fetch` gives in the first attempt that succeeds; ShardError if none does, or `what` is missing."""
        for attempt in range(1, self.attempts + 1):
            try:
                return fetch()
            except FileNotFoundError as error:
                raise ShardError(f"{what} is missing; build or copy it again") from error
            except Exception as error:  # each store raises errors of its own kind
                if attempt == self.attempts:
                    raise ShardError(f"cannot fetch {what} in {attempt} attempts: {error}") from error
                time.sleep(self.pause * 2 ** (attempt - 1))
        raise AssertionError("attempts is at least 1")

    def _make_room(self, folder: Path, new: Path) -> None:
        entries = sorted(_entries(folder))
        total = sum(entry.size for entry in entries)
        for entry in entries:
            abandoned = entry.path.suffix == ".tmp" and entry.used < time.time() - _ABANDONED
            if abandoned or (entry.path.suffix == ".tar" and total > self.max_bytes and entry.path != new):
                entry.path.unlink(missing_ok=True)
                total -= entry.size


class _Entry(NamedTuple):
    used: float  # seconds since 1970
    size: int  # bytes
    path: Path


def _entries(folder: Path) -> Iterator[_Entry]:
    for path in folder.iterdir():
        with suppress(OSError):  # another process may have removed it
            status = path.stat()
            yield _Entry(status.st_mtime, status.st_size, path)


def _copy(url: str, info: ShardInfo, path: Path) -> None:
    fs, remote = url_to_fs(url)
    digest, size = sha256(), 0
    with fs.open(remote, "rb", block_size=_CHUNK, cache_type="readahead") as source, path.open("wb") as target:
        while chunk := source.read(_CHUNK):
            target.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    if size != info.bytes or digest.hexdigest() != info.sha256:
        raise ShardError(
            f"expected {info.bytes} bytes with sha256 {info.sha256}, got {size} with {digest.hexdigest()}; "
            "build or copy it again"
        )
