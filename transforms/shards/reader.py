"""Random access to a shard file on a local disk, through its index.

    sample number -> block, row -> one read of the block -> arrays (views) -> row

No tar header is parsed, and nothing is copied a second time. Blocks are read, not mapped into
memory: a file that is truncated or replaced under a map kills the process, while a read raises an
error with the name of the shard; and the memory of a reader is bounded by the blocks in use.
"""

from __future__ import annotations

import json
import os
from functools import cached_property

import numpy as np
import numpy.typing as npt
from isal.isal_zlib import crc32

from noisebeam.transforms.data.ragged import Array, IntArray, Ragged, offsets_of
from noisebeam.transforms.data.samples import FlatBatch, Sample, flat_batch
from noisebeam.transforms.shards.fields import LENGTHS, fields_of, stored_field, stored_lengths
from noisebeam.transforms.shards.format import DOCUMENTS, KEYS, WINDOWS, ShardIndex
from noisebeam.transforms.shards.info import ShardInfo


class ShardError(ValueError):
    """A shard, index or manifest is missing or damaged; the text names it and what is wrong."""


class Block:
    """Consecutive samples of a shard; the rows of a field are end to end in one array."""

    def __init__(self, arrays: dict[str, Array], size: int) -> None:
        self.arrays = arrays
        self.size = size
        self._offsets: dict[str, IntArray] = {}

    def __len__(self) -> int:
        return self.size

    @property
    def keys(self) -> npt.NDArray[np.uint64]:
        """Keys of the samples: (samples,)."""
        return self.arrays[KEYS]

    @property
    def windows(self) -> Array:
        """Index of each window in its document: (samples,)."""
        return self.arrays[WINDOWS]

    @cached_property
    def documents(self) -> list[str]:
        """Document ids of the samples."""
        try:
            return [str(document) for document in json.loads(self.arrays[DOCUMENTS].tobytes())]
        except (ValueError, TypeError, RecursionError) as error:
            raise ShardError(
                f"expected a JSON list of document ids, got something else: {error}"
            ) from error

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the samples' fields."""
        return fields_of(self.arrays)

    def values(self, field: str) -> Array:
        """Return all rows of a field end to end; raise KeyError if the samples do not have it."""
        return self.arrays[stored_field(field, self.arrays)]

    def offsets(self, field: str) -> IntArray:
        """Return where each sample's row of a field begins, and the end: (samples + 1,)."""
        if field not in self._offsets:
            self._offsets[field] = self._row_offsets(field)
        return self._offsets[field]

    def row(self, field: str, i: int) -> Array:
        """Return the row of sample i, as a view."""
        return self.column(field).row(i)

    def column(self, field: str) -> Ragged:
        """Return all rows of a field, or the keys, one a row; raise KeyError if there is no such
        field.
        """
        if field == KEYS:
            return Ragged(self.keys, np.arange(len(self.keys) + 1))
        return Ragged(self.values(field), self.offsets(field))

    def sample(self, i: int) -> Sample:
        """Return sample i of the block."""
        fields = {name: self.row(name, i) for name in self.fields}
        return Sample(int(self.keys[i]), self.documents[i], int(self.windows[i]), fields)

    def flat_batch(self, prefix_length: int) -> FlatBatch:
        """Return all samples of the block, which must have `ids`, as a flat batch; ids are not
        copied.
        """
        return flat_batch(
            {name: self.column(name) for name in self.fields}, self.keys, prefix_length
        )

    def _row_offsets(self, field: str) -> IntArray:
        if LENGTHS[field] in LENGTHS:  # a row a sentence
            return offsets_of(self.arrays[LENGTHS[field]])[self.offsets(LENGTHS[field])]
        lengths = stored_lengths(field, self.arrays)
        if lengths is None:  # the classic form: a sample a block
            return np.array([0, len(self.values(field))])
        return offsets_of(self.arrays[lengths])


