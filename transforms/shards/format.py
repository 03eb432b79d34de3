"""The bytes of a shard: arrays of a block as `.npy` members of a tar, and the index beside it.

    tar    | header | ids.npy | header | lengths.npy | ... | next block ... |
    index  position, dtype and count of each member; checksum of each block; length of each sample

A shard is a plain tar in WebDataset's convention. A *block* of samples is one WebDataset sample,
`KEY.ids.npy`, `KEY.lengths.npy` and so on, in which the rows of all its samples are end to end.
`webdataset.WebDataset(url).decode()` reads it, and one line divides a block into samples:

>>> ids, lengths = np.array([0, 7, 2, 0, 8, 9, 2], np.uint16), np.array([3, 4], np.uint16)
>>> block = {"ids.npy": ids, "lengths.npy": lengths}
>>> [row.tolist() for row in np.split(block["ids.npy"], np.cumsum(block["lengths.npy"])[:-1])]
[[0, 7, 2], [0, 8, 9, 2]]

Every byte is a function of the arrays: no time, no owner, no header that depends on a library's
version.
"""

from __future__ import annotations

import io
import math
import re
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray

KEYS, WINDOWS, DOCUMENTS = "keys", "windows", "documents.json"
NPY_HEADER = 128  # bytes: what numpy writes for any flat array
TAR_HEADER = 512  # bytes
ALIGNED = 64  # bytes: of which the place of every array in a shard is a multiple

_MOST = 2**56  # of any number in an index: sums of a few do not overflow


def field_dtypes(
    vocabulary_size: int, max_tokens: int, labels_masked: bool
) -> dict[str, np.dtype[np.generic]]:
    """Return the dtype of each array that a shard may store, by name: the smallest that can hold
    all values of a data set.

    The dtypes are the same for all shards, so that shards can be read as one array. Only `windows`,
    which no model reads, has in each shard the smallest dtype that fits; here it is the largest.
    With `labels_masked`, labels may be -100. Noise may lengthen a sample to twice its tokens.

    >>> field_dtypes(50265, 512, labels_masked=False)["ids"].name
    'uint16'
    """
    token, length, twice = (
        np.min_scalar_type(top) for top in (vocabulary_size - 1, max_tokens, 2 * max_tokens)
    )
    return {
        "ids": token,
        "lengths": length,
        "sentence_lengths": length,
        "sentence_counts": length,
        "head_lengths": length,
        "alternative_lengths": twice,
        "alternatives": token,
        "input_ids": token,
        "input_lengths": twice,
        "labels": np.result_type(np.min_scalar_type(-vocabulary_size), np.int16)
        if labels_masked
        else token,
        "label_lengths": twice,
        "position_ids": twice,
        "block_position_ids": twice,
        KEYS: np.dtype(np.uint64),
        WINDOWS: np.dtype(np.uint32),
    }


def block_key(shard: int, block: int) -> str:
    """Return the WebDataset key of a block, which is unique in its data set and has no dot.

    >>> block_key(12, 3)
    '000012-00000003'
    """
    return f"{shard:06d}-{block:08d}"


def check_fit(name: str, values: Array, dtype: np.dtype[np.generic]) -> Array:
    """Return `values` unchanged; raise ValueError, with the name of the array, if one of them does
    not fit `dtype`.

    >>> check_fit("ids", np.array([70000]), np.dtype(np.uint16))
    Traceback (most recent call last):
    ValueError: expected ids from 0 to 65535 (uint16), got 70000; give a dtype that holds it
    """
    if values.dtype != dtype and len(values):
        bounds = np.iinfo(dtype.name)
        low, high = int(values.min()), int(values.max())
        if low < bounds.min or high > bounds.max:
            worst = low if low < bounds.min else high
            raise ValueError(
                f"expected {name} from {bounds.min} to {bounds.max} ({dtype.name}), got {worst}; "
                "give a dtype that holds it"
            )
    return values


def npy_header(values: Array) -> bytes:
    """Return the header of a `.npy` file that contains a flat array."""
    header = (
        f"{{'descr': '{values.dtype.str}', 'fortran_order': False, 'shape': ({len(values)},), }}"
    )
    return (
        b"\x93NUMPY\x01\x00"
        + (NPY_HEADER - 10).to_bytes(2, "little")
        + header.ljust(117).encode()
        + b"\n"
    )


def npy_bytes(values: Array) -> bytes:
    """Return a flat array as the bytes of a `.npy` file, exactly as `numpy.save` writes it."""
    return npy_header(values) + values.tobytes()


def tar_header(name: str, size: int) -> bytes:
    """Return the ustar header of a file in a tar, given its name and its size in bytes.

    It is that of `tarfile`, made in a quarter of the time. Raises ValueError for a name of over 100
    characters or a file of 8 GiB or more, which the form cannot hold.
    """
    if len(name) > 100 or size >= 8**11:
        raise ValueError(
            f"expected a name of at most 100 characters and less than 8 GiB, got {name} of "
            f"{size:,} bytes"
        )
    header = bytearray(_HEADER)
    header[: len(name)] = name.encode("ascii")
    header[124:135] = b"%011o" % size
    header[148:156] = b"%06o\x00 " % (sum(header[:148]) + sum(b" " * 8) + sum(header[156:]))
    return bytes(header)


_HEADER = tarfile.TarInfo().tobuf(tarfile.USTAR_FORMAT)  # of an empty file without a name
TAR_END = bytes(2 * TAR_HEADER)


