"""Calls to a remote store with a time limit, in daemon threads, since a store may never answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

SHORTEST_DEADLINE = 60  # seconds; a store that works answers in less
_SLOWEST = 2**20  # bytes a second


def run_in_thread(call: Callable[[], T]) -> Future[T]:
    """Start `call` in a daemon thread, which does not keep the process from ending; return the
    future of its result.

    >>> run_in_thread(lambda: 42).result()
    42
    """
    future: Future[T] = Future()
    Thread(target=_run, args=(future, call), name="noisebeam-call", daemon=True).start()
    return future


def deadline(size: int = 0) -> int:
    """Return the time limit in seconds of a call that transfers `size` bytes: 60, and one more for
    each megabyte.
    """
    return SHORTEST_DEADLINE + size // _SLOWEST


def run_with_deadline(call: Callable[[], T], seconds: float) -> T:
    """Return the result of `call`; raise TimeoutError if it takes longer than `seconds`.

    Clients of stores repeat failed requests by rules of their own, some of them for hours. After a
    TimeoutError the call continues in its thread, and its result is dropped.

    >>> run_with_deadline(lambda: 42, seconds=60)
    42
    """
    future = run_in_thread(call)
    try:
        return future.result(seconds)
    except TimeoutError as error:
        if future.done():
            raise
        raise TimeoutError(f"no answer in {seconds} seconds") from error


def _run(future: Future[T], call: Callable[[], T]) -> None:
    """Run `call`, and set its result or its exception in the future."""
    try:
        future.set_result(call())
    except BaseException as error:  # raised again in the thread that waits
        future.set_exception(error)


def call_store(fs: Any, call: Callable[[], T], timeout: float | None = None) -> T:
    """Return the result of `call`, which uses the file system `fs`; with a time limit unless `fs`
    is local.

    Raises TimeoutError after `timeout` seconds; None means one minute.
    """
    return call() if is_local(fs) else run_with_deadline(call, timeout or deadline())


def is_local(fs: Any) -> bool:
    """Return True if an fsspec file system is that of this machine."""
    return "file" in protocols(fs)


def protocols(fs: Any) -> set[str]:
    """Return the protocols of an fsspec file system, such as {"s3", "s3a"}."""
    return {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
