"""Batches of an epoch: divided among ranks and workers, made ahead in threads, resumable at any
batch.

plan -> positions of a chunk -> fields (read, noised) -> _Chunk -> _Rows -> Batch
|------------- reading thread ----------------------|   |--- main thread ---|
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from noisebeam.pipeline.batching.collate import Batch, prepare
from noisebeam.pipeline.batching.layout import Layout
from noisebeam.pipeline.batching.plan import GlobalBatches, Plan
from noisebeam.pipeline.dataset.checkpoint import Position, SkippedCount, check_state
from noisebeam.pipeline.dataset.prefetch import prefetch
from noisebeam.pipeline.dataset.settings import BatchSettings, check_number
from noisebeam.transforms.data.ragged import IntArray, Ragged

# samples of all ranks and workers that are planned together, of which each takes its share
_PLANNED = 2**17

_log = logging.getLogger(__name__)


class EpochSamples(Protocol):
    """Samples of an epoch, by position."""

    def lengths(self, positions: IntArray) -> IntArray:
        """Return the token count of the sample at each position, read from the shard indexes."""

    def fields(self, positions: IntArray, most: IntArray | None) -> Mapping[str, Ragged]:
        """Return inputs and labels of the samples at some positions, a row a sample.

        With `most` (positions,), each sample is truncated to so many tokens before noise is drawn.
        """


class _Chunk(NamedTuple):
    """Batches of `size` rows each that were read together."""

    size: int
    ends: list[int]  # of each, the position after it
    bounds: IntArray  # where each row begins, in samples, and the end
    fields: Mapping[str, Ragged]  # of all their samples, one after the other

    def batches(self) -> Iterator[_Rows]:
        """Yield the rows of each batch."""
        starts = self.bounds[:: self.size]
        tokens = np.add.reduceat(self.fields["input_ids"].lengths, starts[:-1]).tolist()
        parts = zip(*(values.split(starts) for values in self.fields.values()), strict=True)
        for i, (end, count, part) in enumerate(zip(self.ends, tokens, parts, strict=True)):
            bounds = self.bounds[i * self.size : (i + 1) * self.size + 1]
            yield _Rows(end, count, bounds - bounds[0], dict(zip(self.fields, part, strict=True)))


class _Rows(NamedTuple):
    """Rows of one batch."""

    end: int  # the position after it
    tokens: int
    bounds: IntArray  # where each row begins, in samples, and the end
    fields: Mapping[str, Ragged]


class _Made(NamedTuple):
    batch: Batch
    end: int  # the position after it


class BatchedDataset(IterableDataset[Batch]):
    """Base class of `ShardDataset` and `Mixture`: batches of the samples of `open_epoch(epoch)`."""

    layout: Layout  # how rows become a batch
    max_tokens: int  # the most a sample has
    chunk: int  # samples that are read and noised together: does not change the result

    def __init__(self, settings: BatchSettings, *, seed: int, epoch: int) -> None:
        self.settings = settings
        self.seed = check_number("seed", seed, 0, 2**64 - 1)
        # Shared with worker processes, which may stay from one epoch to the next.
        self._epoch = torch.tensor(check_epoch(epoch)).share_memory_()  # type: ignore[no-untyped-call]
        self._position = Position(0, 0)
        self._resume = False
        self._tokens = self._places = 0  # in the batches made since iteration began
        self._skipped = SkippedCount()
        self._last: tuple[int, int] | None = (
            None  # the position after the last batch that was read, its repeated rows
        )

    @property
    @abstractmethod
    def samples(self) -> int:
        """Number of samples of an epoch, over all ranks."""

    @abstractmethod
    def open_epoch(self, epoch: int, skipped: SkippedCount | None = None) -> EpochSamples:
        """Return the samples of an epoch; unreadable ones are counted by `skipped`, by default
        here.
        """

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Values on which the meaning of a position depends, as plain values."""

    @property
    def epoch(self) -> int:
        """Current epoch."""
        return int(self._epoch)

    @property
    def batch_size(self) -> int:
        """Rows of a batch of this rank."""
        return self.settings.batch_size

    @property
    def rank(self) -> int:
        """Number of this rank, from 0."""
        return self.settings.here()[0]

    @property
    def world_size(self) -> int:
        """Number of ranks."""
        return self.settings.here()[1]

    @property
    def padding_share(self) -> float:
        """Share of padding in the inputs of this rank since iteration began; 0 before the first
        batch.
        """
        return 1 - self._tokens / self._places if self._places else 0.0

    @property
    def skipped(self) -> int:
        """Number of unreadable samples of this rank since iteration began, in all loader
        workers.
        """
        return self._skipped.total

    def __len__(self) -> int:
        """Return the number of batches of the whole current epoch, the same for each rank.

        With `Pack` it differs a little between epochs, and reads every index: a second for some
        hundred thousand samples.
        """
        count = self._plan(self.epoch).count(0)
        return count if count else self._no_batch()

    def __iter__(self) -> Iterator[Batch]:
        position = self._position if self._resume else Position(0, 0)
        self._resume = False
        return self._iterate(position)

    @property
    def resuming(self) -> bool:
        """Whether the next iteration starts at a loaded position."""
        return self._resume

    @property
    def exhausted(self) -> bool:
        """Whether a position was loaded that has no batch after it in its epoch."""
        return (
            self._resume
            and next(self._plan(self.epoch).batches(self._position.position), None) is None
        )

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch; a loaded position of this very epoch is kept.

        Raises ValueError if a position of another epoch was loaded that is not at its end: it would
        be lost.
        """
        check_epoch(epoch)
        if epoch == self.epoch:
            return
        if self._resume and not (epoch > self.epoch and self.exhausted):
            raise ValueError(
                f"expected epoch {self.epoch}, in which the loaded state goes on at sample "
                f"{self._position.position}, "
                f"got {epoch}; begin with dataset.epoch, as in range(dataset.epoch, epochs)"
            )
        self._epoch.fill_(epoch)
        self._position, self._resume = Position(0, 0), False

    def state_dict(self, batches: int | None = None) -> dict[str, Any]:
        """Return the position of this data set as plain values, the same on each rank.

        It counts the batches that were returned. A `DataLoader` with worker processes fetches ahead
        and does not report its position: then pass the number of `batches` that the loader returned
        since iteration began. (torchdata's `StatefulDataLoader` needs no number.)
        """
        position, plan = self._position, self._plan(self.epoch)
        if batches is not None:
            position = Position(position.start, plan.position(position.start, batches))
        return {"epoch": self.epoch, **position.to_state(plan.size), **self.identity}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where a state was taken, on any number of ranks and with any batch size.

        Raises ValueError for a state of other data, or of settings with another order.
        """
        check_state(state, self.identity)
        position = Position.from_state(state, self.samples, self._plan(0).size)
        self._epoch.fill_(check_epoch(state["epoch"]))
        self._position, self._resume = position, True

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "settings": self.settings.fixed()}

    def _plan(self, epoch: int, samples: EpochSamples | None = None) -> Plan:
        """Return the plan of the global batches of an epoch."""
        opened = samples or self.open_epoch(epoch)
        size = self.settings.batch_size * self.world_size
        return Plan(
            self.samples,
            opened.lengths,
            self.settings.batching,
            (self.seed, epoch),
            size,
            self.settings.tail,
        )

    def _iterate(self, position: Position) -> Iterator[Batch]:
        """Yield the batches from a position on, and log the tail and the skipped samples at the
        end.
        """
        worker = get_worker_info()
        self._position = position = position.for_worker(
            *((worker.id, worker.num_workers) if worker else (0, 1))
        )
        self._tokens = self._places = 0
        self._last = None
        self._skipped.begin(position.worker, position.workers)
        ahead = self.settings.read_ahead
        # quicker than to hand them over
        made_here = self.layout.flat and self.settings.batching.sample_rows
        batches = self._collate(prefetch(self._read(position), min(1, ahead)))
        for made in prefetch(batches, 0 if made_here else ahead):
            self._position = position = position.after(made.end)
            yield made.batch
        if position.worker == 0 and self.rank == 0:
            self._report()
        if skipped := self._skipped.own:
            by = f" by loader worker {position.worker} of {position.workers}" if worker else ""
            _log.warning(
                "epoch %d: %d samples could not be read%s; others came in their place",
                self.epoch,
                skipped,
                by,
            )

    def _read(self, position: Position) -> Iterator[_Chunk]:
        """Yield chunks of batches of this rank and worker, read and noised."""
        epoch = self.epoch
        samples = self.open_epoch(epoch)
        plan = self._plan(epoch, samples)
        for starts, ends, rows in self._shares(plan, position):
            most = self._most(epoch, starts, np.diff(rows.offsets[:: self.batch_size]))
            fields = samples.fields(rows.values, most)
            prepare(fields, pad_id=self.layout.pad_id)
            yield _Chunk(self.batch_size, ends, rows.offsets, fields)

    def _shares(
        self, plan: Plan, position: Position
    ) -> Iterator[tuple[list[int], list[int], Ragged]]:
        """Yield the batches of this worker a chunk at a time: starts, ends, and the rows of this
        rank.
        """
        rank, world_size = self.settings.here()
        skip, workers = position.skip, position.workers
        starts: list[int] = []
        ends: list[int] = []
        rows: list[Ragged] = []
        batches: GlobalBatches | None = None
        for batches in plan.batches(
            position.position, min(self.chunk * world_size * workers, _PLANNED)
        ):
            self._last = batches.ends[-1], batches.repeated
            own = slice(skip, None, workers)
            skip += workers * len(batches.ends[own]) - len(batches.ends)
            starts += [batches.start, *batches.ends[:-1]][own]
            ends += batches.ends[own]
            rows.append(batches.share(rank, world_size, own))
            sizes = [len(part.values) for part in rows]
            if ends and sum(sizes) + sizes[-1] > self.chunk:  # as many again would be too many
                yield starts, ends, Ragged.joined(rows)
                starts, ends, rows = [], [], []
        if ends:
            yield starts, ends, Ragged.joined(rows)
        if batches is None and position.position == 0:
            self._no_batch()

    def _collate(self, chunks: Iterable[_Chunk]) -> Iterator[_Made]:
        """Yield the batches of chunks as tensors."""
        for chunk in chunks:
            for end, tokens, bounds, fields in chunk.batches():
                batch = self.settings.batching.collate(fields, bounds, self.layout)
                self._tokens += tokens
                self._places += batch["input_ids"].numel()
                yield _Made(batch, end)

    def _most(self, epoch: int, starts: list[int], sizes: IntArray) -> IntArray | None:
        """Return the length to which each sample is truncated at these steps; None for no
        truncation.
        """
        if self.settings.length_warmup is None:
            return None
        done = [epoch * self.samples + start for start in starts]
        most = [self.settings.length_warmup.tokens(samples, self.max_tokens) for samples in done]
        return (
            None
            if most == [None] * len(most)
            else np.repeat([n or self.max_tokens for n in most], sizes)
        )

    def _no_batch(self) -> int:
        """Raise ValueError: the epoch has too few samples for a batch."""
        size = self.settings.batch_size * self.world_size
        raise ValueError(
            f"expected enough samples for one batch of {size} rows ({self.settings.batch_size} for "
            "each of "
            f"{self.world_size} ranks), got {self.samples} samples; take a smaller batch_size, or "
            "tail='pad'"
        )

    def _report(self) -> None:
        """Log the tail of the epoch and its share of padding."""
        if self._last is not None:
            end, again = self._last
            out = self.samples - end
            tail = (
                f"{out} samples left out"
                if out
                else f"{again} rows added from its beginning"
                if again
                else "none"
            )
            _log.info(
                "epoch %d: tail: %s; padding: %.1f %%", self.epoch, tail, 100 * self.padding_share
            )


def check_epoch(epoch: Any) -> int:
    """Return an epoch number; raise ValueError if it is not one."""
    return check_number("epoch", epoch, 0, 2**63 - 1)
