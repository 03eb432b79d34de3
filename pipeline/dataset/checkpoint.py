"""Position of a data set in its epoch, and the state that a checkpoint keeps of it.

state_dict: {"epoch": 1, "position": 4096, "seed": 17, "build": ..., "batching": ...}
in a loader worker also: {"worker": {"id": 0, "of": 2, "skip": 1, "global_batch_size": 64}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

_WORKERS = 1024  # loader workers with counts of their own


class Position(NamedTuple):
    """Position of an iteration, in samples of its epoch: where it began, and where it is.

    A loader worker skips `skip` batches, those of the other workers, before its next batch.
    """

    start: int
    position: int
    worker: int = 0
    workers: int = 1
    skip: int = 0
    loaded: bool = False  # whether it is from the state of a worker process

    def after(self, position: int) -> Position:
        """Return the position after a batch that ends at `position`."""
        return self._replace(position=position, skip=self.workers - 1)

    def for_worker(self, worker: int, workers: int) -> Position:
        """Return the position for a loader worker that begins here; 0 of 1 means no worker.

        Raises ValueError if this is the state of another worker.
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
        """Return the position as plain values; a worker adds its number and batches to skip."""
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
        """Return the position of a state dict; ValueError if it is not one of `samples` samples."""
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
    """Raise ValueError unless a state has the expected values, of which its position depends.

    >>> check_state({"seed": 1, "samples": 10}, {"seed": 2, "samples": 10})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: expected a state with seed 2, got 1; give the data set what it had when ...
    """
    for name, value in expected.items():
        if state.get(name) != value:
            raise ValueError(
                f"expected a state with {name} {value}, got {state.get(name)}; "
                "give the data set what it had when the state was saved"
            )


class SkippedCount:
    """Number of unreadable samples of each loader worker, in memory that all processes share.

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
        """Reset the count of a worker; 0 of 1 means no worker."""
        self._worker = worker % _WORKERS
        self._counts[self._worker] = 0
        if worker == 0:
            self._counts[workers:] = 0  # of workers of an earlier iteration

    def add(self, samples: int) -> None:
        """Add to the count of this process."""
        self._counts[self._worker] += samples

    @property
    def own(self) -> int:
        """Count of this process."""
        return int(self._counts[self._worker])

    @property
    def total(self) -> int:
        """Number of skipped samples of all loader workers."""
        return int(self._counts.sum())
