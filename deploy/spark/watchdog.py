"""Run a program that never outlives the process that holds a lock, however that process ends.

    python watchdog.py LOCKED_FILE PROGRAM ARGUMENT ...

The program replaces this process, so that it gets its signals; signals that were ignored here, as
in a background job of a shell, work again. A watcher beside it waits for the lock (flock), which
the system releases when its process is gone, and then ends the program: SIGTERM, and SIGKILL five
seconds later.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time

_STOP_SECONDS = 5


def run_tethered(lock: str, *command: str) -> None:
    """Replace this process by `command`, which is ended when the process that holds the lock on the
    file `lock` ends. Never returns.
    """
    program = os.getpid()
    with open(lock, "rb") as file:
        if os.fork() == 0:
            os.setsid()  # out of reach of a terminal's Ctrl-C
            os.closerange(0, 3)
            fcntl.flock(file, fcntl.LOCK_EX)
            _end_parent(program)
            os._exit(0)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.execvp(command[0], command)


def _end_parent(parent: int) -> None:
    """End a process if it is still the parent of this one; after that its number may belong to
    another process.
    """
    end = time.monotonic() + _STOP_SECONDS
    if os.getppid() == parent:
        os.kill(parent, signal.SIGTERM)
    while os.getppid() == parent and time.monotonic() < end:
        time.sleep(0.05)
    if os.getppid() == parent:
        os.kill(parent, signal.SIGKILL)


if __name__ == "__main__":
    run_tethered(*sys.argv[1:])
