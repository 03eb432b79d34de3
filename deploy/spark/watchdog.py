"""Run a program that never outlives the process that holds a lock, however that process ends.

    python tether.py LOCKED_FILE PROGRAM ARGUMENT ...

The program takes the place of this process, so that signals reach it; those that were ignored here,
as in a job of a shell without job control, work again. A watcher beside it waits for the lock
(flock), which the system gives up for a process that is gone, and then ends the program: SIGTERM,
and SIGKILL five seconds later.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time

_STOP_SECONDS = 5


def run_tethered(lock: str, *command: str) -> None:
    """Become the program `command`, watched; does not return."""
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
    """End the process `parent` if it still is this one's: its number may have gone to another."""
    end = time.monotonic() + _STOP_SECONDS
    if os.getppid() == parent:
        os.kill(parent, signal.SIGTERM)
    while os.getppid() == parent and time.monotonic() < end:
        time.sleep(0.05)
    if os.getppid() == parent:
        os.kill(parent, signal.SIGKILL)


if __name__ == "__main__":
    run_tethered(*sys.argv[1:])
