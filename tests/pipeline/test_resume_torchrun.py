"""A distributed job that is killed at random moments and goes on with other numbers of ranks."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SAMPLES = 1600
JOB = Path(__file__).with_name("resume_job.py")


@pytest.mark.parametrize("seed", [0, 1])
def test_a_job_killed_at_random_moments_sees_exactly_the_epoch(
    make_set: Callable[..., str], tmp_path: Path, seed: int
) -> None:
    url = make_set(str(tmp_path / "set"), SAMPLES)
    chance = random.Random(seed)
    starts = []
    for attempt, ranks in enumerate((2, 1, 4, 2)):
        starts.append(position(tmp_path))
        run(url, tmp_path, attempt, ranks, kill_after=None if attempt == 3 else chance.randint(5, 50))
    assert starts == sorted(starts)
    assert starts[-1] > 0
    assert position(tmp_path) == SAMPLES
    assert sorted(counted(tmp_path, [*starts, SAMPLES])) == list(range(SAMPLES))


def run(url: str, folder: Path, attempt: int, ranks: int, kill_after: int | None) -> None:
    """Run the job, to its end or until a rank has seen `kill_after` batches."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    job = subprocess.Popen([*command, str(JOB), url, str(folder), str(attempt)], env=environment)
    try:
        deadline = time.monotonic() + 180
        while job.poll() is None and time.monotonic() < deadline:
            if kill_after is not None and lines(folder / f"seen-{attempt}-0") >= kill_after:
                break
            time.sleep(0.002)
        if kill_after is None:
            assert job.poll() == 0
        else:
            assert job.poll() is None
    finally:
        kill(job, folder, attempt)


def kill(job: subprocess.Popen[bytes], folder: Path, attempt: int) -> None:
    """SIGKILL: the launcher first, so that it cannot end the ranks in a gentler way."""
    if job.poll() is None:
        job.kill()
        for path in folder.glob(f"pid-{attempt}-*"):
            with suppress(ProcessLookupError):
                os.kill(int(path.read_text()), signal.SIGKILL)
    job.wait(10)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def position(folder: Path) -> int:
    """The samples that a checkpoint says are done."""
    path = folder / "checkpoint.json"
    return int(json.loads(path.read_text())["position"]) if path.exists() else 0


def counted(folder: Path, starts: list[int]) -> list[int]:
    """The samples of the steps that counted: those before the place where the next attempt went on."""
    numbers: list[int] = []
    for attempt, end in enumerate(starts[1:]):
        for path in folder.glob(f"seen-{attempt}-*"):
            whole = path.read_text().rpartition("\n")[0].splitlines()
            numbers += [i for at, seen in map(json.loads, whole) if at < end for i in seen]
    return numbers