_INTEGER = re.compile(r"[<|][iu][1248]")
# What numpy writes before an array of one dimension or two; to parse it as Python takes ten times
# as long.
_NPY = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<|][iuU]\d+)', 'fortran_order': False, "
    rb"'shape': \((\d+(?:,|, \d+))\), \} *\n",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Index of a shard: the position of every array in it, so that blocks can be read without
    parsing tar headers.

    Member m (one array) of block b has `counts[b, m]` items of dtype `dtypes[m]` from byte
    `positions[b, m]` on. `names` are the names of the members. `samples` (blocks,) is the number of
    samples of each block, `checksums` (blocks,) the CRC-32 of its bytes, `lengths` (samples,) the
    tokens of each sample of the shard.
    """

    # (members,): keys, ..., lengths, ids, ..., and last documents.json, which is bytes
    names: tuple[str, ...]
    dtypes: tuple[str, ...]  # (members,): '<u2', '|u1', ...
    positions: IntArray  # (blocks, members)
    counts: IntArray  # (blocks, members)
    samples: IntArray  # (blocks,): samples of each block
    # (blocks,): CRC-32 of the block's bytes, from its first tar header to the end of its last
    # member
    checksums: IntArray
    lengths: Array  # (all samples,): tokens of each sample

    def extent(self, block: int) -> tuple[int, int]:
        """Return the first byte of a block in the shard and its end (exclusive), from its first tar
        header to the end of its last member.
        """
        start = int(self.positions[block, 0]) - TAR_HEADER - NPY_HEADER
        size = int(self.counts[block, -1]) * np.dtype(self.dtypes[-1]).itemsize
        return start, int(self.positions[block, -1]) + size

    def arrays(self, block: int, data: bytes | Array, start: int = 0) -> dict[str, Array]:
        """Return the arrays of a block by name, as views of `data`.

        `data` are bytes of the shard from byte `start` on.
        """
        counts, places = self.counts[block].tolist(), (self.positions[block] - start).tolist()
        members = zip(self.names, self.dtypes, counts, places, strict=True)
        return {name: np.frombuffer(data, dtype, count, at) for name, dtype, count, at in members}

    def to_bytes(self) -> bytes:
        """Return the index as the bytes of an uncompressed `.npz` file, which `numpy.load`
        reads.
        """
        arrays: Mapping[str, Array] = {
            "names": np.array(self.names, dtype="U32"),
            "dtypes": np.array(self.dtypes, dtype="U8"),
            "positions": self.positions,
            "counts": self.counts,
            "samples": self.samples,
            "checksums": self.checksums,
            "lengths": self.lengths,
        }
        return _npz_bytes(arrays)

    @classmethod
    def from_bytes(cls, data: bytes) -> ShardIndex:
        """Return the index that `to_bytes` wrote; raise ValueError if the bytes are not an
        index.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                values = {
                    entry.name: _stored_array(archive, f"{entry.name}.npy") for entry in fields(cls)
                }
            names, dtypes = (
                tuple(str(text) for text in values.pop(name)) for name in ("names", "dtypes")
            )
            index = cls(names, dtypes, **values)
            index._check()
        except (
            ValueError,
            KeyError,
            TypeError,
            EOFError,
            OSError,
            RuntimeError,
            zipfile.BadZipFile,
        ) as error:
            raise ValueError(f"not a shard index: {error}") from error
        return index

    def _check(self) -> None:
        """Raise ValueError if the arrays cannot be the index of a shard."""
        shape, blocks = (len(self.samples), len(self.names)), (len(self.samples),)
        arrays = (self.positions, self.counts, self.samples, self.checksums, self.lengths)
        shapes = [array.shape for array in arrays]
        if shapes != [shape, shape, blocks, blocks, (len(self.lengths),)] or len(
            self.dtypes
        ) != len(self.names):
            raise ValueError(f"arrays of shapes {', '.join(map(str, shapes))} do not go together")
        for array in arrays:
            if array.dtype.kind not in "iu" or np.any(array < 0) or np.any(array > _MOST):
                raise ValueError(f"expected integers from 0 to {_MOST}, got others")
        if not all(_INTEGER.fullmatch(dtype) for dtype in self.dtypes):
            raise ValueError(f"expected dtypes of integers, got {', '.join(self.dtypes)}")
        if np.any(self.positions % ALIGNED):
            raise ValueError(f"expected arrays at multiples of {ALIGNED} bytes, got others")
        if np.any(self.positions[:, :1] < TAR_HEADER + NPY_HEADER) or sum(
            self.samples.tolist()
        ) != len(self.lengths):
            raise ValueError(
                "expected blocks after their headers, and a length for each sample, got others"
            )


def _stored_array(archive: zipfile.ZipFile, name: str) -> Array:
    """Return an array from an uncompressed `.npz`; it takes no more memory than the archive.

    Raises ValueError if it is compressed or not of integers or text.
    """
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    content = archive.read(name)
    if (header := _NPY.match(content)) is None:
        raise ValueError(f"{name} is no array of integers or text in format 1.0")
    dtype, shape = (
        np.dtype(header[1].decode()),
        tuple(map(int, header[2].rstrip(b",").split(b", "))),
    )
    if math.prod(shape) * dtype.itemsize != len(content) - header.end():
        raise ValueError(
            f"{name} claims the shape {shape} of {dtype} in {len(content) - header.end()} bytes"
        )
    return np.frombuffer(content, dtype, offset=header.end()).reshape(shape)


def _npz_bytes(arrays: Mapping[str, Array]) -> bytes:
    """Return arrays, by name, as the bytes of an uncompressed `.npz` file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, values in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980
            entry.create_system = 3
            content = io.BytesIO()
            np.lib.format.write_array(
                content, np.ascontiguousarray(values), version=(1, 0), allow_pickle=False
            )
            archive.writestr(entry, content.getvalue())
    return buffer.getvalue()
