"""`noisebeam stats`: statistics of a build: lengths, sentences, noise, padding, tokens of each
shard.

Totals are exact, from the manifest. Lengths are from the indexes of shards; sentences and noise
from some of their blocks. Samples are in random order in the shards, so a few shards and blocks
represent all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from fsspec.core import url_to_fs
from isal.isal_zlib import crc32

from noisebeam.pipeline.batching.bin_packing import pack_best_fit
from noisebeam.pipeline.epoch.shard_cache import ShardCache
from noisebeam.pipeline.epoch.shard_source import read_index
from noisebeam.pipeline.inspect.histograms import Bars, histogram, summarise
from noisebeam.transforms.data.ragged import Array, IntArray, Ragged
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.io.safe_yaml import load_yaml
from noisebeam.transforms.io.storage import join
from noisebeam.transforms.io.timeouts import call_store
from noisebeam.transforms.noise.apply import apply_recipe
from noisebeam.transforms.noise.labels import IGNORED
from noisebeam.transforms.noise.objectives import Attention, Objective
from noisebeam.transforms.noise.ordinary_tokens import is_special
from noisebeam.transforms.noise.recipes import Recipe, check_recipe, load_recipe
from noisebeam.transforms.output.manifest import Manifest, read_manifest
from noisebeam.transforms.shards.format import ShardIndex
from noisebeam.transforms.shards.info import ShardInfo
from noisebeam.transforms.shards.reader import Block, ShardError, parse_block

BATCH_SIZES = (8, 32, 128)
_BLOCKS = 4  # of each shard looked into
_PACKED = 4096  # samples packed at a time
_NAMED_SHARDS = 16


@dataclass(frozen=True)
class Stats:
    """Statistics of a finished build: totals by name, distributions, and shares of padding.

    `basis` says on which samples the distributions were measured. `padding` is the share of a batch
    that is padding, 0 to 1, for several ways to make batches.
    """

    url: str
    totals: dict[str, str]
    basis: str  # what the distributions were measured on
    distributions: tuple[Bars, ...]
    padding: dict[str, float]  # share of padding, by how batches are made


def measure(url: str, shards: int = 16, recipe: str | None = None) -> Stats:
    """Return the statistics of the build at `url`, measured on at most `shards` of its shards,
    evenly spaced.

    The noise is that of the build, or of the recipe named `recipe`. Raises ManifestError if there
    is no finished build, and ShardError if one of these shards cannot be read.
    """
    if shards < 1:
        raise ValueError(f"--sample: expected 1 shard or more, got {shards}")
    manifest = read_manifest(url)
    found = _Measurements(url, manifest, _recipe(manifest, recipe))
    chosen = _some_shards(manifest, shards)
    for info in chosen:
        found.add(info)
    lengths = np.concatenate([np.zeros(0, np.int64), *found.lengths])
    return Stats(
        url=url,
        totals=_totals(manifest),
        basis=f"{len(chosen):,} of {len(manifest.shards):,} shards: "
        f"lengths of {len(lengths):,} samples, sentences and noise of {found.samples:,}",
        distributions=tuple(_distributions(manifest, found, lengths)),
        padding=padding_estimate(lengths, manifest.max_tokens),
    )


def read_lengths(url: str, manifest: Manifest, shards: int) -> IntArray:
    """Return the token counts of all samples of at most `shards` shards of a build, evenly spaced:
    (samples,).
    """
    indexes = (_index(url, info) for info in _some_shards(manifest, shards))
    return np.concatenate([np.zeros(0, np.int64), *(index.lengths for index in indexes)])


def _some_shards(manifest: Manifest, most: int) -> list[ShardInfo]:
    """Return at most `most` shards of a build, evenly spaced."""
    return [manifest.shards[i] for i in evenly(len(manifest.shards), most)]


def _index(url: str, info: ShardInfo) -> ShardIndex:
    """Return the index of a shard of the build at `url`."""
    return read_index(url, info, ShardCache())


def evenly(count: int, most: int) -> list[int]:
    """Return at most `most` of the numbers from 0 to `count` - 1, evenly spaced.

    >>> evenly(10, 3), evenly(2, 16)
    ([0, 3, 6], [0, 1])
    """
    most = min(count, most)
    return [i * count // most for i in range(most)]


def padding_estimate(lengths: IntArray, max_tokens: int) -> dict[str, float]:
    """Return the share of padding, 0 to 1, by the way batches are made of samples of these lengths,
    in order.

    The ways are batches of several sizes padded to their longest sample, rows of `max_tokens` with
    one sample each, and packed rows. Without samples the dict is empty.

    >>> padding_estimate(np.array([2, 4, 4, 2]), max_tokens=8)
    {'batches of 4': 0.25, 'rows of 8': 0.625, 'packed rows of 8': 0.25}
    """
    if not len(lengths):
        return {}
    sizes = dict.fromkeys(min(size, len(lengths)) for size in BATCH_SIZES)
    shares = {f"batches of {size}": _batch_padding(lengths, size) for size in sizes}
    width = max(max_tokens, int(lengths.max()))
    shares[f"rows of {width}"] = 1 - float(lengths.mean()) / width
    parts = [lengths[i : i + _PACKED] for i in range(0, len(lengths), _PACKED)]
    rows = sum(len(pack_best_fit(part, width).offsets) - 1 for part in parts)
    return {**shares, f"packed rows of {width}": 1 - float(lengths.sum()) / (rows * width)}


def _batch_padding(lengths: IntArray, size: int) -> float:
    """Return the share of padding if each `size` consecutive samples are padded to the longest of
    them.
    """
    batches = lengths[: len(lengths) // size * size].reshape(-1, size)
    return 1 - float(batches.sum()) / float(batches.max(axis=1).sum() * size)


def noise_shares(
    source: Ragged, inputs: Ragged, labels: Ragged, objective: Objective, vocabulary: Vocabulary
) -> Array:
    """Return, for each sample, the share of its tokens that a model has to restore: (samples,), 0
    to 1.

    Special tokens are not counted. For encoder-decoders these are the tokens of the source that the
    input lacks, wherever they stand; for other objectives the tokens with a label. `source`,
    `inputs` and `labels` have a row for each sample.
    """
    counts = _sums(~is_special(source.values, vocabulary), source.offsets)
    if objective.attention is Attention.ENCODER_DECODER:
        wanted = counts - _common(source, inputs, vocabulary)
    else:
        wanted = np.minimum(counts, _sums(labels.values != IGNORED, labels.offsets))
    return np.asarray(wanted / np.maximum(counts, 1))


def _common(one: Ragged, other: Ragged, vocabulary: Vocabulary) -> IntArray:
    """Return the number of tokens that row i of `one` and row i of `other` have in common, in any
    order: (rows,) int64.

    Special tokens are not counted.
    """
    (keys, counts), (other_keys, other_counts) = (
        _token_counts(rows, vocabulary) for rows in (one, other)
    )
    found, here, there = np.intersect1d(keys, other_keys, assume_unique=True, return_indices=True)
    smaller = np.minimum(counts[here], other_counts[there])
    sums = np.bincount(found // vocabulary.size, weights=smaller, minlength=len(one.offsets) - 1)
    return sums.astype(np.int64)


def _token_counts(rows: Ragged, vocabulary: Vocabulary) -> tuple[IntArray, IntArray]:
    """Return the distinct pairs of (row, token), each as one number, and how often each occurs in
    its row.

    Special tokens are left out.
    """
    samples = np.arange(len(rows.offsets) - 1).repeat(np.diff(rows.offsets))
    ordinary = ~is_special(rows.values, vocabulary)
    keys, counts = np.unique(
        (samples * vocabulary.size + rows.values)[ordinary], return_counts=True
    )
    return keys, counts


def _sums(flags: Array, offsets: IntArray) -> IntArray:
    """Return the number of True flags of each sample: (samples,). Sample i has the flags
    `offsets[i]` to `offsets[i + 1]` - 1.
    """
    totals = np.concatenate([[0], np.cumsum(flags, dtype=np.int64)])
    return np.asarray(totals[offsets[1:]] - totals[offsets[:-1]])


class _Measurements:
    """Lengths, sentences and noise of the samples in the shards that were measured so far.

    `recipe` is the noise to measure; None measures none.
    """

    def __init__(self, url: str, manifest: Manifest, recipe: Recipe | None) -> None:
        self._url, self._manifest, self._recipe = url, manifest, recipe
        self._vocabulary = Vocabulary.from_json(manifest.vocabulary)
        if recipe is not None:
            check_recipe(recipe, self._vocabulary)
        self.lengths: list[IntArray] = []
        self.sentences: list[IntArray] = []
        self.sentence_tokens: list[IntArray] = []
        self.noise: list[Array] = []
        self.samples = 0

    def add(self, info: ShardInfo) -> None:
        """Measure the samples of one more shard."""
        index = _index(self._url, info)
        self.lengths.append(index.lengths.astype(np.int64))
        for block in _blocks(self._url, info, index):
            self.samples += len(block.keys)
            self.sentence_tokens.append(block.values("sentence_lengths").astype(np.int64))
            self.sentences.append(np.diff(block.offsets("sentence_lengths")))
            if self._recipe is not None:
                self.noise.append(self._noise(block, self._recipe))

    def _noise(self, block: Block, recipe: Recipe) -> Array:
        """Return the share of tokens to restore, 0 to 1, of each sample of a block."""
        source = block.flat_batch(len(self._vocabulary.prefix))
        noised = apply_recipe(recipe, source, self._vocabulary, self._manifest.seed, epoch=0)
        clean = Ragged(source.ids, source.offsets)
        return noise_shares(
            clean, noised["input_ids"], noised["labels"], recipe.row, self._vocabulary
        )


def _blocks(url: str, info: ShardInfo, index: ShardIndex) -> Iterator[Block]:
    """Yield some blocks of a shard, evenly spaced, reading only their bytes; raise ShardError if
    one is damaged.
    """
    fs, path = url_to_fs(join(url, info.name))
    for number in evenly(len(index.samples), _BLOCKS):
        start, end = index.extent(number)
        try:
            data = bytes(call_store(fs, partial(fs.cat_file, path, start=start, end=end)))
        except FileNotFoundError as error:
            raise ShardError(
                f"shard {join(url, info.name)} is missing; build or copy it again"
            ) from error
        if crc32(data) != index.checksums[number]:
            raise ShardError(
                f"shard {join(url, info.name)} is damaged in block {number}; run noisebeam verify "
                f"{url}"
            )
        yield parse_block(data, start, index, number)


def _recipe(manifest: Manifest, name: str | None) -> Recipe | None:
    """Return the recipe named `name`, or that of the build if `name` is None; None for a build
    without noise.
    """
    if name is not None:
        return load_recipe(name)
    return load_recipe(load_yaml(manifest.recipe)) if manifest.recipe is not None else None


def _totals(manifest: Manifest) -> dict[str, str]:
    """Yield the counts of a shard's manifest entry and index that differ from its samples."""
    counts, size = manifest.counts, sum(shard.bytes for shard in manifest.shards)
    documents = max(1, counts.get("documents", 0))
    facts = {
        **{name: f"{counts.get(name, 0):,}" for name in ("documents", "samples", "tokens")},
        "samples a document": f"{manifest.samples / documents:,.1f}",
        "shards": f"{len(manifest.shards):,}, {size / 1e6:,.1f} MB",
        "bytes a token": f"{size / max(1, manifest.tokens):.2f}",
        "recipe": f"{manifest.recipe_name or 'none'}, seed {manifest.seed}",
        "tokenizer": str(manifest.tokenizer.get("name", "?")),
    }
    rare = {
        name.replace("_", " "): counts.get(name, 0)
        for name in ("dead_letters", "duplicate_documents")
    }
    return {**facts, **{name: f"{count:,}" for name, count in rare.items() if count}}


def _distributions(manifest: Manifest, found: _Measurements, lengths: IntArray) -> Iterator[Bars]:
    """Yield the histograms of a build: tokens, sentences, noise, and tokens of each shard."""
    none = np.zeros(0, np.int64)
    yield histogram("tokens a sample", lengths)
    yield histogram("sentences a sample", np.concatenate([none, *found.sentences]))
    yield histogram("tokens a sentence", np.concatenate([none, *found.sentence_tokens]))
    if found.noise:
        yield histogram("noise: share of a sample's tokens to restore", np.concatenate(found.noise))
    yield _balance(manifest)


def _balance(manifest: Manifest) -> Bars:
    """Return the number of tokens of each shard as bars; for many shards, their histogram."""
    tokens = np.array([shard.tokens for shard in manifest.shards], dtype=np.int64)
    if not 0 < len(tokens) <= _NAMED_SHARDS:
        return histogram("tokens a shard", tokens)
    named = ((shard.name.split("-of-")[0], shard.tokens) for shard in manifest.shards)
    return Bars("tokens a shard", summarise(tokens), tuple(named))
