"""Samples -> the bytes of a shard, the same from any order of arrival.

The shard of a sample and its place in the shard are hashes of the seed and the sample's key, so that writing is a
global shuffle, and every attempt of every runner makes the same file. The samples of one shard must fit in memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from isal.isal_zlib import crc32

from noisebeam.transforms.hashing import UInts, hash64
from noisebeam.transforms.sample_table import SampleTable
from noisebeam.transforms.samples import Array, IntArray, Sample, offsets_of
from noisebeam.transforms.shard_fields import LENGTHS, left_out
from noisebeam.transforms.shard_format import (
    DOCUMENTS,
    KEYS,
    TAR_END,
    TAR_HEADER,
    WINDOWS,
    ShardIndex,
    block_key,
    fit,
    npy_header,
    tar_header,
    tar_padding,
)
from noisebeam.transforms.storage import Buffer, join, publish

SAMPLES_PER_MEMBER = 256
_TOKENS_PER_MEMBER = 2**19
_NAME = re.compile(r"shard-(\d+)-of-(\d+)\.tar")
_SHARD, _PLACE = 1, 2  # which hash of (seed, key) is meant

DTypes = Mapping[str, np.dtype[np.generic]]


@dataclass(frozen=True)
class ShardInfo:
    """What the manifest says of a shard. `tokens` counts `ids`, or `input_ids` where a baked shard has no `ids`."""

    name: str
    samples: int
    documents: int  # samples that are the first window of their document
    tokens: int
    bytes: int
    sha256: str
    index_name: str
    index_sha256: str
    duplicate_samples: int  # dropped: the same key, document and window as another
    duplicate_documents: int  # dropped samples that were first windows
    held_out: bool = False  # its documents are kept from training

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the manifest holds them."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ShardInfo:
        """The inverse of `to_json`."""
        return cls(**values)


@dataclass(frozen=True)
class Shard:
    """A shard's bytes and those of its index."""

    info: ShardInfo
    pieces: Sequence[Buffer]  # of the tar, one after the other
    index: bytes

    @property
    def tar(self) -> bytes:
        """The bytes of the tar in one piece."""
        return b"".join(self.pieces)


def samples_per_block(max_tokens: int) -> int:
    """How many samples to store together: the members' headers cost 1 % and less, a block stays near a megabyte.

    >>> [samples_per_block(tokens) for tokens in (128, 512, 2048, 131072)]
    [1024, 1024, 256, 16]
    """
    fitting = max(1, _TOKENS_PER_MEMBER // max_tokens)
    return min(1024, max(16, 1 << (fitting.bit_length() - 1)))


def shard_name(index: int, count: int) -> str:
    """The file name of shard `index` of `count`.

    >>> shard_name(3, 16)
    'shard-00003-of-00016.tar'
    """
    return f"shard-{index:05d}-of-{count:05d}.tar"


def shard_number(name: str) -> tuple[int, int] | None:
    """The number of the shard of this name, and of all shards; None if it is no such name.

    >>> shard_number("shard-00003-of-00016.tar"), shard_number("train-3.tar")
    ((3, 16), None)
    """
    found = _NAME.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def index_name(shard: str) -> str:
    """The name of the index beside a shard.

    >>> index_name("shard-00003-of-00016.tar")
    'shard-00003-of-00016.index.npz'
    """
    return f"{shard.removesuffix('.tar')}.index.npz"


def shard_of(keys: npt.ArrayLike, seed: int, num_shards: int) -> npt.NDArray[np.int64]:
    """The shards, from 0 to `num_shards` - 1, of the samples with these keys (a number or an array of them).

    >>> shard_of([1, 2, 3, 4, 5, 6], seed=17, num_shards=4).tolist()
    [3, 1, 3, 1, 3, 2]
    """
    return (hash64((_SHARD, seed), keys) % np.uint64(num_shards)).astype(np.int64)


def order_in_shard(keys: npt.ArrayLike, seed: int) -> UInts:
    """Numbers whose ascending order is that of the samples in a shard; different keys give different numbers."""
    return hash64((_PLACE, seed), keys)


def build_shard(
    samples: Iterable[Sample] | SampleTable,
    *,
    index: int,
    count: int,
    seed: int,
    dtypes: DTypes,
    samples_per_member: int = SAMPLES_PER_MEMBER,
) -> Shard:
    """Shard `index` of `count`, of these samples in any order; `dtypes` as `field_dtypes` gives them.

    Samples that occur again are dropped and counted. With `samples_per_member=1` it has WebDataset's classic form: a
    member set per sample, without the arrays of lengths.

    ValueError if the samples differ in their fields, or if a value does not fit its dtype.
    """
    distinct = (samples if isinstance(samples, SampleTable) else SampleTable.of(list(samples))).distinct()
    pieces, shard_index = _tar(distinct, _order(distinct, seed), index, dtypes, samples_per_member)
    index_bytes = shard_index.to_bytes()
    name = shard_name(index, count)
    first, dropped = distinct.windows == 0, distinct.copies - 1
    info = ShardInfo(
        name=name,
        samples=len(distinct),
        documents=int(np.count_nonzero(first)),
        tokens=int(shard_index.lengths.sum(dtype=np.int64)),
        bytes=sum(map(len, pieces)),
        sha256=_sha256(pieces),
        index_name=index_name(name),
        index_sha256=_sha256([index_bytes]),
        duplicate_samples=int(dropped.sum()),
        duplicate_documents=int(dropped[first].sum()),
    )
    return Shard(info, pieces, index_bytes)


def _sha256(pieces: Iterable[Buffer]) -> str:
    digest = sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def write_shard(url: str, samples: Iterable[Sample] | SampleTable, **settings: Any) -> ShardInfo:
    """Build a shard (`settings` are those of `build_shard`) and publish it and its index in the folder `url`."""
    shard = build_shard(samples, **settings)
    publish(join(url, shard.info.index_name), shard.index)
    publish(join(url, shard.info.name), *shard.pieces)
    return shard.info


def _order(distinct: SampleTable, seed: int) -> IntArray:
    """The samples in the order in which they are stored."""
    places = order_in_shard(distinct.keys, seed)
    order = np.argsort(places, kind="stable")
    if not np.any(places[order][1:] == places[order][:-1]):
        return order
    # Equal places are equal keys: documents whose hashes collide.
    names = list(zip(places.tolist(), distinct.documents, distinct.windows.tolist(), strict=True))
    return np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)


