"""Builds in processes of their own, and the mishaps that befall them."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

MARK = "NOISEBEAM_TEST_RUN"
BUILD_SECONDS = 300
# as nohup and a script's `&` do
IGNORING_SIGNALS = (
    "/bin/sh",
    "-c",
    'trap "" HUP INT; exec "$@"',
    "-",
)


@dataclass(frozen=True)
class Mishaps:
    """What the segmenter of all builds does wrong; see hostile_segmenter."""

    folder: Path

    def reset(self, *, failures: int = 0, seconds: float = 0) -> None:
        """Forget all calls; the next `failures` calls fail, and each takes `seconds`."""
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "calls").mkdir(parents=True)
        for i in range(failures):
            (self.folder / f"failure-{i}").touch()
        if seconds:
            (self.folder / f"seconds-{seconds}").touch()

    @property
    def failed(self) -> int:
        """How many calls have failed."""
        return len(list(self.folder.glob("done-failure-*")))

    @property
    def callers(self) -> set[int]:
        """Process ids of the parents of all workers that called."""
        return {int(call.name.split("-")[0]) for call in (self.folder / "calls").iterdir()}


@dataclass(frozen=True)
class Runs:
    """Runs builds of one corpus with the same settings, in processes that carry a mark in their
    environment.
    """

    arguments: tuple[str, ...]
    environment: dict[str, str]

    def start(self, output: Path, *flags: str, before: Sequence[str] = ()) -> subprocess.Popen[str]:
        """A build in a process of its own; `before` stands before its command."""
        command = [
            *before,
            sys.executable,
            "-m",
            "noisebeam.pipeline.cli",
            "build",
            *self.arguments,
            "--output",
            str(output),
        ]
        return subprocess.Popen(
            [*command, "--overwrite", *flags],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(self, output: Path, *flags: str) -> dict[str, str]:
        """SHA-256 of every file of a build that has to go well."""
        process = self.start(output, *flags)
        status, errors = finish(process)
        assert status == 0, errors[-3000:]
        return checksums(output)


def finish(process: subprocess.Popen[str], seconds: float = BUILD_SECONDS) -> tuple[int, str]:
    """Wait for a build: its exit status and what it wrote to standard error. It is killed if it
    takes too long.
    """
    try:
        _, errors = process.communicate(timeout=seconds)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, errors


def checksums(output: Path) -> dict[str, str]:
    """SHA-256 of every file of a build."""
    files = sorted(path for path in output.rglob("*") if path.is_file())
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def wait_for(
    condition: Callable[[], object], seconds: float, what: str, pause: float = 0.05
) -> None:
    """Look every `pause` seconds whether `condition` holds; fail the test if it takes longer than
    `seconds`.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds} s in vain for {what}")
        time.sleep(pause)


def marked_processes(environment: dict[str, str]) -> list[str]:
    """Command lines of all living processes that were started with the mark of `environment`, by
    whatever parent.
    """
    mark, found = f"{MARK}={environment[MARK]}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found
