"""Local copies of remote shards, in a folder of bounded size that processes of a machine share."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import platformdirs
from fsspec.core import url_to_fs

from noisebeam.transforms.errors import one_line
from noisebeam.transforms.io.storage import TooLargeError, local_path, read_bytes
from noisebeam.transforms.io.timeouts import run_with_deadline
from noisebeam.transforms.shards.info import ShardInfo
from noisebeam.transforms.shards.reader import ShardError

T = TypeVar("T")

_MISSING = (FileNotFoundError, NotADirectoryError)
_CHUNK = 2**22  # bytes
_ABANDONED = 3600  # seconds after which nobody writes to a temporary file any more


# Copies that this process has checked: path, size and inode.
_checked: set[tuple[str, int, int]] = set()


def _default_folder() -> Path:
    """Return the folder for shards in the user's own cache folder, which is made if needed.

    Raises ShardError if it belongs to another user, who could have put other shards there.
    """
    folder = platformdirs.user_cache_path("noisebeam") / "shards"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise ShardError(
            f"expected the cache folder {folder} to be yours, got one of user "
            f"{folder.stat().st_uid}; remove it, or give ShardCache(folder=...)"
        )
    return folder


@dataclass(frozen=True)
class ShardCache:
    """Folder on this machine with copies of remote shards, named by their sha256.

    If the copies take more than `max_bytes`, the least recently used ones are removed. Any number
    of processes may share the folder. Downloads in progress are not counted in `max_bytes`, and
    neither is a removed shard that is still open: it stays readable, and on the disk, until it is
    closed. Downloads of a killed process are removed after an hour.

    A download, and a copy when a process first uses it, are checked against the sha256 of the
    manifest. A download is tried up to `attempts` times, with
    a pause of `pause` seconds that doubles each time. A request (8 MiB at most) without an answer
    in `timeout` seconds is a failed attempt, so a store that never answers raises an error after
    two and a half minutes.
    """

    folder: str | None = None  # None: a folder in this user's cache folder
    max_bytes: int = 64 * 2**30
    attempts: int = 5
    pause: float = 0.5
    timeout: float = 30

    def fetch(self, url: str, info: ShardInfo) -> str:
        """Return the path of the local copy of the shard at `url`, downloading it if needed.

        Raises ShardError, with the name of the shard, if it cannot be downloaded or differs from
        `info`, its entry in the manifest.
        """
        path = self._path(info)
        if not _is_copy(path, info):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._download(url, info, path)
        with suppress(OSError):
            os.utime(path)
        return str(path)

    def drop(self, info: ShardInfo) -> None:
        """Remove the local copy of a shard from the cache, if there is one."""
        self._path(info).unlink(missing_ok=True)

    def read(self, url: str, most: int | None = None) -> bytes:
        """Return the content of a small file, retrying failed requests as for a shard; nothing is
        cached.

        Raises FileNotFoundError if the file is missing, TooLargeError if it has more than `most`
        bytes (None: no limit), and ShardError if the store fails.
        """
        return self._repeat(
            lambda: self._answer(url, lambda: read_bytes(url, most, self.timeout)), url, url
        )

    def read_index(self, url: str, info: ShardInfo) -> bytes:
        """Return the content of the index file of a shard; raise ShardError if it is missing or its
        sha256 is not that of the manifest.
        """

        def read() -> bytes:
            index = self._answer(url, lambda: read_bytes(url, timeout=self.timeout))
            if (digest := sha256(index).hexdigest()) != info.index_sha256:
                raise ShardError(
                    f"the index {url} is damaged: expected sha256 {info.index_sha256}, got {digest}"
                )
            return index

        with _named(f"the index {url}"):
            return self._repeat(read, url, f"the index {url}")

    def _path(self, info: ShardInfo) -> Path:
        """Return the path of the local copy of a shard, whether it exists or not."""
        folder = Path(self.folder) if self.folder else _default_folder()
        return folder / f"{info.sha256}.tar"

    def _download(self, url: str, info: ShardInfo, path: Path) -> None:
        """Download the shard at `url` to `path` in the cache, and remove other shards to make room
        for it.
        """
        temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
        try:
            with _named(f"shard {url}"):
                self._repeat(lambda: self._copy(url, info, temporary), url, f"shard {url}")
            with _locked(path.parent):
                self._make_room(path, info.bytes)
                os.replace(temporary, path)
                _checked.add(_state(path))
        finally:
            temporary.unlink(missing_ok=True)

    def _copy(self, url: str, info: ShardInfo, path: Path) -> None:
        """Copy the file at `url` to `path`; raise ShardError unless its size and sha256 are those
        of the manifest.
        """
        found, size = sha256(), 0
        with (
            closing(run_with_deadline(lambda: _open(url), self.timeout)) as source,
            path.open("wb") as target,
        ):
            while chunk := run_with_deadline(lambda: source.read(_CHUNK), self.timeout):
                target.write(chunk)
                found.update(chunk)
                size += len(chunk)
        if size != info.bytes or found.hexdigest() != info.sha256:
            raise ShardError(
                f"expected {info.bytes} bytes with sha256 {info.sha256}, got {size} with "
                f"{found.hexdigest()}; "
                "build or copy it again"
            )

    def _answer(self, url: str, ask: Callable[[], T]) -> T:
        """Return the result of `ask`; raise TimeoutError after `timeout` seconds, unless the file
        is on this machine.
        """
        return run_with_deadline(ask, self.timeout) if local_path(url) is None else ask()

    def _repeat(self, fetch: Callable[[], T], url: str, what: str) -> T:
        """Return the result of `fetch`, called again after a failure of the store, up to `attempts`
        times.

        Local files have one attempt. `what` names the file in the ShardError that the last failure
        raises. Errors that say that a file is missing or too large are raised as they are.
        """
        attempts = self.attempts if local_path(url) is None else 1
        for attempt in range(1, attempts + 1):
            try:
                return fetch()
            except Exception as error:  # each store raises errors of its own kind
                failure = _failure(error)
                if failure is None:
                    raise
                if attempt == attempts:
                    reason = (
                        one_line(failure).removeprefix(f"cannot read {url}: ")
                        or type(failure).__name__
                    )
                    raise ShardError(
                        f"cannot fetch {what} in {attempt} attempts: {reason}"
                    ) from error
                time.sleep(self.pause * 2 ** (attempt - 1))
        raise AssertionError("attempts is at least 1")

    def _make_room(self, new: Path, size: int) -> None:
        """Remove abandoned downloads, and the least recently used shards until a new file of `size`
        bytes fits.

        `new` is the path of the new file.
        """
        entries = sorted(entry for entry in _entries(new.parent) if entry.path != new)
        total = size + sum(entry.size for entry in entries if entry.path.suffix == ".tar")
        for entry in entries:
            if entry.path.suffix == ".tmp" and entry.used < time.time() - _ABANDONED:
                entry.path.unlink(missing_ok=True)
            elif entry.path.suffix == ".tar" and total > self.max_bytes:
                entry.path.unlink(missing_ok=True)
                total -= entry.size


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder against other processes, where the file system has locks."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Turn the error of a missing file in the block into a ShardError that says that `what` is
    missing.
    """
    try:
        yield
    except _MISSING as error:
        raise ShardError(f"{what} is missing; build or copy it again") from error


