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
    """Error: a shard, index or manifest is missing or damaged; the text names it and says what is
    wrong.
    """


class Block:
    """Consecutive samples of a shard, as arrays; the rows of a field are one after another in one
    array.

    `arrays` are the stored arrays by name, `size` is the number of samples.
    """

    def __init__(self, arrays: dict[str, Array], size: int) -> None:
        self.arrays = arrays
        self.size = size
        self._offsets: dict[str, IntArray] = {}

    def __len__(self) -> int:
        return self.size

    @property
    def keys(self) -> npt.NDArray[np.uint64]:
        """Keys of the samples of this block: (samples,) uint64."""
        return self.arrays[KEYS]

    @property
    def windows(self) -> Array:
        """Number of the window of each sample in its document: (samples,)."""
        return self.arrays[WINDOWS]

    @cached_property
    def documents(self) -> list[str]:
        """Id of the document of each sample of this block."""
        try:
            return [str(document) for document in json.loads(self.arrays[DOCUMENTS].tobytes())]
        except (ValueError, TypeError, RecursionError) as error:
            raise ShardError(
                f"expected a JSON list of document ids, got something else: {error}"
            ) from error

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields of this block's samples."""
        return fields_of(self.arrays)

    def values(self, field: str) -> Array:
        """Return the values of a field of all samples, one sample after another; raise KeyError if
        the samples do not have it.
        """
        return self.arrays[stored_field(field, self.arrays)]

    def offsets(self, field: str) -> IntArray:
        """Return where the values of each sample begin in the values of a field, and the total:
        (samples + 1,).
        """
        if field not in self._offsets:
            self._offsets[field] = self._row_offsets(field)
        return self._offsets[field]

    def row(self, field: str, i: int) -> Array:
        """Return the values of a field of sample `i`, as a view."""
        return self.column(field).row(i)

    def column(self, field: str) -> Ragged:
        """Return a field of all samples, or the keys, as a ragged array with a row for each sample;
        raise KeyError if there is no such field.
        """
        if field == KEYS:
            return Ragged(self.keys, np.arange(len(self.keys) + 1))
        return Ragged(self.values(field), self.offsets(field))

    def sample(self, i: int) -> Sample:
        """Return sample `i` of this block."""
        fields = {name: self.row(name, i) for name in self.fields}
        return Sample(int(self.keys[i]), self.documents[i], int(self.windows[i]), fields)

    def flat_batch(self, prefix_length: int) -> FlatBatch:
        """Return all samples of this block, which must have `ids`, as a flat batch; ids are not
        copied.

        Each sample begins with `prefix_length` special tokens.
        """
        return flat_batch(
            {name: self.column(name) for name in self.fields}, self.keys, prefix_length
        )

    def _row_offsets(self, field: str) -> IntArray:
        """Return where the values of each sample begin in the values of a field, and the total,
        computed from stored lengths.
        """
        if LENGTHS[field] in LENGTHS:  # a row a sentence
            return offsets_of(self.arrays[LENGTHS[field]])[self.offsets(LENGTHS[field])]
        lengths = stored_lengths(field, self.arrays)
        if lengths is None:  # the classic form: a sample a block
            return np.array([0, len(self.values(field))])
        return offsets_of(self.arrays[lengths])


class ShardReader:
    """Reader of a shard file on a local disk, safe to share between threads.

    It is opened with the shard's index and, if given, its entry in the manifest. Raises ShardError
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
        """Return the number of samples of this shard."""
        return int(self._starts[-1])

    @property
    def blocks(self) -> int:
        """Number of blocks of this shard."""
        return len(self.index.samples)

    def size(self, i: int) -> int:
        """Return the size of block `i` in bytes, or the part of it that the file has if it is too
        short.
        """
        start, end = self.index.extent(i)
        return max(0, min(end, self._bytes) - start)

    def block(self, i: int, memory: Array | None = None) -> Block:
        """Read block `i` of this shard, and check its checksum; raise ShardError if it is damaged.

        The bytes are read into `memory`, (`size(i)`,) uint8, if that is given.
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
        """Return the block of a sample, given its index in this shard, and its row in the block;
        raise IndexError if there is no such sample.
        """
        if not 0 <= sample < len(self):
            raise IndexError(
                f"expected a sample from 0 to {len(self) - 1} of {self.path}, got {sample}"
            )
        block = int(np.searchsorted(self._starts, sample, side="right")) - 1
        return block, sample - int(self._starts[block])

    def sample(self, i: int) -> Sample:
        """Return sample `i` of this shard, from 0."""
        block, row = self.locate(i)
        return self.block(block).sample(row)

    def close(self) -> None:
        """Close the file of this shard; blocks that were read stay valid."""
        self._file.close()

    def _check(self, info: ShardInfo) -> None:
        """Raise ShardError if the size of the file or the number of samples differs from the entry
        in the manifest.
        """
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
    """Return the index of a shard from the bytes of its file; raise ShardError, with the name of
    the file, if it is not valid.
    """
    try:
        return ShardIndex.from_bytes(data)
    except ValueError as error:
        raise ShardError(
            f"the index {name} cannot be read: {error}; build or copy it again"
        ) from error


def parse_block(data: bytes | Array, start: int, index: ShardIndex, block: int) -> Block:
    """Return block number `block` of a shard from its bytes, which begin at byte `start` of the
    shard; arrays are read-only views.
    """
    arrays = index.arrays(block, data, start)
    for array in arrays.values():
        array.flags.writeable = False
    return Block(arrays, int(index.samples[block]))
