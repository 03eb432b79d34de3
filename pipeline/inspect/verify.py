"""`noisebeam verify`: recompute everything that a build states of itself: checksums, counts,
dtypes, order and files.

Each check yields the differences that it finds, as lines of text.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from itertools import pairwise
from typing import Any

import numpy as np

from noisebeam.transforms.data.ragged import Array
from noisebeam.transforms.errors import one_line
from noisebeam.transforms.io.storage import join, list_names, read_bytes
from noisebeam.transforms.io.timeouts import deadline
from noisebeam.transforms.output.finish import DEAD_LETTERS_FOLDER
from noisebeam.transforms.output.manifest import Manifest, read_manifest
from noisebeam.transforms.shards.fields import LENGTHS
from noisebeam.transforms.shards.format import (
    DOCUMENTS,
    KEYS,
    WINDOWS,
    ShardIndex,
    block_key,
    npy_bytes,
)
from noisebeam.transforms.shards.held_out import shards_of
from noisebeam.transforms.shards.info import ShardInfo, order_in_shard, shard_number
from noisebeam.transforms.shards.reader import Block, ShardError, parse_block, parse_index

_SHARD_FILE = re.compile(r"shard-.*|\..*\.tmp|\.writable-.*")
_COUNTED = ("samples", "documents", "tokens", "duplicate_samples", "duplicate_documents")


def verify(url: str) -> list[str]:
    """Return the differences between the files of the build at `url` and its manifest, a line for
    each; empty if there are none.

    Raises ManifestError if there is no manifest.
    """
    manifest = read_manifest(url)
    differences = [
        *_stray_files(url, manifest),
        *_counts(manifest),
        *_tokenizer(url, manifest),
        *_dead_letters(url, manifest),
    ]
    for info in manifest.shards:
        differences += [f"{info.name}: {difference}" for difference in _shard(url, manifest, info)]
    return differences


def _stray_files(url: str, manifest: Manifest) -> Iterator[str]:
    """Yield the files of shards that are in the folder but not in the manifest."""
    expected = {name for info in manifest.shards for name in (info.name, info.index_name)}
    for name in list_names(url):
        if name not in expected and _SHARD_FILE.fullmatch(name):
            yield f"{name}: not in the manifest"


def _tokenizer(url: str, manifest: Manifest) -> Iterator[str]:
    """Yield a line if the tokenizer is missing or differs from the manifest."""
    expected, name = manifest.tokenizer.get("sha256"), "tokenizer/tokenizer.json"
    if expected is None:
        return
    try:
        found = sha256(read_bytes(join(url, name))).hexdigest()
    except FileNotFoundError:
        yield f"{name}: missing"
        return
    if found != expected:
        yield f"{name}: sha256 is {found}, the manifest has {expected}"


def _dead_letters(url: str, manifest: Manifest) -> Iterator[str]:
    """Yield a line if the number of dead letters (records that could not be read) differs from the
    manifest.
    """
    folder = join(url, DEAD_LETTERS_FOLDER)
    found = sum(read_bytes(join(folder, name)).count(b"\n") for name in list_names(folder))
    expected = manifest.counts.get("dead_letters", found)
    if found != expected:
        yield f"{DEAD_LETTERS_FOLDER}/: {found} records, the manifest has {expected}"


def _counts(manifest: Manifest) -> Iterator[str]:
    """Yield the counts of the manifest that differ from the sums over its shards."""
    for name in _COUNTED:
        total = sum(getattr(info, name) for info in manifest.shards)
        if name in manifest.counts and manifest.counts[name] != total:
            yield f"manifest: {manifest.counts[name]} {name} in counts, {total} in its shards"


def _shard(url: str, manifest: Manifest, info: ShardInfo) -> Iterator[str]:
    """Yield all differences between a shard, its index and its entry in the manifest."""
    try:
        tar = _read(url, info.name, info.bytes)
        index_bytes = _read(url, info.index_name, info.bytes)
        yield from _checksum("shard", tar, info.sha256)
        yield from _checksum("index", index_bytes, info.index_sha256)
        if len(tar) != info.bytes:
            yield f"{len(tar)} bytes, {info.bytes} in the manifest"
        index = parse_index(index_bytes, info.index_name)
        blocks = [_block(tar, index, i) for i in range(len(index.samples))]
        yield from _tar(tar, index, info)
        yield from _values(manifest, blocks)
        yield from _order(manifest, info, blocks)
        yield from _totals(info, index, blocks)
    except ShardError as error:
        yield str(error)
    except (ValueError, IndexError, KeyError) as error:  # bytes that are no such arrays
        yield f"cannot be read as its index tells: {one_line(error)}"


def _read(url: str, name: str, size: int) -> bytes:
    """Return the content of a file of the build; `size` is its expected size in bytes, from which
    the time limit follows.

    Raises ShardError if the file is missing.
    """
    try:
        return read_bytes(join(url, name), timeout=deadline(size))
    except FileNotFoundError as error:
        raise ShardError(f"{name} is missing") from error


def _checksum(what: str, data: bytes, expected: str) -> Iterator[str]:
    """Yield a line if the sha256 of `data` is not the expected one; `what` names the data."""
    digest = sha256(data).hexdigest()
    if digest != expected:
        yield f"sha256 of the {what} is {digest}, {expected} in the manifest"


def _block(tar: bytes, index: ShardIndex, i: int) -> Block:
    """Return block `i` of a shard, given the bytes of its tar."""
    start, end = index.extent(i)
    return parse_block(tar[start:end], start, index, i)


def _tar(tar: bytes, index: ShardIndex, info: ShardInfo) -> Iterator[str]:
    """Yield differences between the members of a tar file and the index of the shard."""
    try:
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            found = {member.name: (member.offset_data, member.size) for member in archive}
    except tarfile.TarError as error:
        yield f"no tar: {error}"
        return
    shard, _ = shard_number(info.name) or (0, 0)
    expected: dict[str, tuple[int, int]] = {}
    for block in range(len(index.samples)):
        for m, (name, dtype) in enumerate(zip(index.names, index.dtypes, strict=True)):
            values = np.frombuffer(
                tar, dtype, int(index.counts[block, m]), int(index.positions[block, m])
            )
            header = 0 if name == DOCUMENTS else len(npy_bytes(values[:0]))
            member = name if name == DOCUMENTS else f"{name}.npy"
            extent = (int(index.positions[block, m]) - header, values.nbytes + header)
            expected[f"{block_key(shard, block)}.{member}"] = extent
            if header and tar[slice(extent[0], sum(extent))] != npy_bytes(values):
                yield f"{member} of block {block} is not the array that the index says"
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            yield (
                f"member {name}: {_extent(found.get(name))} in the tar, "
                f"{_extent(expected.get(name))} in the index"
            )


def _extent(extent: tuple[int, int] | None) -> str:
    """Return in words where a member of a tar file is: its size and its first byte."""
    return "nowhere" if extent is None else f"{extent[1]} bytes at byte {extent[0]}"


def _values(manifest: Manifest, blocks: list[Block]) -> Iterator[str]:
    """Yield arrays whose dtype differs from the manifest, or that have values out of range."""
    size = int(manifest.vocabulary["size"])
    limits: Mapping[str, tuple[int, int]] = {
        **dict.fromkeys(("ids", "alternatives", "input_ids"), (0, size - 1)),
        "labels": (-100, size - 1),
        "lengths": (0, manifest.max_tokens),
        **dict.fromkeys(("position_ids", "block_position_ids"), (0, manifest.max_tokens)),
    }
    for number, block in enumerate(blocks):
        for name, values in block.arrays.items():
            if name == DOCUMENTS:
                continue
            if values.dtype != manifest.dtypes.get(name) and name != WINDOWS:
                yield (
                    f"{name} of block {number} is {values.dtype}, {manifest.fields.get(name)} "
                    "in the manifest"
                )
            low, high = limits.get(name, (None, None))
            if (
                low is not None
                and len(values)
                and not (low <= values.min() and values.max() <= high)
            ):
                yield f"{name} of block {number} has values outside {low} to {high}"
        yield from _lengths(number, block)


def _lengths(number: int, block: Block) -> Iterator[str]:
    """Yield fields of a block whose lengths do not add up, or that have another number of
    samples.
    """
    for name in block.fields:
        if (
            block.offsets(name)[-1] != len(block.values(name))
            or len(block.offsets(name)) != len(block) + 1
        ):
            yield f"{LENGTHS[name]} of block {number} do not add up to its {name}"
    for name, values in (
        (KEYS, block.keys),
        (WINDOWS, block.windows),
        (DOCUMENTS, block.documents),
    ):
        if len(values) != len(block):
            yield f"{name} of block {number} names {len(values)} samples, the index {len(block)}"


def _order(manifest: Manifest, info: ShardInfo, blocks: list[Block]) -> Iterator[str]:
    """Yield a line if samples are not in the order of their keys, or not in the shard or block
    where they belong.
    """
    names = [
        (int(order), document, int(window))
        for block in blocks
        for order, document, window in zip(
            order_in_shard(block.keys, manifest.seed), block.documents, block.windows, strict=False
        )
    ]
    if any(after <= before for before, after in pairwise(names)):
        yield "samples are not in the order of their keys, or not unique"
    numbers = shard_number(info.name)
    share = manifest.settings.get("held_out", 0.0)
    if numbers and any(
        np.any(
            shards_of(block.keys, block.documents, manifest.seed, numbers[1], share) != numbers[0]
        )
        for block in blocks
    ):
        yield "it has samples that belong in another shard"
    if any(len(block) != manifest.samples_per_member for block in blocks[:-1]):
        yield f"a block before the last has not {manifest.samples_per_member} samples"


def _totals(info: ShardInfo, index: ShardIndex, blocks: list[Block]) -> Iterator[str]:
    field: Callable[[Block], str] = lambda block: "ids" if "ids" in block.fields else "input_ids"  # noqa: E731
    lengths: list[Array] = [np.diff(block.offsets(field(block))) for block in blocks]
    counted = np.concatenate([*lengths, np.zeros(0, np.int64)])
    if not np.array_equal(counted, index.lengths):
        yield "the lengths in the index are not those of the samples"
    totals: Mapping[str, Any] = {
        "samples": sum(map(len, blocks)),
        "tokens": int(counted.sum()),
        "documents": sum(int((block.windows == 0).sum()) for block in blocks),
    }
    for name, total in totals.items():
        if total != getattr(info, name):
            yield f"{total} {name}, {getattr(info, name)} in the manifest"