class ShardReader:
    """Reader of a shard at a local path, safe to share between threads.

    It is opened with its index and, if there is one, its entry in the manifest. Raises ShardError
    if the file is missing or differs from its entry, or if the checksum of a block does not match.
    """

    def __init__(
        self, path: str | os.PathLike[str], index: bytes | ShardIndex, info: ShardInfo | None = None
    ) -> None:
        self.path = os.fspath(path)
        self.index = (
            index
            if isinstance(index, ShardIndex)
            else parse_index(index, f"{self.path} (its index)")
        )
        try:
            self._file = open(self.path, "rb", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise ShardError(
                f"cannot open shard {self.path}: {error.strerror}; build or copy it again"
            ) from error
        self._bytes = os.fstat(self._file.fileno()).st_size
        self._starts = offsets_of(self.index.samples)
        if info is not None:
            self._check(info)

    def __len__(self) -> int:
        """Return the number of samples."""
        return int(self._starts[-1])

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return len(self.index.samples)

    def size(self, i: int) -> int:
        """Return the size of block i in bytes, or what the file had of it when it was opened."""
        start, end = self.index.extent(i)
        return max(0, min(end, self._bytes) - start)

    def block(self, i: int, memory: Array | None = None) -> Block:
        """Read block i and check its checksum; the bytes go into `memory` of `size(i)` bytes, if
        given.
        """
        start, end = self.index.extent(i)
        data = np.empty(self.size(i), np.uint8) if memory is None else memory
        try:
            read = os.preadv(self._file.fileno(), [data.data], start)
        except OSError as error:
            raise ShardError(
                f"cannot read block {i} of shard {self.path}: {error.strerror}; copy it again"
            ) from error
        if read != end - start:
            raise ShardError(
                f"shard {self.path} is truncated: expected {end - start} bytes of block {i} at "
                f"byte {start}, "
                f"got {read}; build or copy it again"
            )
        checksum = crc32(data)
        if checksum != self.index.checksums[i]:
            raise ShardError(
                f"shard {self.path} is damaged in block {i}: expected CRC-32 "
                f"{self.index.checksums[i]:08x} of bytes "
                f"{start} to {end}, got {checksum:08x}; build or copy it again"
            )
        try:
            return parse_block(data, start, self.index, i)
        except ValueError as error:
            raise ShardError(
                f"shard {self.path} is not what its index tells in block {i}: {error}; build or "
                "copy it again"
            ) from error

    def locate(self, sample: int) -> tuple[int, int]:
        """Return the block of a sample, and its row in the block."""
        if not 0 <= sample < len(self):
            raise IndexError(
                f"expected a sample from 0 to {len(self) - 1} of {self.path}, got {sample}"
            )
        block = int(np.searchsorted(self._starts, sample, side="right")) - 1
        return block, sample - int(self._starts[block])

    def sample(self, i: int) -> Sample:
        """Return sample i of the shard, from 0."""
        block, row = self.locate(i)
        return self.block(block).sample(row)

    def close(self) -> None:
        """Close the file; blocks that were read stay valid."""
        self._file.close()

    def _check(self, info: ShardInfo) -> None:
        if self._bytes != info.bytes:
            wrong = "is truncated" if self._bytes < info.bytes else "has another size"
            raise ShardError(
                f"shard {self.path} {wrong}: expected {info.bytes} bytes, got {self._bytes}; build "
                "or copy it again"
            )
        if len(self) != info.samples:
            raise ShardError(
                f"the index of shard {self.path} is wrong: expected {info.samples} samples, got "
                f"{len(self)}; "
                "build or copy it again"
            )


def parse_index(data: bytes, name: str) -> ShardIndex:
    """Return the index of a shard; raise ShardError, with its name, if it is not valid."""
    try:
        return ShardIndex.from_bytes(data)
    except ValueError as error:
        raise ShardError(
            f"the index {name} cannot be read: {error}; build or copy it again"
        ) from error


def parse_block(data: bytes | Array, start: int, index: ShardIndex, block: int) -> Block:
    """Return a block from its bytes, which are at byte `start` of the shard."""
    arrays = index.arrays(block, data, start)
    for array in arrays.values():
        array.flags.writeable = False
    return Block(arrays, int(index.samples[block]))
