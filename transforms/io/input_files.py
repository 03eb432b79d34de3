"""Input files: found by patterns, and read in blocks, decompressed by the endings of their names.

Files are anywhere that fsspec reaches: a local path, `s3://`, `gs://`, `https://`, `memory://`, ...
Blocks have any size, and bound the memory. Of a damaged file all content before the damage is
returned; then DamagedFileError says what is wrong. Errors of access (a failing network, a missing
permission) stay OSErrors, so that a runner tries again.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from fsspec.core import url_to_fs

from noisebeam.transforms.errors import one_line
from noisebeam.transforms.io.compression import DECOMPRESSORS
from noisebeam.transforms.io.file_names import InputError, name_endings
from noisebeam.transforms.io.timeouts import call_store, deadline, is_local, run_with_deadline

T = TypeVar("T")

# of one read; few enough to bound memory, many enough that a read's overhead is nothing
_BLOCK_BYTES = 2**20
_FILES_AT_A_TIME = 32
_READ_AHEAD_BYTES = 8 * 2**20  # of one request to a remote store


@dataclass(frozen=True, slots=True)
class FilePart:
    """Part of an input file: the records whose first byte is at `start` to `end` - 1.

    `end` of None is the end of the file, so that (0, None) is a whole file. In a parquet file,
    `start` and `end` count row groups.
    """

    url: str
    start: int = 0
    end: int | None = None


def expand_inputs(
    patterns: Sequence[str], is_input: Callable[[str], bool] = lambda url: True
) -> list[str]:
    """Return the URLs of the files that match at least one pattern, sorted, each once.

    A pattern is a path or fsspec URL with `*`, `?`, `[...]` and `**` (any folders); local paths
    become absolute. A folder means its parquet files, as those of a Hugging Face data set, or else
    all files in it whose names `is_input` accepts; hidden files are left out. Raises InputError for
    a pattern without a match.
    """
    return sorted({url for pattern in patterns for url in _expand(pattern, is_input)})


def _expand(pattern: str, is_input: Callable[[str], bool]) -> list[str]:
    """Return the URLs of the files that match one pattern; raise InputError if there are none.

    `is_input` says which files of a folder are read.
    """
    try:
        file_system, path = url_to_fs(pattern)
        is_file = call_store(file_system, lambda: file_system.isfile(path))
        names = [path] if is_file else _matching_files(file_system, path)
    except Exception as error:  # file systems raise errors of their own kinds
        raise InputError(f"input: cannot open {pattern!r}: {one_line(error)}") from error
    if not names and file_system.isdir(path):
        names = _files_of_folder(file_system, path, is_input)
    if not names:
        hint = (
            "is a folder without a file of a known format; give --format, or a pattern such as "
            "'/*.jsonl.gz'"
            if file_system.isdir(path)
            else "matches no file"
        )
        raise InputError(f"input: {pattern!r} {hint}")
    # of a chained URL, such as zip://*.jsonl::s3://bucket/all.zip
    archive = pattern.partition("::")[2]
    return [_url(file_system, name) + ("::" + archive if archive else "") for name in names]


def _files_of_folder(file_system: Any, path: str, is_input: Callable[[str], bool]) -> list[str]:
    """Return the parquet files in a folder, or else the files that `is_input` accepts."""
    found = _matching_files(file_system, f"{path.rstrip('/')}/**/*.parquet")
    if found:
        return found
    inside = _matching_files(file_system, f"{path.rstrip('/')}/**")
    shown = (name for name in inside if not name.rpartition("/")[2].startswith((".", "_")))
    return [name for name in shown if is_input(name)]


def _matching_files(file_system: Any, path: str) -> list[str]:
    """Return the names of the files in a file system that match a pattern; none if it has no
    wildcard.
    """
    if not any(character in path for character in "*?["):
        return []
    found = file_system.glob(path, detail=True).items()
    return [
        name
        for name, info in found
        if info["type"] == "file" or (info.get("islink") and file_system.isfile(name))
    ]


def _url(file_system: Any, name: str) -> str:
    """Return the URL of a file, or its plain path if it is local."""
    return name if is_local(file_system) else str(file_system.unstrip_protocol(name))


def for_each(urls: Sequence[str], ask: Callable[[str], T]) -> list[T]:
    """Return the result of `ask` for each URL, in order; up to 32 calls run at a time, in
    threads.
    """
    with ThreadPoolExecutor(_FILES_AT_A_TIME) as pool:
        return list(pool.map(ask, urls))


def split_file(url: str, part_bytes: int) -> list[FilePart]:
    """Return the parts of a file of uncompressed lines, each of `part_bytes` bytes; the last one
    may be shorter.

    A file that can be read from its beginning only is one part.
    """
    if _is_stream(url):
        return [FilePart(url)]
    starts = range(0, max(1, file_size(url)), part_bytes)
    return [FilePart(url, start, start + part_bytes) for start in starts[:-1]] + [
        FilePart(url, starts[-1], None)
    ]


def file_size(url: str) -> int:
    """Return the stored size of a file in bytes; 0 if its file system does not know the size."""
    file_system, path = url_to_fs(url)
    return int(call_store(file_system, lambda: file_system.size(path)) or 0)


def _is_stream(url: str) -> bool:
    """Return True if a file is on a web server, which may only be able to send it from its
    beginning.
    """
    return url.startswith(("http://", "https://"))


def read_blocks(url: str, start: int = 0) -> Iterator[bytes]:
    """Yield the decompressed bytes of a file in blocks, from byte `start` on.

    `start` must be 0 for a compressed file.
    """
    decompress = DECOMPRESSORS.get(name_endings(url)[1])
    blocks = _read_raw_blocks(url, start)
    return decompress(blocks) if decompress else blocks


def read_range(url: str, start: int, end: int) -> bytes:
    """Return the bytes `start` to `end` - 1 of the decompressed content of a file."""
    first = 0 if name_endings(url)[1] or _is_stream(url) else start
    content, at = [], first
    for block in read_blocks(url, first):
        content.append(block[max(0, start - at) : max(0, end - at)])
        at += len(block)
        if at >= end:
            break
    return b"".join(content)


def _read_raw_blocks(url: str, start: int) -> Iterator[bytes]:
    """Yield the bytes of a file in blocks, as stored, from byte `start` on; raise OSError, in one
    line, on failure.
    """
    try:
        with open_file(url, block_size=0 if _is_stream(url) else _READ_AHEAD_BYTES) as file:
            if start:
                file.seek(start)
            while block := file.read(_BLOCK_BYTES):
                yield block
    except FileNotFoundError:
        raise
    except Exception as error:  # each store raises errors of its own kind
        raise OSError(f"cannot read {url}: {one_line(error)}") from error


def open_file(url: str, **settings: Any) -> Any:
    """Open a file for reading; `settings` are passed to fsspec.

    Raises TimeoutError, here and in each read, if a remote store does not answer in a minute.
    """
    file_system, path = url_to_fs(url, **_request_settings(url))
    if is_local(file_system):
        return file_system.open(path, "rb")
    return _Answering(
        file_system, run_with_deadline(lambda: file_system.open(path, "rb", **settings), deadline())
    )


def _request_settings(url: str) -> dict[str, Any]:
    """Return the settings of fsspec for a URL: no time limit for a whole file on a web server."""
    if not _is_stream(url):
        return {}
    from aiohttp import ClientTimeout

    # the default is five minutes for a file, from its opening to its end
    return {"timeout": ClientTimeout(total=None)}


class _Answering(io.RawIOBase):
    """File of a remote store in which each read has a time limit."""

    def __init__(self, file_system: Any, file: Any) -> None:
        self._file_system = file_system  # that of an archive closes its files when it is not held
        self._file = file

    def read(self, size: int = -1) -> bytes:
        return bytes(run_with_deadline(lambda: self._file.read(size), deadline(max(0, size))))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
