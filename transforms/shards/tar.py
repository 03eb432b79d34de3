"""The bytes of a shard: a tar in which each array is written at the position that the index
names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
from isal.isal_zlib import crc32

from noisebeam.transforms.data.ragged import Array, IntArray, Ragged, offsets_of
from noisebeam.transforms.shards.fields import LENGTHS, Column, redundant_fields
from noisebeam.transforms.shards.format import (
    DOCUMENTS,
    KEYS,
    NPY_HEADER,
    TAR_END,
    TAR_HEADER,
    WINDOWS,
    ShardIndex,
    block_key,
    check_fit,
    npy_header,
    tar_header,
)
from noisebeam.transforms.shards.sample_table import SampleTable

DTypes = Mapping[str, np.dtype[np.generic]]


def shard_tar(
    samples: SampleTable, order: IntArray, shard: int, dtypes: DTypes, samples_per_member: int
) -> tuple[Array, ShardIndex]:
    """Return the bytes of a shard, (bytes,) uint8, and its index.

    `order` (samples,) are the indexes of the samples in the order of the shard, `shard` its number.
    `dtypes` has the dtype of each array by name. Raises ValueError if a value does not fit its
    dtype.
    """
    columns = _columns(samples)
    dtypes = {**dtypes, WINDOWS: np.min_scalar_type(int(samples.windows.max(initial=0)))}
    blocks = [
        order[first : first + samples_per_member]
        for first in range(0, len(order), samples_per_member)
    ]
    texts = [_documents(samples, rows) for rows in blocks]
    names = _stored(columns, dtypes, samples_per_member) if blocks else ()
    types = [*(dtypes[name].newbyteorder("<") for name in names), np.dtype(np.uint8)]
    items = [
        [*(_items(columns[name], rows) for name in names), len(text)]
        for rows, text in zip(blocks, texts, strict=True)
    ]
    index = ShardIndex(
        names=(*names, DOCUMENTS),
        dtypes=tuple(dtype.str for dtype in types),
        positions=np.zeros((len(blocks), len(types)), np.int64),
        counts=np.array(items, np.int64).reshape(len(blocks), len(types)),
        samples=np.array(list(map(len, blocks)), np.int64),
        checksums=np.zeros(len(blocks), np.int64),
        lengths=_lengths(columns, order, dtypes),
    )
    tar = np.zeros(_lay_out(index) + len(TAR_END), np.uint8)
    for number, rows in enumerate(blocks):
        arrays = [
            *(_taken(columns[name], rows) for name in names),
            np.frombuffer(texts[number], np.uint8),
        ]
        _write_block(tar, index, number, block_key(shard, number), arrays)
    return tar, index


def _columns(samples: SampleTable) -> dict[str, Column]:
    """Return all arrays that a shard may store of these samples, by name: fields, and the lengths
    of their rows.
    """
    columns: dict[str, Column] = {KEYS: samples.keys, WINDOWS: samples.windows}
    present = [name for name in LENGTHS if name in samples.fields]
    for name in present:
        if LENGTHS[name] not in LENGTHS:
            columns.setdefault(LENGTHS[name], samples.fields[name].lengths)
    return columns | {name: samples.fields[name] for name in present}


def _stored(
    columns: Mapping[str, Column], dtypes: DTypes, samples_per_member: int
) -> tuple[str, ...]:
    """Return the names of the arrays that the shard stores, without those that equal another
    array.
    """
    unneeded = redundant_fields(columns, dtypes)
    if samples_per_member == 1:
        unneeded |= set(LENGTHS.values()) - set(LENGTHS)
    return tuple(name for name in columns if name not in unneeded)


def _documents(samples: SampleTable, rows: IntArray) -> bytes:
    """Return the document ids of the samples `rows` as JSON."""
    return json.dumps([samples.documents[i] for i in rows.tolist()], separators=(",", ":")).encode()


def _items(column: Column, rows: IntArray) -> int:
    """Return the number of values that a column has in the samples `rows`."""
    return int(column.lengths[rows].sum()) if isinstance(column, Ragged) else len(rows)


def _taken(column: Column, rows: IntArray) -> Array:
    """Return the values of a column in the samples `rows`, one sample after another."""
    return column.take(rows).values if isinstance(column, Ragged) else column[rows]


def _lengths(columns: Mapping[str, Column], order: IntArray, dtypes: DTypes) -> Array:
    """Return the number of tokens of each sample, in the order of the shard: (samples,)."""
    name = "lengths" if "lengths" in columns else "input_lengths"
    lengths = _taken(columns.get(name, np.zeros(0, np.int64)), order)
    return check_fit(name, lengths, dtypes[name]).astype(
        np.result_type(dtypes["lengths"], dtypes[name])
    )


def _lay_out(index: ShardIndex) -> int:
    """Write the positions of all arrays into the index, and return the byte after the last
    member.
    """
    headers = np.array([TAR_HEADER + NPY_HEADER] * (len(index.names) - 1) + [TAR_HEADER])
    sizes = headers + index.counts * [np.dtype(dtype).itemsize for dtype in index.dtypes]
    ends = offsets_of((-(-sizes // TAR_HEADER) * TAR_HEADER).ravel())
    index.positions[:] = ends[:-1].reshape(sizes.shape) + headers
    return int(ends[-1])


def _write_block(
    tar: Array, index: ShardIndex, block: int, key: str, arrays: Sequence[Array]
) -> None:
    """Write the members of one block into `tar`, and the checksum of the block into the index.

    `key` is the block's WebDataset key, `arrays` are the values of its members in the order of the
    index.
    """
    places = index.arrays(block, tar)
    for (name, place), values, position in zip(
        places.items(), arrays, index.positions[block].tolist(), strict=True
    ):
        place[:] = check_fit(name, values, place.dtype)
        header = b"" if name == DOCUMENTS else npy_header(place)
        member = f"{key}.{name}" if name == DOCUMENTS else f"{key}.{name}.npy"
        header = tar_header(member, len(header) + place.nbytes) + header
        tar[position - len(header) : position] = np.frombuffer(header, np.uint8)
    start, end = index.extent(block)
    index.checksums[block] = crc32(tar[start:end])
