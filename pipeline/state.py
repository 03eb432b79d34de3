"""How far a data set has been read: the state that a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Progress:
    """`batches` handed out since iteration began at position `start`, here or in one of several workers."""

    start: int
    batches: int = 0
    worker: int = 0
    workers: int = 1
    loaded: bool = False  # from the state of a worker process

    def next(self) -> Progress:
        """After one batch more."""
        return replace(self, batches=self.batches + 1)

    def for_worker(self, worker: int, workers: int) -> Progress:
        """The progress of a worker process (0 of 1: there is none) that begins to iterate with this."""
        if self.loaded and (worker, workers) != (self.worker, self.workers):
            raise ValueError(
                f"expected the state of loader worker {worker} of {workers}, got that of worker {self.worker} of "
                f"{self.workers}; load it with as many workers, or save state_dict(batches=...) of the data set itself"
            )
        return replace(self, worker=worker, workers=workers)

    def worker_state(self, global_batch_size: int) -> dict[str, Any]:
        """What a worker's state holds beyond the position: its own count, which the other workers do not know."""
        if self.workers == 1:
            return {}
        worker = {
            "id": self.worker,
            "of": self.workers,
            "batches": self.batches,
            "global_batch_size": global_batch_size,
        }
        return {"worker": worker}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], global_batch_size: int) -> Progress:
        """The progress that a state dict tells of."""
        worker = state.get("worker")
        if worker is None:
            return cls(start=int(state["position"]))
        if worker["global_batch_size"] != global_batch_size:
            raise ValueError(
                f"expected the state of a loader worker with {global_batch_size} samples in a global batch, got "
                f"{worker['global_batch_size']}; keep it, or save state_dict(batches=...) of the data set itself"
            )
        return cls(int(state["position"]), worker["batches"], worker["id"], worker["of"], loaded=True)


def check_state(state: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """ValueError unless `state` has these values: with others its position would mean other samples.

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
