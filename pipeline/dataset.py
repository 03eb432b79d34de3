"""Shards -> ready batches for training: shuffled, shared out over ranks, noised, padded, and resumable at any batch."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from noisebeam.pipeline.cache import ShardCache
from noisebeam.pipeline.collate import Batch, collate
from noisebeam.pipeline.inputs import InputMaker
from noisebeam.pipeline.order import Batches, EpochOrder, Tail
from noisebeam.pipeline.read_ahead import read_ahead
from noisebeam.pipeline.source import RowReader, ShardSource
from noisebeam.pipeline.state import Progress, check_state
from noisebeam.pipeline.view import SampleView
from noisebeam.transforms.manifest import read_manifest
from noisebeam.transforms.noise import Recipe, check_recipe, load_recipe
from noisebeam.transforms.samples import Sample
from noisebeam.transforms.vocabulary import Vocabulary

# Samples that are read together, and noised together: the numbers do not change the result.
_CHUNK, _NOISED_CHUNK = 1024, 128
_log = logging.getLogger(__name__)


class ShardDataset(IterableDataset[Batch]):
    """The samples of a finished build, as batches of int64 tensors `input_ids`, `attention_mask` and `labels`.

    `url`: the folder of the build, a path or anything fsspec knows. `recipe`: noise to apply on the fly, fresh in every
    epoch (a preset, a YAML file, a mapping or a `Recipe`); None gives the noise that was baked into the shards, and
    with clean shards the token ids, as inputs and as labels. The same seed and epoch give the same noise on the fly and
    baked.

    `batch_size` is that of one rank. `rank` and `world_size` come from `torch.distributed` where it is initialised,
    else there is one rank. Every rank has the same number of batches; the `tail` of an epoch is dropped, or padded with
    samples from its beginning. Batches are padded to their longest row, or to a multiple of `pad_to_multiple`.

    Give it to a `DataLoader` with `batch_size=None`. `read_ahead` batches are made ahead in a thread of this process,
    so worker processes are not needed; with them the batches are the same, in the same order. Call `set_epoch` before
    each epoch. Without `shuffle` the samples come as they lie in the shards.
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
        tail: Tail = "drop",
        pad_to_multiple: int = 1,
        read_ahead: int = 8,
        cache: ShardCache | None = None,
    ) -> None:
        _check(batch_size, seed, rank, world_size, tail, pad_to_multiple, read_ahead)
        self.url = str(url)
        self.manifest = read_manifest(self.url)
        self.vocabulary = Vocabulary.from_json(self.manifest.vocabulary)
        self.recipe = None if recipe is None else load_recipe(recipe)
        if self.recipe is not None:
            check_recipe(self.recipe, self.vocabulary)
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.tail: Tail = tail
        self.pad_to_multiple = pad_to_multiple
        self.read_ahead = read_ahead
        self._rank, self._world_size = rank, world_size
        # Shared with worker processes, which may stay from one epoch to the next.
        self._epoch = torch.tensor(epoch).share_memory_()  # type: ignore[no-untyped-call]
        self._progress = Progress(start=0)
        self._resume = False
        self._source = ShardSource(self.url, self.manifest, cache)
        self._inputs = InputMaker(self.vocabulary, self.recipe, self.manifest.baked, seed)

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return int(self._epoch)

    @property
    def rank(self) -> int:
        """The number of this rank, from 0."""
        return _distributed()[0] if self._rank is None else self._rank

    @property
    def world_size(self) -> int:
        """The number of ranks."""
        return _distributed()[1] if self._world_size is None else self._world_size

    @property
    def samples(self) -> int:
        """The number of samples of an epoch, over all ranks."""
        return self.manifest.samples

    def __len__(self) -> int:
        """The number of batches of a whole epoch, the same for each rank."""
        return len(self._batches(0))

    def __iter__(self) -> Iterator[Batch]:
        progress = self._progress if self._resume else Progress(start=0)
        self._resume = False
        return self._iterate(progress)

    @property
    def resuming(self) -> bool:
        """Whether the next iteration goes on at a position that was loaded."""
        return self._resume

    @property
    def remaining(self) -> int:
        """The number of batches that the next iteration gives to each rank."""
        return len(self._batches(self._progress.start if self._resume else 0))

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch; a position that was loaded for this very epoch stays."""
        if epoch != self.epoch:
            self._epoch.fill_(epoch)
            self._progress, self._resume = Progress(start=0), False

    def state_dict(self, batches: int | None = None) -> dict[str, Any]:
        """Where this data set is, as plain values: the same on each rank.

        It counts what has been handed out. A `DataLoader` with worker processes fetches ahead and keeps the count to
        itself: there say how many `batches` came out of the loader since iteration began. (torchdata's
        `StatefulDataLoader` does all that by itself.)
        """
        progress = self._progress if batches is None else Progress(self._progress.start, batches)
        plan = self._batches(progress.start)
        return {
            "epoch": self.epoch,
            "position": plan.position(progress.batches) if progress.workers == 1 else progress.start,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "samples": self.samples,
            **progress.worker_state(plan.global_batch_size),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken, on any number of ranks and with any batch size.

        ValueError if it was taken of other data, with another seed or another shuffle.
        """
        check_state(state, {"seed": self.seed, "shuffle": self.shuffle, "samples": self.samples})
        self._epoch.fill_(int(state["epoch"]))
        self._progress = Progress.from_state(state, self._batches(0).global_batch_size)
        self._resume = True

    def sample(self, i: int) -> Sample:
        """Sample `i`, from 0 to `samples` - 1, as it lies in the shards, numbered through all of them."""
        return self._source.sample(i)

    def view(self) -> SampleView:
        """The data set as a sequence of its samples, noised as in the current epoch."""
        return SampleView(self._source, self._inputs, self.epoch)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rank": self.rank, "_world_size": self.world_size}

    def _batches(self, start: int) -> Batches:
        return Batches(self.samples, start, self.batch_size, self.world_size, self.tail)

    def _order(self, epoch: int) -> EpochOrder:
        sizes = [shard.samples for shard in self.manifest.shards]
        block = self.manifest.samples_per_member
        return EpochOrder(sizes, block, seed=self.seed, epoch=epoch, shuffle=self.shuffle)

    def _iterate(self, progress: Progress) -> Iterator[Batch]:
        plan = self._batches(progress.start)
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        self._progress = progress = progress.for_worker(first, step)
        numbers = range(first + progress.batches * step, len(plan), step)
        if first == 0 and self.rank == 0 and not progress.batches:
            self._report_tail(plan)
        for batch in read_ahead(self._make(plan, numbers), self.read_ahead):
            self._progress = progress = progress.next()
            yield batch

    def _make(self, plan: Batches, numbers: Sequence[int]) -> Iterator[Batch]:
        epoch = self.epoch
        reader = RowReader(self._source, self._order(epoch))
        group = max(1, (_NOISED_CHUNK if self.recipe else _CHUNK) // self.batch_size)
        for at in range(0, len(numbers), group):
            chunk = [plan.positions(number, self.rank) for number in numbers[at : at + group]]
            fields = self._inputs.make(reader.columns(np.concatenate(chunk), self._inputs.needs), epoch)
            for first in range(0, len(chunk) * self.batch_size, self.batch_size):
                rows = {name: values.between(first, first + self.batch_size) for name, values in fields.items()}
                yield collate(rows, pad_id=self._inputs.pad_id, multiple=self.pad_to_multiple)

    def _report_tail(self, plan: Batches) -> None:
        if plan.dropped or plan.padded:
            told = f"{plan.dropped} dropped" if plan.dropped else f"{plan.padded} added from its beginning"
            _log.info("epoch %d of %s: %d batches a rank, tail: %s samples", self.epoch, self.url, len(plan), told)


def _distributed() -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def _check(
    batch_size: int, seed: int, rank: int | None, world_size: int | None, tail: str, multiple: int, ahead: int
) -> None:
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("seed", seed, 0),
        ("pad_to_multiple", multiple, 1),
        ("read_ahead", ahead, 0),
    ):
        if value < least:
            raise ValueError(f"expected {name} of at least {least}, got {value}")
    if (rank is None) != (world_size is None):
        raise ValueError(f"expected both rank and world_size or neither, got rank={rank}, world_size={world_size}")
    if rank is not None and world_size is not None and not 0 <= rank < world_size:
        raise ValueError(f"expected rank from 0 to world_size - 1, got rank={rank}, world_size={world_size}")
    if tail not in ("drop", "pad"):
        raise ValueError(f"expected tail to be 'drop' or 'pad', got {tail!r}")
