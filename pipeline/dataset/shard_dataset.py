"""Batches for training from the shards of a finished build.

Batches are shuffled, divided among ranks, noised, padded, and resumable at any batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import Any, Literal

import numpy as np

from noisebeam.pipeline.batching.layout import Layout, Side
from noisebeam.pipeline.batching.plan import ONE_BY_ONE, Batching, Tail
from noisebeam.pipeline.dataset.base import BatchedDataset
from noisebeam.pipeline.dataset.checkpoint import SkippedCount
from noisebeam.pipeline.dataset.map_style import SampleView
from noisebeam.pipeline.dataset.settings import BatchSettings
from noisebeam.pipeline.epoch.length_filter import FilteredOrder, LengthFilter
from noisebeam.pipeline.epoch.length_warmup import LengthWarmup, truncate
from noisebeam.pipeline.epoch.model_inputs import InputMaker
from noisebeam.pipeline.epoch.order import EpochOrder
from noisebeam.pipeline.epoch.row_reader import RowReader, Skip
from noisebeam.pipeline.epoch.shard_cache import ShardCache
from noisebeam.pipeline.epoch.shard_source import ShardSource
from noisebeam.transforms.data.ragged import Array, IntArray, Ragged
from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.io.safe_yaml import load_yaml
from noisebeam.transforms.noise.recipes import Recipe, check_recipe, load_recipe
from noisebeam.transforms.output.manifest import Manifest, read_manifest

_CHUNK = 2**21  # tokens that are read and noised together


class ShardDataset(BatchedDataset):
    """Iterable data set of a finished build: batches of int64 tensors `input_ids`, `attention_mask`
    and `labels`.

    `url` is the folder of the build, a path or an fsspec URL. `recipe` is noise to apply on the
    fly, fresh in every epoch (a preset, a YAML file, a mapping or a `Recipe`). None means the noise
    that is baked into the shards; clean shards then have the token ids as inputs and labels. For
    the same seed and epoch, noise on the fly and baked noise are equal.

    `batch_size` is the number of rows of a batch on one rank. `batching` makes rows of samples:
    `OneByOne`, `GroupByLength` or `Pack`. `rank` and `world_size` are by default those of
    `torch.distributed` if it is initialised, else there is one rank. Every rank has the same number
    of batches. The last samples of an epoch, if they do not fill a batch, are dropped
    (`tail="drop"`) or completed with rows from its beginning (`"pad"`). Batches are padded to their
    longest row, or to a multiple of `pad_to_multiple`.

    A build with `--held-out` keeps some documents out of training; `held_out=True` selects those
    documents, False all others.

    The objective of the noise decides which tensors a batch has (see `Layout`): prefix and glm have
    a four-dimensional mask, glm has two rows of positions. `decoder_start_token_id` adds
    `decoder_input_ids` for models that do not make them from the labels. `padding_side` and
    `position_ids` are for causal models; GPT-2 without `position_ids` counts padding on the left as
    tokens.

    Samples of fewer than `min_tokens` or more than `max_tokens` tokens are left out, for which the
    index of every shard is read once. `length_warmup` truncates samples at the start of training.

    A missing or damaged shard raises an error with its name. With `on_error="skip"`, unreadable
    samples are replaced by others of the same or a near batch, so that all ranks stay in step:
    `skipped` counts them, in worker processes too, and warnings name each block and the total of an
    epoch. The manifest must be readable, and with filters and `GroupByLength` the indexes too.

    With `fixed_noise` every epoch has the noise of epoch 0, so that evaluations can be compared.

    Pass it to a `DataLoader` with `batch_size=None`. Samples are read and noised in advance in a
    thread of this process; packed batches, and those with four-dimensional masks, are made there
    too, up to `read_ahead` of them. Worker processes are therefore not needed; with them the
    batches are the same, in the same order. Call `set_epoch` before each epoch. Without `shuffle`,
    samples are in the order of storage.
    """

    def __init__(
        self,
        url: str,
        recipe: str | Mapping[str, Any] | Recipe | None = None,
        *,
        batch_size: int,
        seed: int = 0,
        epoch: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        shuffle: bool = True,
        batching: Batching = ONE_BY_ONE,
        tail: Tail = "drop",
        held_out: bool = False,
        min_tokens: int | None = None,
        max_tokens: int | None = None,
        length_warmup: LengthWarmup | None = None,
        pad_to_multiple: int = 1,
        padding_side: Side = "right",
        position_ids: bool = False,
        decoder_start_token_id: int | None = None,
        read_ahead: int = 8,
        cache: ShardCache | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        fixed_noise: bool = False,
    ) -> None:
        settings = BatchSettings(
            batch_size=batch_size,
            batching=batching,
            tail=tail,
            pad_to_multiple=pad_to_multiple,
            read_ahead=read_ahead,
            length_warmup=length_warmup,
            rank=rank,
            world_size=world_size,
        )
        super().__init__(settings, seed=seed, epoch=epoch)
        self.url = str(url)
        self.manifest = _part(
            read_manifest(self.url, (cache or ShardCache()).read), self.url, held_out
        )
        self.vocabulary = Vocabulary.from_json(self.manifest.vocabulary)
        self.recipe = None if recipe is None else load_recipe(recipe)
        if self.recipe is not None:
            check_recipe(self.recipe, self.vocabulary)
            _check_ends(self.recipe, self.manifest, self.url)
        self.shuffle = shuffle
        self.length_filter = LengthFilter(min_tokens, max_tokens)
        self.max_tokens = min(self.manifest.max_tokens, max_tokens or self.manifest.max_tokens)
        self.chunk = max(1, _CHUNK // self.manifest.max_tokens)
        self.on_error = on_error
        self.fixed_noise = fixed_noise
        self._source = ShardSource(self.url, self.manifest, cache)
        self._inputs = InputMaker(self.vocabulary, self.recipe, self.manifest.baked, self.seed)
        self.layout = Layout(
            pad_id=self.vocabulary.padding_id,
            objective=_objective(self.recipe, self.manifest),
            padding_side=padding_side,
            position_ids=position_ids,
            decoder_start_token_id=decoder_start_token_id,
            multiple=pad_to_multiple,
        )
        self._check()

    def __repr__(self) -> str:
        recipe = self.recipe.name if self.recipe else self.manifest.recipe_name
        return (
            f"ShardDataset({self.url!r}: {self.manifest.samples:,} samples, noise {recipe}, "
            f"batch_size {self.batch_size}, seed {self.seed}, epoch {self.epoch}, "
            f"rank {self.rank} of {self.world_size})"
        )

    @cached_property
    def samples(self) -> int:
        """Number of samples of an epoch of this data set, over all ranks."""
        return sum(self._kept)

    def sample(self, i: int) -> Sample:
        """Return sample `i` as stored, counted through all shards; length filters do not apply."""
        return self._source.sample(i)

    def view(self) -> SampleView:
        """Return this data set as a sequence of its samples in the order of storage, with the noise
        of the current epoch.

        Filters, batches and ranks do not apply.
        """
        return SampleView(self._source, self._inputs, self._noise_epoch(self.epoch))

    def _check(self) -> None:
        """Check the settings against each other, and adapt the batching to the objective; raise
        ValueError for settings that cannot be combined.
        """
        layout = self.layout
        batching = self.settings.batching.checked(layout.objective, self.max_tokens)
        if layout.extended and not batching.sample_rows:
            raise ValueError(
                "expected Pack, or padding_side, position_ids and decoder_start_token_id, got both"
            )
        self.settings = replace(self.settings, batching=batching)
        if self.on_error not in ("raise", "skip"):
            raise ValueError(f"expected on_error to be 'raise' or 'skip', got {self.on_error!r}")
        if self.on_error == "skip" and not batching.sample_rows:
            raise ValueError(
                "expected on_error='raise' with Pack, got 'skip'; packed rows are planned from all "
                "samples"
            )
        if self.settings.length_warmup and self.recipe is None and self.manifest.baked:
            raise ValueError(
                "expected clean samples or a recipe for length_warmup, got the noise that was "
                "baked in; "
                "samples are cut before noise is drawn, so give the recipe here"
            )

    @cached_property
    def _kept(self) -> list[int]:
        """Number of samples of each shard that are within the length limits."""
        sizes = [shard.samples for shard in self.manifest.shards]
        return (
            self.length_filter.count(self._source.lengths, len(sizes))
            if self.length_filter
            else sizes
        )

    @property
    def identity(self) -> dict[str, Any]:
        """Settings and data on which the meaning of a saved position depends, as values for
        JSON.
        """
        return {
            "seed": self.seed,
            "shuffle": self.shuffle,
            "samples": self.samples,
            "build": self.manifest.digest,
            "min_tokens": self.length_filter.least,
            "max_tokens": self.length_filter.most,
            "batching": repr(self.settings.batching),
        }

    def rows(self, start: int = 0) -> Iterator[dict[str, Array]]:
        """Yield the samples of this rank one by one, in the order of the epoch, as arrays without
        padding.

        `start` is the position in the epoch of the first sample. This is for users who make batches
        themselves. Each sample maps field names to arrays: as stored, or with the noise of the
        recipe. Arrays are read-only views that keep many samples in memory: copy those that you
        keep.
        """
        epoch = self.open_epoch(self.epoch)
        rank, world_size = self.settings.here()
        step = self.chunk * world_size
        firsts = range(start + rank, self.samples, step)
        chunks = (np.arange(first, min(first + step, self.samples), world_size) for first in firsts)
        return chain.from_iterable(map(epoch.rows, chunks))

    def open_epoch(self, epoch: int, skipped: SkippedCount | None = None) -> ShardEpoch:
        """Return the samples of an epoch, readable by position.

        Unreadable samples are counted in `skipped`; None counts them in this data set.
        """
        skip = (skipped or self._skipped).add if self.on_error == "skip" else None
        noise_epoch = self._noise_epoch(epoch)
        return ShardEpoch(self._source, self._order(epoch), self._inputs, noise_epoch, skip)

    def _noise_epoch(self, epoch: int) -> int:
        """Return the epoch whose noise the samples of an epoch have."""
        return 0 if self.fixed_noise else epoch

    def _order(self, epoch: int) -> EpochOrder:
        """Return the order of an epoch, over the samples that are within the length limits."""
        sizes = [shard.samples for shard in self.manifest.shards]
        rng_key: dict[str, Any] = {"seed": self.seed, "epoch": epoch, "shuffle": self.shuffle}
        if not self.length_filter:
            return EpochOrder(sizes, self.manifest.samples_per_member, **rng_key)
        return FilteredOrder(
            sizes,
            self.manifest.samples_per_member,
            length_filter=self.length_filter,
            lengths=self._source.lengths,
            kept=self._kept,
            **rng_key,
        )


class ShardEpoch:
    """Samples of one epoch of a `ShardDataset`, read by their positions in the order of the
    epoch.
    """

    def __init__(
        self,
        source: ShardSource,
        order: EpochOrder,
        inputs: InputMaker,
        epoch: int,
        skip: Skip | None,
    ) -> None:
        self._source = source
        self._order = order
        self._inputs = inputs
        self._epoch = epoch
        self._reader = RowReader(source, order, inputs.needs, skip)

    def lengths(self, positions: IntArray) -> IntArray:
        """Return the token count of the sample at each position of the epoch, read from the shard
        indexes: int64, of the same shape.
        """
        shards, numbers = self._order.stored(positions)
        lengths = np.empty_like(numbers)
        for shard in np.unique(shards).tolist():
            here = shards == shard
            lengths[here] = self._source.lengths(shard)[numbers[here]]
        return lengths

    def fields(self, positions: IntArray, most: IntArray | None) -> Mapping[str, Ragged]:
        """Return the inputs, labels and other fields of the samples at these positions of the
        epoch, by name: a row for each sample.

        `most` (positions,) is the number of tokens to which each sample is truncated before noise
        is drawn; None truncates nothing.
        """
        columns: Mapping[str, Ragged] = self._reader.columns(positions)
        if most is not None:
            vocabulary = self._inputs.vocabulary
            columns = truncate(columns, most, len(vocabulary.prefix), len(vocabulary.suffix))
        return self._inputs.make(columns, self._epoch)

    def rows(self, positions: IntArray) -> Iterator[dict[str, Array]]:
        """Yield the fields of the sample at each position of the epoch, by name, as read-only
        arrays without padding.
        """
        fields = self.fields(positions, None)
        rows = {id(values): values.rows() for values in fields.values()}  # labels may be the inputs
        columns = zip(*(rows[id(values)] for values in fields.values()), strict=True)
        return (dict(zip(fields, row, strict=True)) for row in columns)


def _check_ends(recipe: Recipe, manifest: Manifest, url: str) -> None:
    """Raise ValueError if a recipe needs documents that end with an end-of-text token, and the
    documents of the build at `url` do not.
    """
    if recipe.closes_documents and not manifest.settings.get("append_eos"):
        raise ValueError(
            f"recipe {recipe.name!r}: expected documents that end in an end of text, and those of "
            f"{url} do not; "
            "build them with --append-eos, or take recipe=None for the ids as they are"
        )


def _part(manifest: Manifest, url: str, held_out: bool) -> Manifest:
    """Return the manifest with only the held-out shards (`held_out` is True) or only the others.

    Raises ValueError if held-out shards are asked for and the build at `url` has none.
    """
    shards = tuple(shard for shard in manifest.shards if shard.held_out == held_out)
    if held_out and not shards:
        raise ValueError(
            f"expected a build with held-out documents, got none in {url}; build with --held-out "
            "0.01"
        )
    return replace(manifest, shards=shards)


def _objective(recipe: Recipe | None, manifest: Manifest) -> str:
    """Return the name of the objective: of the recipe, else of the noise baked into the build, else
    `clean`.
    """
    if recipe is not None:
        return recipe.objective
    if manifest.baked and manifest.recipe is not None:
        return str(load_yaml(manifest.recipe)["objective"])
    return "clean"
