"""Processes that end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

from noisebeam.pipeline.builder.subprocesses import descendants, ending_together


def test_children_and_theirs_are_found() -> None:
    with subprocess.Popen(["/bin/sh", "-c", "sleep 30 & wait"]) as shell:
        deadline = time.monotonic() + 10
        while len(descendants(shell.pid)) < 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        (sleeper,) = descendants(shell.pid)
        assert {shell.pid, sleeper} <= set(descendants(os.getpid()))
        os.kill(sleeper, signal.SIGTERM)
        shell.kill()


def test_sigterm_ends_the_children_too() -> None:
    code = (
        "import subprocess, time\n"
        "from noisebeam.pipeline.builder.subprocesses import ending_together\n"
        "with ending_together():\n"
        "    print(subprocess.Popen(['sleep', '60']).pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(20) == -signal.SIGTERM
    deadline = time.monotonic() + 10
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(process: int) -> bool:
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
    )
    return bool(listed.stdout.strip()) and "Z" not in listed.stdout


def test_other_threads_leave_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    found: list[object] = []

    def look() -> None:
        with ending_together():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [before]