def _failure(error: Exception) -> BaseException | None:
    """Return the reason if an error means that the store failed; None if the store said that the
    file is missing or too large.
    """
    if not isinstance(error, (*_MISSING, TooLargeError)):
        return error
    # fsspec's HTTP file system makes a FileNotFoundError of whatever goes wrong when it asks for
    # the size of a file.
    cause = error.__cause__
    of_http = isinstance(cause, TimeoutError) or type(cause).__module__.startswith("aiohttp.")
    return cause if of_http and getattr(cause, "status", None) not in (404, 410) else None


def _is_copy(path: Path, info: ShardInfo) -> bool:
    """Return True if a file is a copy of a shard; its sha256 is computed once in a process."""
    try:
        state = _state(path)
        if state in _checked:
            return True
        if state[1] != info.bytes:
            return False
        with path.open("rb") as file:
            found = file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return False
    if found == info.sha256:
        _checked.add(state)
    return found == info.sha256


def _state(path: Path) -> tuple[str, int, int]:
    """Return the path, the size and the inode of a file, which is another one if it is replaced."""
    status = path.stat()
    return str(path), status.st_size, status.st_ino


class _Entry(NamedTuple):
    """File in the cache folder: time of last use in seconds since 1970, size in bytes, and path."""

    used: float  # seconds since 1970
    size: int  # bytes
    path: Path


def _entries(folder: Path) -> Iterator[_Entry]:
    """Yield the files of a folder; files that another process removes meanwhile are left out."""
    for path in folder.iterdir():
        with suppress(OSError):  # another process may have removed it
            status = path.stat()
            yield _Entry(status.st_mtime, status.st_size, path)


def _open(url: str) -> Any:
    """Open a remote file to read from."""
    fs, path = url_to_fs(url)
    return fs.open(path, "rb", block_size=_CHUNK, cache_type="readahead")
