"""Batches of an epoch: divided among ranks and loader workers, made in background threads,
resumable at any batch.

    plan -> positions of a chunk -> fields (read, noised) -> Chunk -> Rows -> Batch
    |------------- reading thread ----------------------|   |--- main thread ---|

A position is the index of a sample in the order of the epoch. A chunk is a number of consecutive
batches whose samples are read and noised together. A loader worker is a worker process of a
`DataLoader`.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from noisebeam.pipeline.batching.collate import Batch, prepare
from noisebeam.pipeline.batching.layout import Layout
from noisebeam.pipeline.batching.plan import GlobalBatches, Plan
from noisebeam.pipeline.dataset.checkpoint import Position, SkippedCount, check_state
from noisebeam.pipeline.dataset.chunks import Chunk, EpochSamples
from noisebeam.pipeline.dataset.loaders import check_loader
from noisebeam.pipeline.dataset.prefetch import prefetch
from noisebeam.pipeline.dataset.resumption import Resumption
from noisebeam.pipeline.dataset.settings import BatchSettings, check_number
from noisebeam.transforms.data.ragged import IntArray, Ragged

# samples of all ranks and workers that are planned together, of which each takes its share
_PLANNED = 2**17

_log = logging.getLogger(__name__)


class _Made(NamedTuple):
    """Batch of tensors, and `end`, the position of the epoch after it."""

    batch: Batch
    end: int  # the position after it


class BatchedDataset(IterableDataset[Batch]):
    """Base class of `ShardDataset` and `Mixture`: makes batches of the samples that
    `open_epoch(epoch)` returns.

    A subclass also sets `layout` (how rows become a batch), `max_tokens` (of the longest sample)
    and `chunk` (number of samples that are read and noised together, which does not change the
    result).
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
        self._resumption = Resumption()
        # tokens, and cells of `input_ids`, in the batches made since iteration began
        self._tokens = self._cells = 0
        self._skipped = SkippedCount()
        self._last: tuple[int, int] | None = (
            None  # the position after the last batch that was read, its repeated rows
        )

    @property
    @abstractmethod
    def samples(self) -> int:
        """Number of samples of an epoch of this data set, over all ranks."""

    @abstractmethod
    def open_epoch(self, epoch: int, skipped: SkippedCount | None = None) -> EpochSamples:
        """Return the samples of an epoch, readable by position.

        Unreadable samples are counted in `skipped`; None counts them in this data set.
        """

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Settings and data on which the meaning of a saved position depends, as values for JSON.

        A state can be loaded only if these values are equal to those with which it was saved.
        """

    @property
    def epoch(self) -> int:
        """Number of the current epoch, from 0."""
        return int(self._epoch)

    @property
    def batch_size(self) -> int:
        """Number of rows of a batch of one rank."""
        return self.settings.batch_size

    @property
    def rank(self) -> int:
        """Number of this rank, from 0, as given or as of `torch.distributed`."""
        return self.settings.here()[0]

    @property
    def world_size(self) -> int:
        """Number of ranks, as given or as of `torch.distributed`."""
        return self.settings.here()[1]

    @property
    def padding_share(self) -> float:
        """Share of padding, 0 to 1, in the `input_ids` of this rank's batches since iteration
        began; 0 before the first batch.
        """
        return 1 - self._tokens / self._cells if self._cells else 0.0

    @property
    def skipped(self) -> int:
        """Number of unreadable samples of this rank since iteration began, over all its loader
        workers.
        """
        return self._skipped.total

    def __len__(self) -> int:
        """Return the number of batches of the whole current epoch, the same for each rank.

        Raises ValueError if there is none. With `Pack` the number differs a little between epochs,
        and computing it reads the index of every shard: a second for some hundred thousand samples.
        """
        count = self._plan(self.epoch).count(0)
        return count if count else self._no_batch()

    def __iter__(self) -> Iterator[Batch]:
        check_loader()
        if self._resumption.take():
            return self._iterate(self._position)
        return self._iterate(Position(0, 0))

    def __getitem__(self, index: Any) -> Batch:
        """Raise TypeError, since batches are made in order; `ShardDataset.view` has samples by
        number.
        """
        raise TypeError(
            f"{type(self).__name__}: expected iteration over batches, got the index {index!r}; "
            f"the view() of a ShardDataset has samples by number: dataset.view()[{index!r}]"
        )

    @property
    def resuming(self) -> bool:
        """True if a state was loaded from which the next iteration continues."""
        return self._resumption.pending

    @property
    def exhausted(self) -> bool:
        """True if a state was loaded whose position is at the end of its epoch, with no batch after
        it.
        """
        return (
            self.resuming
            and next(self._plan(self.epoch).batches(self._position.position), None) is None
        )

    def set_epoch(self, epoch: int) -> None:
        """Set the current epoch; the next iteration then starts at its beginning.

        Call it before each epoch. If a state of this very epoch was loaded, its position is kept.
        Raises ValueError if a state of another epoch was loaded that is not at its end, since its
        position would be lost.
        """
        check_epoch(epoch)
        if self._resumption.begin_pass(epoch):
            return
        if epoch == self.epoch:
            return
        if self.resuming and not (epoch > self.epoch and self.exhausted):
            raise ValueError(
                f"expected epoch {self.epoch}, in which the loaded state goes on at sample "
                f"{self._position.position}, "
                f"got {epoch}; begin with dataset.epoch, as in range(dataset.epoch, epochs)"
            )
        self._epoch.fill_(epoch)
        self._position = Position(0, 0)
        self._resumption.forget()

    def state_dict(self, batches: int | None = None) -> dict[str, Any]:
        """Return the position of this data set, as values for JSON, the same on each rank.

        The position counts the batches that were returned so far. A `DataLoader` with worker
        processes fetches batches in advance and does not report its position: then pass as
        `batches` the number of batches that the loader returned since iteration began. (torchdata's
        `StatefulDataLoader` needs no number.)
        """
        position, plan = self._position, self._plan(self.epoch)
        if batches is not None:
            position = Position(position.start, plan.position(position.start, batches))
        return {"epoch": self.epoch, **position.to_state(plan.size), **self.identity}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the next iteration from the position of a state that `state_dict` returned.

        The number of ranks and the batch size may differ from those of the saved run. Raises
        ValueError if the state is of other data, or of settings with another order of samples.
        """
        check_state(state, self.identity)
        position = Position.from_state(state, self.samples, self._plan(0).size)
        before = self.epoch
        self._epoch.fill_(check_epoch(state["epoch"]))
        self._position = position
        self._resumption.load(before, self.epoch)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "settings": self.settings.fixed()}

    def _plan(self, epoch: int, samples: EpochSamples | None = None) -> Plan:
        """Return the plan of the global batches of an epoch.

        `samples` are the samples of that epoch; None opens them.
        """
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
        """Yield the batches of this rank and loader worker after a position; at the end of the
        epoch, log its tail and the number of unreadable samples.
        """
        worker = get_worker_info()
        self._position = position = position.for_worker(
            *((worker.id, worker.num_workers) if worker else (0, 1))
        )
        self._tokens = self._cells = 0
        self._last = None
        if self._resumption.empty:
            self._position = position.after(self.samples)
            return
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

    def _read(self, position: Position) -> Iterator[Chunk]:
        """Yield chunks (several batches each) of this rank and loader worker after a position: read
        and noised, not yet collated.
        """
        epoch = self.epoch
        samples = self.open_epoch(epoch)
        plan = self._plan(epoch, samples)
        for starts, ends, rows in self._shares(plan, position):
            most = self._most(epoch, starts, np.diff(rows.offsets[:: self.batch_size]))
            fields = samples.fields(rows.values, most)
            prepare(fields, pad_id=self.layout.pad_id)
            yield Chunk(self.batch_size, ends, rows.offsets, fields)

    def _shares(
        self, plan: Plan, position: Position
    ) -> Iterator[tuple[list[int], list[int], Ragged]]:
        """Yield the batches of this rank and loader worker as positions, a chunk of several batches
        at a time.

        Yields three values: for each batch, the position of the epoch before the global batch and
        the position after it, and the rows of all batches as positions of their samples.
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

    def _collate(self, chunks: Iterable[Chunk]) -> Iterator[_Made]:
        """Yield the batches of chunks as tensors, and count their tokens and padding."""
        for chunk in chunks:
            for end, tokens, bounds, fields in chunk.batches():
                batch = self.settings.batching.collate(fields, bounds, self.layout)
                self._tokens += tokens
                self._cells += batch["input_ids"].numel()
                yield _Made(batch, end)

    def _most(self, epoch: int, starts: list[int], sizes: IntArray) -> IntArray | None:
        """Return the number of tokens to which each sample is truncated by the length warm-up:
        (samples,); None if nothing is truncated.

        `starts` is the position of the epoch before each batch, `sizes` the number of samples of
        each batch.
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
        """Raise ValueError, since the epoch has too few samples for one batch."""
        size = self.settings.batch_size * self.world_size
        raise ValueError(
            f"expected enough samples for one batch of {size} rows ({self.settings.batch_size} for "
            "each of "
            f"{self.world_size} ranks), got {self.samples} samples; take a smaller batch_size, or "
            "tail='pad'"
        )

    def _report(self) -> None:
        """Log what was done with the last samples of the epoch, which fill no batch, and the share
        of padding.
        """
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
    """Return `epoch` as an integer; raise ValueError unless it is a whole number from 0 to 2**63 -
    1.
    """
    return check_number("epoch", epoch, 0, 2**63 - 1)
