from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.io.compression import DECOMPRESSORS, DamagedFileError
from noisebeam.transforms.io.input_files import read_blocks

Compress = Callable[[bytes], bytes]

COMPRESSORS: dict[str, Compress] = {
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
NAMES = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}
formats = pytest.mark.parametrize("ending", COMPRESSORS)


def sliced(content: bytes, size: int) -> list[bytes]:
    return [content[i : i + size] for i in range(0, len(content), size)]


def damaged(ending: str, blocks: list[bytes]) -> tuple[bytes, str]:
    content = []
    with pytest.raises(DamagedFileError) as caught:  # noqa: PT012 - the loop is what raises
        for block in DECOMPRESSORS[ending](blocks):
            content.append(block)
    return b"".join(content), str(caught.value)


def test_each_is_tested() -> None:
    assert COMPRESSORS.keys() == DECOMPRESSORS.keys()


@formats
@given(members=st.lists(st.binary(max_size=300), min_size=1, max_size=4), size=st.integers(1, 50))
def test_members_are_read_in_blocks_of_any_size(
    ending: str, members: list[bytes], size: int
) -> None:
    file = b"".join(map(COMPRESSORS[ending], members))
    assert b"".join(DECOMPRESSORS[ending](sliced(file, size))) == b"".join(members)


@pytest.mark.parametrize("ending", [".gz", ".xz"])
@pytest.mark.parametrize("size", [1, 4, 50, 1000])
def test_zero_bytes_after_a_member_are_padding(ending: str, size: int) -> None:
    file = COMPRESSORS[ending](b"ab") + bytes(8) + COMPRESSORS[ending](b"c") + bytes(512)
    assert b"".join(DECOMPRESSORS[ending](sliced(file, size))) == b"abc"


@formats
@given(content=st.binary(max_size=400), data=st.data(), size=st.integers(1, 50))
def test_a_file_cut_anywhere_gives_a_beginning_and_an_error(
    ending: str, content: bytes, data: st.DataObject, size: int
) -> None:
    file = COMPRESSORS[ending](content)
    cut = data.draw(st.integers(0, len(file) - 1))
    got, reason = damaged(ending, sliced(file[:cut], size))
    assert content.startswith(got)
    assert reason == f"the {NAMES[ending]} stream ends too early, after {len(got)} bytes of content"


@formats
@given(content=st.binary(min_size=1, max_size=400), data=st.data())
def test_a_changed_byte_never_crashes_and_is_told_or_harmless(
    ending: str, content: bytes, data: st.DataObject
) -> None:
    file = bytearray(COMPRESSORS[ending](content))
    file[data.draw(st.integers(0, len(file) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(DamagedFileError):
        assert b"".join(DECOMPRESSORS[ending]([bytes(file)])) == content


def test_all_before_a_corrupt_byte_of_gzip_is_read() -> None:
    content = os.urandom(200_000)  # stored as it is, so that the damage meets known content
    file = bytearray(gzip.compress(content, compresslevel=0))
    header_of_third_block = file.index(content[100_000:100_032]) + 40_000
    got, reason = damaged(".gz", [bytes(file[:header_of_third_block]) + b"\xff" * 100_000])
    assert len(got) > 65_535
    assert content.startswith(got[:130_000])
    assert f"the gzip stream is corrupt after {len(got)} bytes of content: " in reason


@pytest.mark.parametrize(
    ("ending", "file", "content", "reason"),
    [
        (".gz", b"plain text", b"", "is corrupt after 0 bytes of content: incorrect header check"),
        (
            ".gz",
            gzip.compress(b"whole") + b"junk",
            b"whole",
            "is corrupt after 5 bytes of content: incorrect header",
        ),
        (
            ".gz",
            gzip.compress(b"whole")[:-8] + bytes(8),
            b"whole",
            "is corrupt after 5 bytes of content: incorrect data",
        ),
        (".zst", b"plain text", b"", "is corrupt after 0 bytes of content: zstd decompress"),
        (".bz2", b"plain text", b"", "is corrupt after 0 bytes of content: Invalid data stream"),
        (
            ".xz",
            b"plain text, of a dozen bytes",
            b"",
            "is corrupt after 0 bytes of content: Input format",
        ),
    ],
)
def test_what_is_something_else_is_named(
    ending: str, file: bytes, content: bytes, reason: str
) -> None:
    got, message = damaged(ending, [file])
    assert got == content
    assert reason in message


@pytest.mark.parametrize(
    ("ending", "megabytes", "longest"),
    [(".gz", 200, 128), (".zst", 300, 128), (".bz2", 20, 1), (".xz", 20, 1)],
)
def test_a_bomb_comes_out_in_pieces(ending: str, megabytes: int, longest: int) -> None:
    bomb = COMPRESSORS[ending](bytes(megabytes * 2**20))
    assert len(bomb) < 2**18
    sizes = [len(piece) for piece in DECOMPRESSORS[ending]([bomb])]
    assert sum(sizes) == megabytes * 2**20
    assert max(sizes) <= longest * 2**20


@pytest.mark.parametrize(
    ("ending", "command"), [(".gz", "gzip"), (".bz2", "bzip2"), (".xz", "xz"), (".zst", "zstd")]
)
def test_files_of_the_usual_tools_are_read(ending: str, command: str, tmp_path: Path) -> None:
    if shutil.which(command) is None:
        pytest.skip(f"{command} is not installed")
    content = b"".join(b"line %d\n" % i for i in range(100_000))
    (tmp_path / "x").write_bytes(content)
    subprocess.run([command, "-q", tmp_path / "x"], check=True)
    assert b"".join(read_blocks(str(tmp_path / f"x{ending}"))) == content
