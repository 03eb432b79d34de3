"""A distributed job that is killed at random moments and goes on with other numbers of ranks."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from support import resume_job
from support.resume_job import GLOBAL_BATCH, KINDS, make, numbers
from support.torchrun import environment, torchrun

pytestmark = pytest.mark.slow

SAMPLES = {"plain": 1600, "grouped": 1600, "packed": 6000, "mixed": 1200, "packed mixture": 4500}


@pytest.mark.parametrize(("seed", "kind"), list(enumerate(KINDS)))
def test_a_job_killed_at_random_moments_sees_exactly_the_epoch(
    make_set: Callable[..., str], tmp_path: Path, seed: int, kind: str
) -> None:
    url, samples = str(tmp_path / "set"), SAMPLES[kind]
    if "mix" in kind:
        make_set(f"{url}/0", samples)
        make_set(f"{url}/1", samples // 3, first=samples)
    else:
        make_set(url, samples)
    chance = random.Random(seed)
    starts = []
    for attempt, ranks in enumerate((2, 1, 4, 2)):
        starts.append(position(tmp_path))
        run(
            [kind, url, str(tmp_path), str(attempt)],
            ranks,
            kill_after=None if attempt == 3 else chance.randint(5, 50),
        )
    whole = make(kind, url, GLOBAL_BATCH)
    expected = [i for batch in whole for i in numbers(batch)]
    assert starts == sorted(starts)
    assert 0 < starts[-1] < position(tmp_path) == whole.state_dict()["position"]
    assert sorted(counted(tmp_path, [*starts, whole.samples])) == sorted(expected)
    assert (len(expected) == len(set(expected))) == ("mix" not in kind)
    if kind == "plain":
        assert sorted(expected) == list(range(samples))


def run(arguments: list[str], ranks: int, kill_after: int | None) -> None:
    """Run the job, to its end or until a rank has seen `kill_after` batches."""
    folder, attempt = Path(arguments[2]), arguments[3]
    job = subprocess.Popen([*torchrun(ranks), resume_job.__file__, *arguments], env=environment())
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


def kill(job: subprocess.Popen[bytes], folder: Path, attempt: str) -> None:
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
    """The samples of the steps that counted: those before the place where the next attempt went
    on.
    """
    numbers: list[int] = []
    for attempt, end in enumerate(starts[1:]):
        for path in folder.glob(f"seen-{attempt}-*"):
            whole = path.read_text().rpartition("\n")[0].splitlines()
            numbers += [i for at, seen in map(json.loads, whole) if at < end for i in seen]
    return numbers
