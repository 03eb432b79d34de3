"""A loaded position: whether it is still to be used, as loader workers and the main process see it.

    README's loop with a state that the loader loads when its first pass begins:
    for epoch in range(dataset.epoch, 3)     0        1        2       dataset.epoch is 0 before
    batches of (state in epoch 1)            rest     none     all
    epoch                                    1        1        2

A pass is one iteration of a training loop over the data set. torchdata's `StatefulDataLoader` loads
a state when it begins to iterate, so that the loop was already counted from another epoch: its next
passes, up to the epoch of the state, are then empty.
"""

from __future__ import annotations

import torch
from torch.utils.data import get_worker_info

_USED_BY, _NEXT, _LAST, _EMPTY = range(4)  # cells of the shared memory


class Resumption:
    """State of a loaded position: whether it is pending, and which passes of a loop are empty.

    >>> resumption = Resumption()
    >>> resumption.load(before=0, epoch=1)
    >>> resumption.pending, resumption.take(), resumption.pending
    (True, True, False)
    >>> resumption.begin_pass(1), resumption.begin_pass(2)
    (True, False)
    """

    def __init__(self) -> None:
        self._loaded = False  # of this process; workers get a copy
        self._shared = torch.zeros(4, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self.clear()

    def load(self, before: int, epoch: int) -> None:
        """Note that a position in `epoch` was loaded; the data set was in the epoch `before`."""
        self._loaded = True
        self._shared[_USED_BY] = self._shared[_EMPTY] = 0
        # Each worker loads the state: for all but the first, the shared epoch is that of the state.
        if before != epoch:
            self._shared[_NEXT], self._shared[_LAST] = before + 1, epoch

    @property
    def pending(self) -> bool:
        """True if the next iteration starts at a loaded position."""
        return self._loaded and int(self._shared[_USED_BY]) == 0

    @property
    def empty(self) -> bool:
        """True if the current pass is left empty."""
        return bool(self._shared[_EMPTY])

    def take(self) -> bool:
        """Return whether the iteration that begins starts at a loaded position, which is then used.

        All workers of one iteration of a `DataLoader` use it, and those of later ones do not.
        """
        worker = get_worker_info()
        iteration = -1 if worker is None else worker.seed - worker.id + 1
        used = self._loaded and int(self._shared[_USED_BY]) in (0, iteration)
        if used:
            self._shared[_USED_BY] = iteration
        self._loaded = False
        return used

    def begin_pass(self, epoch: int) -> bool:
        """Return whether the pass of a loop that calls itself `epoch` is left empty.

        It is if a position was loaded and used in the pass before, and its epoch is not before this
        one.
        """
        empty = not self.pending and int(self._shared[_NEXT]) == epoch <= int(self._shared[_LAST])
        if empty:
            self._shared[_NEXT] += 1
        else:
            self.clear()
        self._shared[_EMPTY] = int(empty)
        return empty

    def clear(self) -> None:
        """Forget the passes that would be left empty."""
        self._shared[_NEXT], self._shared[_LAST], self._shared[_EMPTY] = 0, -1, 0

    def forget(self) -> None:
        """Forget a loaded position."""
        self._loaded = False
        self.clear()