class _Block(NamedTuple):
    pieces: list[Buffer]  # of tar members, one after the other
    size: int  # bytes
    starts: list[int]  # of each member's content, from the start of the block
    counts: list[int]  # items of each member
    checksum: int
    lengths: Array  # tokens of each sample


def _tar(
    arrived: SampleTable, order: IntArray, shard: int, dtypes: DTypes, samples_per_member: int
) -> tuple[list[Buffer], ShardIndex]:
    chunks = [arrived.take(order[i : i + samples_per_member]) for i in range(0, len(order), samples_per_member)]
    dtypes = {**dtypes, WINDOWS: np.min_scalar_type(int(arrived.windows.max(initial=0)))}
    arrays = [_block_arrays(chunk, dtypes) for chunk in chunks]
    names = _member_names(arrays, samples_per_member) if chunks else ()
    blocks = [
        _block(block_key(shard, i), chunk.documents, block, names)
        for i, (chunk, block) in enumerate(zip(chunks, arrays, strict=True))
    ]
    block_starts = offsets_of(np.array([block.size for block in blocks], dtype=np.int64))[:-1]
    shape = (len(blocks), len(names) + 1)
    index = ShardIndex(
        names=(*names, DOCUMENTS),
        dtypes=(*(dtypes[name].newbyteorder("<").str for name in names), "|u1"),
        positions=np.array([block.starts for block in blocks], dtype=np.int64).reshape(shape) + block_starts[:, None],
        counts=np.array([block.counts for block in blocks], dtype=np.int64).reshape(shape),
        samples=np.array([len(chunk) for chunk in chunks], dtype=np.int64),
        checksums=np.array([block.checksum for block in blocks], dtype=np.int64),
        lengths=np.concatenate([np.zeros(0, dtypes["lengths"]), *(block.lengths for block in blocks)]),
    )
    return [*(piece for block in blocks for piece in block.pieces), TAR_END], index


def _block(key: str, documents: list[str], arrays: Mapping[str, Array], names: Sequence[str]) -> _Block:
    text = json.dumps(documents, separators=(",", ":")).encode()
    members: list[tuple[str, bytes, Buffer]] = [
        (f"{name}.npy", npy_header(arrays[name]), arrays[name].view(np.uint8).data) for name in names
    ]
    pieces: list[Buffer] = []
    starts, size, checksum = [], 0, 0
    for name, header, content in [*members, (DOCUMENTS, b"", text)]:
        length = len(header) + len(content)
        starts.append(size + TAR_HEADER + len(header))
        pieces += [tar_header(f"{key}.{name}", length), header, content, tar_padding(length)]
        size += TAR_HEADER + length + len(pieces[-1])
    for piece in pieces[:-1]:
        checksum = crc32(piece, checksum)
    counts = [*(len(arrays[name]) for name in names), len(text)]
    lengths = arrays["lengths" if "lengths" in arrays else "input_lengths"]
    return _Block(pieces, size, starts, counts, checksum, lengths)


def _member_names(blocks: Sequence[Mapping[str, Array]], samples_per_member: int) -> tuple[str, ...]:
    present = [name for name in LENGTHS if name in blocks[0]]
    lengths = dict.fromkeys(LENGTHS[name] for name in present if LENGTHS[name] not in LENGTHS)
    names = (KEYS, WINDOWS, *(lengths if samples_per_member > 1 else ()), *present)
    unneeded = left_out(blocks)
    return tuple(name for name in names if name not in unneeded)


def _block_arrays(samples: SampleTable, dtypes: DTypes) -> dict[str, Array]:
    """The arrays of a block by name, each in its dtype, those of lengths included."""
    arrays: dict[str, Array] = {KEYS: samples.keys, WINDOWS: samples.windows}
    for name in (name for name in LENGTHS if name in samples.fields):
        arrays[name] = samples.fields[name].values
        if LENGTHS[name] not in LENGTHS:
            arrays[LENGTHS[name]] = samples.fields[name].lengths
    return {name: fit(name, values, dtypes[name]) for name, values in arrays.items()}
