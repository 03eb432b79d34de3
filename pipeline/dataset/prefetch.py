"""Prefetching: items are made in a background thread before the consumer asks for them.

thread:    item -> queue of `depth` items
consumer:  queue -> item;  close -> stop event -> the thread ends
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

T = TypeVar("T")

_STEP = 1.0  # seconds that the consumer waits in one go
_WAIT = 0.1  # seconds between looks at whether the consumer has gone
_LEAVE = 2.0  # seconds in which the thread may end, which may be waiting for a store


@dataclass(frozen=True)
class _Item(Generic[T]):
    """Item in the queue, which tells items from the end (None) and from errors."""

    value: T


def prefetch(items: Iterable[T], depth: int) -> Iterator[T]:
    """Yield the items of an iterable, made in a background thread, up to `depth` items before they
    are asked for.

    With a depth of 0 there is no thread. An error of `items` is raised after the items before it.
    When this generator is closed, the thread ends as soon as its current item is made.

    >>> list(prefetch(range(5), depth=2))
    [0, 1, 2, 3, 4]
    """
    if depth == 0:
        yield from items
        return
    queue: Queue[_Item[T] | BaseException | None] = Queue(depth)
    stop = Event()
    thread = Thread(target=_fill, args=(items, queue, stop), name="noisebeam-prefetch", daemon=True)
    thread.start()
    try:
        while (entry := _get(queue)) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry.value
    finally:
        stop.set()
        until = time.monotonic() + _LEAVE
        while thread.is_alive() and time.monotonic() < until:
            _take(queue)


def _fill(items: Iterable[T], queue: Queue[_Item[T] | BaseException | None], stop: Event) -> None:
    """Put the items into the queue and then None; an error of `items` is put in place of the item.
    Ends when `stop` is set.
    """
    try:
        for item in items:
            _put(queue, _Item(item), stop)
            if stop.is_set():
                return
        _put(queue, None, stop)
    except BaseException as error:  # carried over to the consumer
        _put(queue, error, stop)


def _put(queue: Queue[T], entry: T, stop: Event) -> None:
    """Put an entry into the queue, waiting while it is full; do nothing once `stop` is set."""
    while not stop.is_set():
        try:
            return queue.put(entry, timeout=_WAIT)
        except Full:
            continue


def _get(queue: Queue[T]) -> T:
    """Return the next entry of the queue, waiting in steps.

    A signal that arrives just before a wait begins is handled when it ends: a wait without an end
    would let Ctrl-C pass without effect.
    """
    while True:
        try:
            return queue.get(timeout=_STEP)
        except Empty:
            continue


def _take(queue: Queue[T]) -> None:
    """Remove an entry from the queue, waiting at most 0.1 seconds for one."""
    try:
        queue.get(timeout=_WAIT)
    except Empty:
        return
