"""The processes that a build has started on this machine, and how they end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def ending_together() -> Iterator[None]:
    """Let SIGTERM end the processes that this one has started too; Beam's workers would wait for it
    for ever.

    Only where this is the main thread: no other one may handle signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: Any) -> None:
        for child in descendants(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def descendants(process: int) -> list[int]:
    """The processes that a process has started, and those that these have started."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found = [process]
    for parent in found:
        found += children.get(parent, [])
    return found[1:]


def _parents() -> Iterator[tuple[int, int]]:
    """Each process of this machine, and its parent."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(
            ["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True
        ).stdout
        yield from (
            (int(child), int(parent)) for child, parent in map(str.split, listed.splitlines())
        )
        return
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            yield (
                int(entry.parent.name),
                int(entry.read_text(errors="replace").rpartition(")")[2].split()[1]),
            )
