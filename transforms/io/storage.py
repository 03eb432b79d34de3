"""Small files in any storage that fsspec reaches; a file that is written is either complete or
absent.

A URL is a local path or anything that fsspec knows (`s3://bucket/folder`, `gs://...`,
`memory://...`). Writing twice is safe: a retried or duplicated worker writes the same bytes to the
same URL.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from uuid import uuid4

from fsspec.core import url_to_fs

from noisebeam.transforms.errors import one_line
from noisebeam.transforms.io.timeouts import (
    call_store,
    deadline,
    is_local,
    protocols,
    run_with_deadline,
)

T = TypeVar("T")

Buffer = bytes | memoryview

# They have no folders; to make the folders of a URL there would be to make a bucket of a mistyped
# name.
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss"}
# s3fs puts twice as much in one request; an upload in parts may leave some
_WHOLE = {"chunksize": 5 * 2**29}
_AGAIN = "; mend that, and run the same command again"


class TooLargeError(ValueError):
    """Error: a file has more bytes than a file of its kind can have."""


def join(url: str, name: str) -> str:
    """Return the URL of the file called `name` in the folder `url`.

    >>> join("s3://bucket/set/", "manifest.json")
    's3://bucket/set/manifest.json'
    """
    return f"{url.rstrip('/')}/{name}" if url.rstrip("/") else f"/{name}"


def local_path(url: str) -> str | None:
    """Return the local path that a URL means; None if it is not on this machine's file system.

    >>> local_path("file:///data/set"), local_path("s3://bucket/set")
    ('/data/set', None)
    """
    if "://" in url and not url.startswith(("file://", "local://")):
        return None
    return str(url_to_fs(url)[1])


def publish(url: str, data: Buffer) -> None:
    """Write `data` to the file `url` atomically, making its folders; raise OSError, in one line, on
    failure.

    Readers never see a part of the file. On a local file system the bytes are written to a
    temporary file in the same folder, flushed to the disk, and renamed. An object store shows an
    object when its upload is complete; it has a minute to answer, and a second more for each
    megabyte.
    """
    with _telling(f"cannot write {url}", _AGAIN):
        _write(url, data)


def _write(url: str, data: Buffer) -> None:
    """Write `data` to the file `url` atomically, without changing errors."""
    fs, path = url_to_fs(url)
    if is_local(fs):
        _replace(path, data)
    else:
        run_with_deadline(lambda: _put(fs, path, bytes(data)), deadline(len(data)))


def _put(fs: Any, path: str, data: bytes) -> None:
    """Write `data` to a remote file system, making folders where it has any."""
    if not protocols(fs) & _OBJECT_STORES:
        fs.makedirs(fs._parent(path), exist_ok=True)
    fs.pipe_file(path, data, **(_WHOLE if protocols(fs) & {"s3", "s3a"} else {}))


def read_bytes(url: str, most: int | None = None, timeout: float | None = None) -> bytes:
    """Return the content of the file `url`.

    Raises FileNotFoundError if there is none, and TooLargeError if it has more than `most` bytes
    (None: no limit). A remote store has `timeout` seconds to answer; None means a minute, and a
    second more for each megabyte.
    """
    found = 0 if most is None else size(url)
    if most is not None and found > most:
        raise TooLargeError(f"expected {most:,} bytes at most, got {found:,}")
    with _telling(f"cannot read {url}"):
        fs, path = _fresh(url)
        return bytes(call_store(fs, lambda: fs.cat_file(path), timeout or deadline(found)))


def size(url: str) -> int:
    """Return the size of the file `url` in bytes; raise FileNotFoundError if there is none."""
    with _telling(f"cannot read {url}"):
        fs, path = _fresh(url)
        return int(call_store(fs, lambda: fs.size(path)) or 0)


def exists(url: str) -> bool:
    """Return True if there is a file or folder at `url`."""
    with _telling(f"cannot read {url}"):
        fs, path = _fresh(url)
        return bool(call_store(fs, lambda: fs.exists(path)))


def list_names(url: str) -> list[str]:
    """Return the names of the files directly in the folder `url`, sorted; an empty list if there is
    no such folder.
    """
    try:
        with _telling(f"cannot read {url}"):
            fs, path = _fresh(url)
            entries = call_store(fs, lambda: fs.ls(path, detail=True))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(
        entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in entries if entry["type"] == "file"
    )


def remove(url: str) -> None:
    """Remove the file `url`, if it exists; raise OSError, in one line, on failure."""
    with _telling(f"cannot remove {url}", _AGAIN), suppress(FileNotFoundError):
        fs, path = url_to_fs(url)
        call_store(fs, lambda: fs.rm_file(path))


def check_writable(url: str) -> None:
    """Raise OSError, in one line, if files cannot be written to the folder `url`; a small file is
    written and removed.
    """
    probe = join(url, f".writable-{uuid4().hex}")
    with _telling(f"cannot write to {url}", "; give an output folder that you may write to"):
        _write(probe, b"")
    remove(probe)


@contextmanager
def _telling(what: str, advice: str = "") -> Iterator[None]:
    """Turn any error in the block into an OSError in one line: `what`, the reason, and `advice`.

    Without advice, the error of a missing file is raised as it is.
    """
    try:
        yield
    except Exception as error:
        if not advice and isinstance(error, FileNotFoundError | NotADirectoryError):
            raise
        raise OSError(f"{what}: {_reason(error)}{advice}") from error


def _fresh(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, with its cached listings dropped, and the path in that file
    system.
    """
    fs, path = url_to_fs(url)
    fs.invalidate_cache()
    return fs, path


def _reason(error: Exception) -> str:
    """Return the reason of an error in one line, in the words of the operating system if there are
    any.
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(error)


def _replace(path: str, data: Buffer) -> None:
    """Write `data` to a temporary file beside the local file `path`, flush it to the disk, and
    rename it to `path`.
    """
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".{name}.{uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
