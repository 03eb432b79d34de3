"""How far a data set has been read: the state that a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Progress(NamedTuple):
    """Iteration that began at position `start` of an epoch and is at `position`, here or in one of
    several workers.

    A worker passes over `skip` batches, those of the others, to its next one.
    """

    start: int
    position: int
    worker: int = 0
    workers: int = 1
    skip: int = 0
    loaded: bool = False  # from the state of a worker process

    def after(self, position: int) -> Progress:
        """After a batch that ends at `position`."""
        return self._replace(position=position, skip=self.workers - 1)

    def for_worker(self, worker: int, workers: int) -> Progress:
        """The progress of a worker process (0 of 1: there is none) that begins to iterate with
        this.
        """
        if not self.loaded:
            return self._replace(worker=worker, workers=workers, skip=worker)
        if (worker, workers) != (self.worker, self.workers):
            raise ValueError(
                f"expected the state of loader worker {worker} of {workers}, got that of worker {self.worker} of "
                f"{self.workers}; load it with as many workers, or save state_dict(batches=...) of the data set itself"
            )
        return self

    def to_state(self, global_batch_size: int) -> dict[str, Any]:
        """The position, and in a worker what it needs beyond that."""
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
    def from_state(cls, state: Mapping[str, Any], samples: int, global_batch_size: int) -> Progress:
        """The progress that a state dict of an epoch of so many samples tells of; ValueError if it
        cannot be.
        """
        position, worker = state.get("position"), state.get("worker")
        if type(position) is not int or not 0 <= position <= samples:
            raise ValueError(
                f"expected a position from 0 to {samples}, got {position!r}; load a state as it was saved"
            )
        if worker is None:
            return cls(start=position, position=position)
        if worker["global_batch_size"] != global_batch_size:
            raise ValueError(
                f"expected the state of a loader worker with {global_batch_size} samples in a global batch, got "
                f"{worker['global_batch_size']}; keep it, or save state_dict(batches=...) of the data set itself"
            )
        return cls(position, position, worker["id"], worker["of"], worker["skip"], loaded=True)


def check_state(state: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """ValueError unless `state` has these values: with others its position would mean other
    samples.

    >>> check_state({"seed": 1, "samples": 10}, {"seed": 2, "samples": 10})
    Traceback (most recent call last):
    ValueError: expected a state with seed 2, got 1; give the data set what it had when the state was saved
    """
    for name, value in expected.items():
        if state.get(name) != value:
            raise ValueError(
                f"expected a state with {name} {value}, got {state.get(name)}; "
                "give the data set what it had when the state was saved"
            )
