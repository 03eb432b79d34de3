"""The position of a data set in its epoch, and the state dict that a checkpoint keeps.

    state_dict: {"epoch": 1, "position": 4096, "seed": 17, "build": ..., "batching": ...}
    in a loader worker also: {"worker": {"id": 0, "of": 2, "skip": 1, "global_batch_size": 64}}

A position counts the samples of the epoch in the batches that were returned, over all ranks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

_WORKERS = 1024  # loader workers with counts of their own


class Position(NamedTuple):
    """Position of an iteration over an epoch, in samples of the epoch.

    `start` is where the iteration began, `position` where it is now. In a `DataLoader` with
    workers, this is worker number `worker` of `workers`, which leaves out `skip` global batches,
    those of the other workers, before its next one. `loaded` is True if the position was read from
    the state of a worker process.
    """

    start: int
    position: int
    worker: int = 0
    workers: int = 1
    skip: int = 0
    loaded: bool = False  # whether it is from the state of a worker process

    def after(self, position: int) -> Position:
        """Return this position moved on to `position`, where the batch that was returned ends."""
        return self._replace(position=position, skip=self.workers - 1)

    def for_worker(self, worker: int, workers: int) -> Position:
        """Return the position for a loader worker that begins to iterate here; worker 0 of 1 means
        that there are no workers.

        Raises ValueError if the position was loaded from the state of another worker.
        """
        if not self.loaded:
            return self._replace(worker=worker, workers=workers, skip=worker)
        if (worker, workers) != (self.worker, self.workers):
            raise ValueError(
                f"expected the state of loader worker {worker} of {workers}, got that of worker "
                f"{self.worker} of {self.workers}; load it with as many workers, or save "
                "state_dict(batches=...) of the data set itself"
            )
        return self

    def to_state(self, global_batch_size: int) -> dict[str, Any]:
        """Return the position as values for JSON; in a loader worker with its number and the
        batches to skip.
        """
        if self.workers == 1:
            return {"position": self.position}
        worker = {
            "id": self.worker,
            "of": self.workers,
            "skip": self.skip,
            "global_batch_size": global_batch_size,
        }
        return {"position": self.position, "worker": worker}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], samples: int, global_batch_size: int) -> Position:
        """Return the position that a state dict contains.

        Raises ValueError unless it is from 0 to `samples`, the number of samples of the epoch. The
        state of a loader worker must also have the same `global_batch_size` in samples.
        """
        position, worker = state.get("position"), state.get("worker")
        if type(position) is not int or not 0 <= position <= samples:
            raise ValueError(
                f"expected a position from 0 to {samples}, got {position!r}; "
                "load a state as it was saved"
            )
        if worker is None:
            return cls(start=position, position=position)
        if worker["global_batch_size"] != global_batch_size:
            raise ValueError(
                f"expected the state of a loader worker with {global_batch_size} samples in a "
                f"global batch, got {worker['global_batch_size']}; keep it, or save "
                "state_dict(batches=...) of the data set itself"
            )
        return cls(position, position, worker["id"], worker["of"], worker["skip"], loaded=True)


def check_state(state: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise ValueError unless a state dict has all the expected values, by name.

    They are the values on which the meaning of its position depends.

    >>> state = {"epoch": 0, "position": 4, "seed": 1, "samples": 10}
    >>> check_state(state, {"seed": 2, "samples": 10})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: expected a state with seed 2, got 1; give the data set what it had when ...
    """
    for name in ("epoch", "position", *expected):
        if name not in state:
            found = ", ".join(map(str, state)) or "nothing"
            raise ValueError(
                f"expected a state with {name}, got one with {found}; load what state_dict returned"
            )
    for name, value in expected.items():
        if state.get(name) != value:
            raise ValueError(
                f"expected a state with {name} {value}, got {state.get(name)}; "
                "give the data set what it had when the state was saved"
            )


class SkippedCount:
    """Number of unreadable samples in each loader worker, in memory shared by all processes of a
    rank.

    >>> count = SkippedCount()
    >>> count.begin(worker=0, workers=1)
    >>> count.add(3)
    >>> count.own, count.total
    (3, 3)
    """

    def __init__(self) -> None:
        self._counts = torch.zeros(_WORKERS, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self._worker = 0

    def begin(self, worker: int, workers: int) -> None:
        """Set the count of a loader worker to 0 at the start of its iteration; worker 0 of 1 means
        that there are no workers.
        """
        self._worker = worker % _WORKERS
        self._counts[self._worker] = 0
        if worker == 0:
            self._counts[workers:] = 0  # of workers of an earlier iteration

    def add(self, samples: int) -> None:
        """Add a number of unreadable samples to the count of this process."""
        self._counts[self._worker] += samples

    @property
    def own(self) -> int:
        """Number of unreadable samples in this process."""
        return int(self._counts[self._worker])

    @property
    def total(self) -> int:
        """Number of unreadable samples in all loader workers together."""
        return int(self._counts.sum())
