"""Ready batches of an epoch: shared out over ranks and workers, made ahead, and resumable at any
batch.
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

_PLANNED = (
    2**17
)  # samples of all ranks and workers that are planned together, of which each takes its share

_log = logging.getLogger(__name__)


class EpochSamples(Protocol):
    """The samples of an epoch, by position."""

    def lengths(self, positions: IntArray) -> IntArray:
        """Their tokens, from indexes alone."""

    def fields(self, positions: IntArray, most: IntArray | None) -> Mapping[str, Ragged]:
        """Their inputs and labels, a row a sample, each cut to so many tokens if `most` is
        given.
        """


class _Chunk(NamedTuple):
    """Batches of `size` rows that were read together."""

    size: int
    ends: list[int]  # of each, the position after it
    bounds: IntArray  # where each row begins, in samples, and the end
    fields: Mapping[str, Ragged]  # of all their samples, one after the other

    def batches(self) -> Iterator[_Rows]:
        """The same batch by batch."""
        starts = self.bounds[:: self.size]
        tokens = np.add.reduceat(self.fields["input_ids"].lengths, starts[:-1]).tolist()
        parts = zip(*(values.split(starts) for values in self.fields.values()), strict=True)
        for i, (end, count, part) in enumerate(zip(self.ends, tokens, parts, strict=True)):
            bounds = self.bounds[i * self.size : (i + 1) * self.size + 1]
            yield _Rows(end, count, bounds - bounds[0], dict(zip(self.fields, part, strict=True)))


class _Rows(NamedTuple):
    """What a batch is made of."""

    end: int  # the position after it
    tokens: int
    bounds: IntArray  # where each row begins, in samples, and the end
    fields: Mapping[str, Ragged]


class _Made(NamedTuple):
    batch: Batch
    end: int  # the position after it


class BatchedDataset(IterableDataset[Batch]):
    """What `ShardDataset` and `Mixture` are: batches of the samples that `open_epoch(epoch)`
    gives.
    """

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
        """The number of samples of an epoch, over all ranks."""

    @abstractmethod
    def open_epoch(self, epoch: int, skipped: SkippedCount | None = None) -> EpochSamples:
        """The samples of an epoch; those that cannot be read are counted by `skipped`, or here."""

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What must be as it was for a position to mean the same sample, as plain values."""

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return int(self._epoch)

    @property
    def batch_size(self) -> int:
        """Rows of a batch of this rank."""
        return self.settings.batch_size

    @property
    def rank(self) -> int:
        """The number of this rank, from 0."""
        return self.settings.here()[0]

    @property
    def world_size(self) -> int:
        """The number of ranks."""
        return self.settings.here()[1]

    @property
    def padding_share(self) -> float:
        """The share of padding in the inputs of this rank that were made since iteration began; 0
        before the first.
        """
        return 1 - self._tokens / self._places if self._places else 0.0

    @property
    def skipped(self) -> int:
        """The samples of this rank, in all loader workers, that could not be read since iteration
        began.
        """
        return self._skipped.total

    def __len__(self) -> int:
        """The number of batches of the whole current epoch, the same for each rank.

        With `Pack` it differs a little from epoch to epoch, and is planned from every index: a
        second for some hundred thousand samples.
        """
        count = self._plan(self.epoch).count(0)
        return count if count else self._no_batch()

    def __iter__(self) -> Iterator[Batch]:
        position = self._position if self._resume else Position(0, 0)
        self._resume = False
        return self._iterate(position)

    @property
    def resuming(self) -> bool:
        """Whether the next iteration goes on at a position that was loaded."""
        return self._resume

    @property
    def exhausted(self) -> bool:
        """Whether a position was loaded after which its epoch has no batch."""
        return (
            self._resume
            and next(self._plan(self.epoch).batches(self._position.position), None) is None
        )

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch; a position that was loaded for this very epoch stays.

        ValueError if one was loaded for another epoch, which is not at its end: it would be lost.
        """
        check_epoch(epoch)
        if epoch == self.epoch:
            return
        if self._resume and not (epoch > self.epoch and self.exhausted):
            raise ValueError(
                f"expected epoch {self.epoch}, in which the loaded state goes on at sample {self._position.position}, "
                f"got {epoch}; begin with dataset.epoch, as in range(dataset.epoch, epochs)"
            )
        self._epoch.fill_(epoch)
        self._position, self._resume = Position(0, 0), False

    def state_dict(self, batches: int | None = None) -> dict[str, Any]:
        """Where this data set is, as plain values: the same on each rank.

        It counts what has been handed out. A `DataLoader` with worker processes fetches ahead and
        keeps the count to itself: there say how many `batches` came out of the loader since
        iteration began. (torchdata's `StatefulDataLoader` does all that by itself.)
        """
        position, plan = self._position, self._plan(self.epoch)
        if batches is not None:
            position = Position(position.start, plan.position(position.start, batches))
        return {"epoch": self.epoch, **position.to_state(plan.size), **self.identity}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken, on any number of ranks and with any batch size.

        ValueError if it was taken of other data, or with settings that give another order.
        """
        check_state(state, self.identity)
        position = Position.from_state(state, self.samples, self._plan(0).size)
        self._epoch.fill_(check_epoch(state["epoch"]))
        self._position, self._resume = position, True

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "settings": self.settings.fixed()}

    def _plan(self, epoch: int, samples: EpochSamples | None = None) -> Plan:
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
        worker = get_worker_info()
        self._position = position = position.for_worker(
            *((worker.id, worker.num_workers) if worker else (0, 1))
        )
        self._tokens = self._places = 0
        self._last = None
        self._skipped.begin(position.worker, position.workers)
        ahead = self.settings.read_ahead
        made_here = (
            self.layout.flat and self.settings.batching.sample_rows
        )  # quicker than to hand them over
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
        """Starts and ends of the batches of this worker, and the rows of this rank in them, a chunk
        at a time.
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
        for chunk in chunks:
            for end, tokens, bounds, fields in chunk.batches():
                batch = self.settings.batching.collate(fields, bounds, self.layout)
                self._tokens += tokens
                self._places += batch["input_ids"].numel()
                yield _Made(batch, end)

    def _most(self, epoch: int, starts: list[int], sizes: IntArray) -> IntArray | None:
        """How many tokens each sample is cut to at these steps; None for all."""
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
        size = self.settings.batch_size * self.world_size
        raise ValueError(
            f"expected enough samples for one batch of {size} rows ({self.settings.batch_size} for each of "
            f"{self.world_size} ranks), got {self.samples} samples; take a smaller batch_size, or tail='pad'"
        )

    def _report(self) -> None:
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
    """ValueError unless `epoch` is the number of one."""
    return check_number("epoch", epoch, 0, 2**63 - 1)
