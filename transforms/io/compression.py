"""Decompression of gzip, zstd, bzip2 and xz, a block at a time, chosen by a file's name.

Each function takes the compressed blocks of a file and yields its content in blocks. Memory is
bounded for any input: the blocks of a decompression bomb are no larger than others. Of a damaged
file the content before the damage is returned as far as its format allows; then DamagedFileError
says what is wrong.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

Blocks = Iterable[bytes]

_PIECE_BYTES = 2**20  # of content at a time
_DEFLATE_BYTES = 2**16  # given to zlib at a time: at most a thousandfold of it comes out at once
_GZIP_WINDOW = 31  # zlib's code for: expect a gzip header and check the trailer
_ZSTD_BYTES = 2**12  # given to zstd at a time: at most 128 MiB come out at once
_ZSTD_WINDOW = 2**31  # the largest window of `zstd --long=31`
_XZ_MEMORY = 2**30  # xz -9 takes 65 MB


class DamagedFileError(ValueError):
    """Error: a file cannot be read to its end, and another try does not help."""


def gunzip(blocks: Blocks) -> Iterator[bytes]:
    """Yield the decompressed content of a gzip file, given its bytes in blocks.

    The file has one or more members; zero bytes after a member are padding. Raises DamagedFileError
    after the content that can be read.

    >>> import gzip
    >>> b"".join(gunzip([gzip.compress(b"ab") + gzip.compress(b"c")]))
    b'abc'
    """
    decompressor, members, size = None, 0, 0
    for block in blocks:
        for at in range(0, len(block), _DEFLATE_BYTES):
            data = block[at : at + _DEFLATE_BYTES]
            while data := data if decompressor or not members else data.lstrip(b"\0"):
                if decompressor is None:
                    decompressor, members = zlib.decompressobj(_GZIP_WINDOW), members + 1
                content, data, problem = _inflate(decompressor, data)
                size += len(content)
                yield content
                if problem:
                    raise _corrupt("gzip", size, problem)
                decompressor = None if decompressor.eof else decompressor
    if decompressor or not members:
        raise _cut("gzip", size)


def _inflate(decompressor: Any, data: bytes) -> tuple[bytes, bytes, str]:
    """Decompress `data`; return the content, the bytes after the end of the gzip member, and the
    error text ("" if there is none).
    """
    before = decompressor.copy()
    try:
        return decompressor.decompress(data), decompressor.unused_data, ""
    except zlib.error as error:
        return _inflate_up_to_error(before, data), b"", str(error).partition(": ")[2] or str(error)


def _inflate_up_to_error(decompressor: Any, data: bytes) -> bytes:
    """Return the content that can be decompressed from `data` before an error, byte by byte."""
    content = []
    with suppress(zlib.error):
        for byte in data:
            content.append(decompressor.decompress(bytes([byte])))
    return b"".join(content)


def bunzip2(blocks: Blocks) -> Iterator[bytes]:
    """Yield the decompressed content of a bzip2 file of one or more streams, given its bytes in
    blocks.

    Raises DamagedFileError after the content that can be read.

    >>> b"".join(bunzip2([bz2.compress(b"ab") + bz2.compress(b"c")]))
    b'abc'
    """
    return _decompress("bzip2", bz2.BZ2Decompressor, blocks)


def unxz(blocks: Blocks) -> Iterator[bytes]:
    """Yield the decompressed content of an xz file of one or more streams, given its bytes in
    blocks.

    Zero bytes after a stream are padding. Raises DamagedFileError after the content that can be
    read.

    >>> b"".join(unxz([lzma.compress(b"ab") + bytes(4) + lzma.compress(b"c")]))
    b'abc'
    """
    return _decompress("xz", lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY), blocks)


def _decompress(name: str, new_decompressor: Callable[[], Any], blocks: Blocks) -> Iterator[bytes]:
    """Yield the decompressed content of a file of one or more streams, given its bytes in blocks.

    `name` names the format in errors; `new_decompressor` returns a decompressor of one stream.
    Raises DamagedFileError after the content that can be read.
    """
    decompressor, streams, size = None, 0, 0
    for block in blocks:
        data = block
        while (decompressor and not decompressor.needs_input) or data:
            if decompressor is None:
                if not (data := data.lstrip(b"\0") if streams else data):
                    break
                decompressor, streams = new_decompressor(), streams + 1
            try:
                content = decompressor.decompress(data, _PIECE_BYTES)
            except (OSError, ValueError, lzma.LZMAError) as error:
                raise _corrupt(name, size, str(error)) from error
            size += len(content)
            yield content
            data = b""
            if decompressor.eof:
                data, decompressor = decompressor.unused_data, None
    if decompressor or not streams:
        raise _cut(name, size)


def unzstd(blocks: Blocks) -> Iterator[bytes]:
    """Yield the decompressed content of a zstd file of one or more frames, given its bytes in
    blocks.

    Raises DamagedFileError after the content that can be read.

    >>> import zstandard
    >>> b"".join(unzstd([zstandard.compress(b"ab") + zstandard.compress(b"c")]))
    b'abc'
    """
    pieces = (
        block[at : at + _ZSTD_BYTES] for block in blocks for at in range(0, len(block), _ZSTD_BYTES)
    )
    return _decompress("zstd", _ZstdDecompressor, pieces)


class _ZstdDecompressor:
    """Decompressor of one zstd frame, with the methods of `bz2.BZ2Decompressor`."""

    needs_input = True

    def __init__(self) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        self._frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()

    def decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            content: bytes = self._frame.decompress(data)
        except self._error as error:
            raise ValueError(str(error)) from error
        return content

    @property
    def eof(self) -> bool:
        return bool(self._frame.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._frame.unused_data)


def _corrupt(name: str, size: int, problem: str) -> DamagedFileError:
    """Return the error for a compressed stream with wrong bytes, after `size` bytes of content."""
    return DamagedFileError(
        f"the {name} stream is corrupt after {size} bytes of content: {problem}"
    )


def _cut(name: str, size: int) -> DamagedFileError:
    """Return the error for a compressed stream that ends too early, after `size` bytes of
    content.
    """
    return DamagedFileError(f"the {name} stream ends too early, after {size} bytes of content")


# by the ending of a file's name
DECOMPRESSORS: dict[str, Callable[[Blocks], Iterator[bytes]]] = {
    ".gz": gunzip,
    ".zst": unzstd,
    ".bz2": bunzip2,
    ".xz": unxz,
}
