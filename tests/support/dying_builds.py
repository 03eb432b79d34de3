"""Builds into one OUTPUT: the first is killed at its first change of a file there, the next at its
second, and so on.

    python dying_builds.py OUTPUT [settings of noisebeam build]

Until one lives to its end. A JSON line tells of each what it was about to change, its exit status,
how many shards had been recorded before it came, and how many of these it left alone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from noisebeam.pipeline.cli import main

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir"}


def die_at(number: int, output: str, told: int) -> None:
    """From now on SIGKILL comes upon this process just before its change number `number`, from 0,
    below `output`.
    """
    left = [number]

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        opens = (
            event == "open"
            and isinstance(arguments[2], int)
            and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if (opens or event in CHANGES) and str(arguments[0]).startswith(output):
            if not left[0]:
                os.write(told, f"{event} {str(arguments[0]).removeprefix(output)}".encode())
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

    sys.addaudithook(watch)


def run(arguments: Sequence[str], change: int) -> tuple[int, str]:
    """Build in a child process that is killed at a change: its wait status, and what it was about
    to do.
    """
    read, write = os.pipe()
    child = os.fork()
    if not child:
        die_at(change, arguments[0], write)
        os._exit(main(["build", "--quiet", "--output", *arguments]))
    os.close(write)
    with os.fdopen(read) as pipe:
        about = pipe.read()
    return os.waitpid(child, 0)[1], about


def deaths(arguments: Sequence[str]) -> None:
    """Kill one build after the other, until one lives."""
    # imports once what every child needs
    main(["build", "--quiet", "--dry-run", "--output", *arguments])
    lives, change = False, 0
    while not lives:
        recorded = [path.with_suffix(".tar") for path in Path(arguments[0]).glob("shard-*.json")]
        before = {path: path.stat().st_ino for path in recorded}
        status, about = run(arguments, change)
        kept = sum(path.stat().st_ino == inode for path, inode in before.items())
        print(
            json.dumps({"about": about, "status": status, "recorded": len(before), "kept": kept}),
            flush=True,
        )
        lives, change = not os.WIFSIGNALED(status), change + 1


if __name__ == "__main__":
    deaths(sys.argv[1:])
