"""Memory that is used again: for blocks, once nobody has a view of them any more, and for what is
made of them.

The system clears every page that it gives to a process: memory that was used before is there in
half the time.
"""

from __future__ import annotations

import os
from collections import deque
from functools import cache
from threading import Lock
from weakref import ref

import numpy as np

from noisebeam.transforms.data.ragged import Array
from noisebeam.transforms.shards.format import ALIGNED

_KEPT = 2**27  # bytes
_LARGE = 2**23  # bytes
_PAGE = 2**21  # bytes
_FREED = (
    2**25 - 2**14
)  # bytes: with its header the largest array that glibc of 64 bits learns from, 32 MiB


class SpareMemory:
    """Lends memory, and keeps what came back of the last 16 regions, of 10 MiB at most. Safe to
    share between threads.

    Blocks in use that fill more regions than these are read into new memory.

    >>> memory = SpareMemory()
    >>> block = memory.lend(3)
    >>> first, row = address(block), block[1:]
    >>> del block
    >>> address(memory.lend(3)) == first  # the row is still there
    False
    >>> del row
    >>> address(memory.lend(3)) == first
    True
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Keep nothing of what there was; for a fork, in which a thread that held the lock is not
        there.
        """
        self._spare: dict[int, list[Array]] = {}  # by size
        self._left = np.empty(0, np.uint8)
        self._regions: deque[int] = deque(maxlen=_KEPT // _LARGE)  # the last that were cut up
        self._lock = Lock()

    def lend(self, size: int) -> Array:
        """(size,) uint8, with anything in it; it comes back with the last view of it."""
        step = max(ALIGNED, 1 << size.bit_length() >> 3)
        room = -(-size // step) * step  # the same for blocks of nearly the same size
        try:
            memory = self._spare[room].pop()
        except (KeyError, IndexError):
            memory = self._cut(room)
        return np.asarray(_Loan(memory, self))[:size]

    def take_back(self, memory: Array) -> None:
        """Keep memory that nobody uses. No lock here: this may be called at any moment of any
        thread.
        """
        if id(memory.base) in self._regions:  # of an older one, whatever is left of it may go
            self._spare.setdefault(len(memory), []).append(memory)

    def _cut(self, size: int) -> Array:
        if size > _LARGE or not self._lock.acquire(
            blocking=False
        ):  # it may be this thread that has it, interrupted
            return np.empty(size, np.uint8)
        try:
            if size > len(
                self._left
            ):  # the system gives memory in large pages, in a third of the time, where they fit
                region = np.empty(_LARGE + _PAGE, np.uint8)
                if len(self._regions) == self._regions.maxlen:
                    self._spare = {}  # sizes that nobody asks for any more would stay for good
                self._regions.append(id(region))
                self._left = region[-address(region) % _PAGE :]
            taken, self._left = self._left[:size], self._left[size:]
            return taken
        finally:
            self._lock.release()


class _Loan:
    """The base of all views of lent memory, so that it goes when the last of them goes."""

    def __init__(self, memory: Array, lender: SpareMemory) -> None:
        self.__array_interface__ = memory.__array_interface__
        self._memory = memory
        self._lender = ref(lender)

    def __del__(self) -> None:
        if (lender := self._lender()) is not None:
            lender.take_back(self._memory)


spare = SpareMemory()  # for all that this process reads, as long as it lives
os.register_at_fork(after_in_child=spare.renew)


@cache
def keep_freed() -> None:
    """Have the C library keep what this process frees for its next arrays, instead of giving it
    back at once.

    glibc learns by size: after an array was freed, others up to its size are taken from memory that
    was used before, and each arena, of which a thread has one, may leave twice as much unused
    (M_MMAP_THRESHOLD in the manual page of `mallopt`). So an array is freed here, whose pages were
    not used. Sizes that the user has set stay; other C libraries, and glibc of 32 bits, do what
    they always do.
    """
    np.empty(_FREED, np.uint8)


def address(values: Array) -> int:
    """Where the values begin in the memory of this process."""
    return int(values.__array_interface__["data"][0])
