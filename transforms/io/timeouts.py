"""Questions to a store that may never answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 60  # seconds in which a store answers that is there
_SLOWEST = 2**20  # bytes a second


def later(ask: Callable[[], T]) -> Future[T]:
    """What `ask` gives, asked for in a thread that does not keep the process from ending.

    >>> later(lambda: 42).result()
    42
    """
    waiting: Future[T] = Future()
    Thread(target=_settle, args=(waiting, ask), name="noisebeam-answer", daemon=True).start()
    return waiting


def patience(size: int = 0) -> int:
    """Seconds to wait for a store that is sent or asked for so many bytes: a minute, and one for
    each megabyte.
    """
    return PATIENCE + size // _SLOWEST


def answer(ask: Callable[[], T], timeout: float) -> T:
    """What `ask` gives; TimeoutError if that takes longer than `timeout` seconds.

    Clients of stores repeat what fails by rules of their own, some for hours. One that is waited
    for no longer goes on in its thread.

    >>> answer(lambda: 42, timeout=60)
    42
    """
    waiting = later(ask)
    try:
        return waiting.result(timeout)
    except TimeoutError as error:
        if waiting.done():
            raise
        raise TimeoutError(f"no answer in {timeout} seconds") from error


def _settle(waiting: Future[T], ask: Callable[[], T]) -> None:
    try:
        waiting.set_result(ask())
    except BaseException as error:  # carried over to who waits
        waiting.set_exception(error)
