"""How many samples could not be read, counted where they are read: in worker processes too."""

from __future__ import annotations

import torch

_WORKERS = 1024  # that are told apart


class SkippedCount:
    """A number for each loader worker, in memory that all processes share.

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
        """Count anew, as this worker of so many (0 of 1: there is none)."""
        self._worker = worker % _WORKERS
        self._counts[self._worker] = 0
        if worker == 0:
            self._counts[workers:] = 0  # of more workers before

    def add(self, samples: int) -> None:
        """Count so many more."""
        self._counts[self._worker] += samples

    @property
    def own(self) -> int:
        """The number of this process."""
        return int(self._counts[self._worker])

    @property
    def total(self) -> int:
        """The number of all workers."""
        return int(self._counts.sum())
