"""Input files: finding them, and reading their bytes in blocks, decompressed by their names'
endings.

Files are anywhere that fsspec reaches: a local path, `s3://`, `gs://`, `https://`, `memory://`, ...
Bytes come in blocks of no particular size, and memory stays bounded by them. A file that is damaged
gives all it holds before the damage; then `DamagedFileError` says what is wrong. Errors of access
(a network that fails, a missing permission) stay the `OSError` they are, so that a runner tries
again.
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

_BLOCK_BYTES = (
    2**20
)  # of one read; few enough to bound memory, many enough that a read's overhead is nothing
_FILES_AT_A_TIME = 32
_READ_AHEAD_BYTES = 8 * 2**20  # of one request to a remote store


@dataclass(frozen=True, slots=True)
class FilePart:
    """The records of a file whose first byte lies in `start` to `end` (half-open, bytes of the
    file; None: its end).

    Of a parquet file `start` and `end` count row groups. (0, None) is a whole file.
    """

    url: str
    start: int = 0
    end: int | None = None


def expand_inputs(patterns: Sequence[str]) -> list[str]:
    """The files that match at least one pattern, sorted, each once.

    A pattern is a path or fsspec URL, in which `*`, `?`, `[...]` and `**` (any folders) may stand;
    local paths come back absolute. A folder of parquet files, as Hugging Face data sets are, stands
    for these. A pattern that matches no file raises `InputError`.
    """
    return sorted({url for pattern in patterns for url in _expand(pattern)})


def _expand(pattern: str) -> list[str]:
    try:
        file_system, path = url_to_fs(pattern)
        is_file = call_store(file_system, lambda: file_system.isfile(path))
        names = [path] if is_file else _matching_files(file_system, path)
    except Exception as error:  # file systems raise errors of their own kinds
        raise InputError(f"input: cannot open {pattern!r}: {one_line(error)}") from error
    if not names and file_system.isdir(path):
        names = _matching_files(file_system, f"{path.rstrip('/')}/**/*.parquet")
    if not names:
        hint = (
            "is a folder; add a pattern such as '/*.jsonl.gz'"
            if file_system.isdir(path)
            else "matches no file"
        )
        raise InputError(f"input: {pattern!r} {hint}")
    archive = pattern.partition("::")[
        2
    ]  # of a chained URL, such as zip://*.jsonl::s3://bucket/all.zip
    return [_url(file_system, name) + ("::" + archive if archive else "") for name in names]


def _matching_files(file_system: Any, path: str) -> list[str]:
    if not any(character in path for character in "*?["):
        return []
    found = file_system.glob(path, detail=True).items()
    return [
        name
        for name, info in found
        if info["type"] == "file" or (info.get("islink") and file_system.isfile(name))
    ]


def _url(file_system: Any, name: str) -> str:
    return name if is_local(file_system) else str(file_system.unstrip_protocol(name))


def for_each(urls: Sequence[str], ask: Callable[[str], T]) -> list[T]:
    """What `ask` tells of each file, in their order; a remote store is asked about many files at a
    time.
    """
    with ThreadPoolExecutor(_FILES_AT_A_TIME) as pool:
        return list(pool.map(ask, urls))


def split_file(url: str, part_bytes: int) -> list[FilePart]:
    """The parts of a file of uncompressed lines, `part_bytes` bytes each but for the last."""
    if _is_stream(url):
        return [FilePart(url)]
    starts = range(0, max(1, file_size(url)), part_bytes)
    return [FilePart(url, start, start + part_bytes) for start in starts[:-1]] + [
        FilePart(url, starts[-1], None)
    ]


def file_size(url: str) -> int:
    """The bytes of a file as it lies; 0 where its store does not tell."""
    file_system, path = url_to_fs(url)
    return int(call_store(file_system, lambda: file_system.size(path)) or 0)


def _is_stream(url: str) -> bool:
    """Whether a file is read from its beginning only, as many web servers give no ranges."""
    return url.startswith(("http://", "https://"))


def read_blocks(url: str, start: int = 0) -> Iterator[bytes]:
    """The bytes of a file from byte `start` on, decompressed; `start` must be 0 for a compressed
    file.
    """
    decompress = DECOMPRESSORS.get(name_endings(url)[1])
    blocks = _read_raw_blocks(url, start)
    return decompress(blocks) if decompress else blocks


def read_range(url: str, start: int, end: int) -> bytes:
    """Bytes `start` to `end` (exclusive) of a file, decompressed."""
    first = 0 if name_endings(url)[1] or _is_stream(url) else start
    content, at = [], first
    for block in read_blocks(url, first):
        content.append(block[max(0, start - at) : max(0, end - at)])
        at += len(block)
        if at >= end:
            break
    return b"".join(content)


def _read_raw_blocks(url: str, start: int) -> Iterator[bytes]:
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
    """A file to read from, opened with fsspec's `settings`.

    TimeoutError, here and in each read, if its store does not answer in a minute.
    """
    file_system, path = url_to_fs(url, **_request_settings(url))
    if is_local(file_system):
        return file_system.open(path, "rb")
    return _Answering(
        file_system, run_with_deadline(lambda: file_system.open(path, "rb", **settings), deadline())
    )


def _request_settings(url: str) -> dict[str, Any]:
    if not _is_stream(url):
        return {}
    from aiohttp import ClientTimeout

    return {
        "timeout": ClientTimeout(total=None)
    }  # the default is five minutes for a file, from its opening to its end


class _Answering(io.RawIOBase):
    """A file of a store that may fall silent."""

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
