"""Child processes of a build on this machine, which must end when the build is ended."""

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
    """While the block runs, let SIGTERM also end all child processes of this process.

    Beam's workers would wait forever without it. Does nothing outside the main thread, since other
    threads cannot handle signals.
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
    """Return the process ids of the children of a process, of their children, and so on."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found = [process]
    for parent in found:
        found += children.get(parent, [])
    return found[1:]


def _parents() -> Iterator[tuple[int, int]]:
    """Yield, for each process of this machine, its process id and that of its parent."""
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
