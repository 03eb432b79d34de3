import io
import re
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from noisebeam.transforms.shards import format as shard_format
from noisebeam.transforms.shards.fields import LENGTHS
from noisebeam.transforms.shards.format import (
    ShardIndex,
    check_fit,
    field_dtypes,
    npy_bytes,
    tar_header,
)


@given(hnp.arrays(st.sampled_from(["<u1", "<u2", "<i4", "<u8"]), st.integers(0, 300)))
def test_npy_bytes_are_those_of_numpy(values):
    file = io.BytesIO()
    np.save(file, values)
    assert npy_bytes(values) == file.getvalue()


def test_tar_members_make_a_plain_ustar_tar():
    data = (
        tar_header("a.ids.npy", 600)
        + b"x" * 600
        + bytes(-600 % 512)
        + tar_header("b", 0)
        + shard_format.TAR_END
    )
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = archive.getmembers()
        assert [(m.name, m.size, m.mtime, m.mode, m.uid, m.gid, m.uname) for m in members] == [
            ("a.ids.npy", 600, 0, 0o644, 0, 0, ""),
            ("b", 0, 0, 0o644, 0, 0, ""),
        ]
        assert all(not member.pax_headers for member in members)
    assert data[257:265] == b"ustar\x0000"


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=100),
    st.integers(0, 8**11 - 1),
)
def test_tar_headers_are_those_of_tarfile(name, size):
    header = tarfile.TarInfo(name)
    header.size = size
    assert tar_header(name, size) == header.tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize(("name", "size"), [("x" * 101, 0), ("a.ids.npy", 8**11)])
def test_what_no_header_has_room_for_is_an_error(name, size):
    with pytest.raises(
        ValueError,
        match=f"expected a name of at most 100 characters and less than 8 GiB, got {name}",
    ):
        tar_header(name, size)


@pytest.mark.parametrize(
    ("vocabulary_size", "max_tokens", "masked", "expected"),
    [
        (
            256,
            127,
            False,
            {"ids": "uint8", "lengths": "uint8", "input_lengths": "uint8", "labels": "uint8"},
        ),
        (
            257,
            255,
            False,
            {"ids": "uint16", "lengths": "uint8", "input_lengths": "uint16", "labels": "uint16"},
        ),
        (30522, 512, True, {"ids": "uint16", "lengths": "uint16", "labels": "int16"}),
        (32769, 512, True, {"ids": "uint16", "labels": "int32"}),  # 32768 does not fit int16
        (
            70000,
            65536,
            False,
            {"ids": "uint32", "lengths": "uint32", "labels": "uint32", "keys": "uint64"},
        ),
    ],
)
def test_field_dtypes_are_the_smallest_that_fit(vocabulary_size, max_tokens, masked, expected):
    dtypes = field_dtypes(vocabulary_size, max_tokens, masked)
    assert {name: dtypes[name].name for name in expected} == expected


def test_every_field_and_its_lengths_have_a_dtype():
    dtypes = field_dtypes(100, 10, labels_masked=False)
    assert {*LENGTHS, *LENGTHS.values(), "keys", "windows"} == dtypes.keys()


@pytest.mark.parametrize(("values", "worst"), [([0, 256], 256), ([-1, 3], -1)])
def test_a_value_that_does_not_fit_is_an_error(values, worst):
    with pytest.raises(
        ValueError, match=rf"expected ids from 0 to 255 \(uint8\), got {worst}; give a dtype"
    ):
        check_fit("ids", np.array(values), np.dtype(np.uint8))


def _index(samples: int = 3) -> ShardIndex:
    return ShardIndex(
        names=("keys", "ids", "documents.json"),
        dtypes=("<u8", "<u2", "|u1"),
        positions=np.array([[640, 1280, 1792]]),
        counts=np.array([[samples, 20, 9]]),
        samples=np.array([samples]),
        checksums=np.array([7]),
        lengths=np.array([5, 7, 8], np.uint16),
    )


def test_an_index_reads_back():
    index, again = _index(), ShardIndex.from_bytes(_index().to_bytes())
    assert (again.names, again.dtypes) == (index.names, index.dtypes)
    for name in ("positions", "counts", "samples", "checksums", "lengths"):
        np.testing.assert_array_equal(getattr(again, name), getattr(index, name))
    assert again.to_bytes() == index.to_bytes()
    assert again.extent(0) == (0, 1801)


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"not an index", _index().to_bytes()[:-40], npy_bytes(np.arange(3))]
)
def test_other_bytes_are_no_index(data):
    with pytest.raises(ValueError, match="not a shard index: "):
        ShardIndex.from_bytes(data)


def test_an_index_that_numpy_wrote_reads_back():
    content = io.BytesIO()
    with np.load(io.BytesIO(_index().to_bytes())) as arrays:
        np.savez(content, **arrays)
    assert ShardIndex.from_bytes(content.getvalue()).to_bytes() == _index().to_bytes()


@pytest.mark.parametrize(
    "positions", [np.array([[6.4]]), np.asfortranarray(np.ones((2, 2), int)), np.array([[None]])]
)
def test_an_array_of_another_kind_is_named(positions):
    content = io.BytesIO()
    with np.load(io.BytesIO(_index().to_bytes())) as arrays:
        np.savez(content, **{**arrays, "positions": positions})
    with pytest.raises(
        ValueError, match=r"positions\.npy is no array of integers or text in format 1\.0"
    ):
        ShardIndex.from_bytes(content.getvalue())


@pytest.mark.parametrize("dtype", ["01,i2", "(1,i2", ",,", "<f8", "<i3", "|O", ""])
def test_dtypes_that_are_no_integers_are_named(dtype):
    index = replace(_index(), dtypes=("<u8", dtype, "|u1"))
    with pytest.raises(
        ValueError, match=f"expected dtypes of integers, got <u8, {re.escape(dtype)}, "
    ):
        ShardIndex.from_bytes(index.to_bytes())
