"""Checkpoints of `accelerate` without a Trainer: the data set is one of the objects that they
hold.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support import accelerate_job
from support.resume_job import GLOBAL_BATCH, make, numbers
from support.torchrun import environment, torchrun

pytestmark = pytest.mark.slow


def test_a_job_goes_on_where_its_checkpoint_was_taken_with_other_numbers_of_ranks(
    make_set: Callable[..., str], tmp_path: Path
) -> None:
    url = make_set(str(tmp_path / "set"), 320)
    seen = [
        run(url, tmp_path, attempt, *job)
        for attempt, job in enumerate([(1, 7), (2, 10), (1, 1000)])
    ]
    whole = [sorted(numbers(batch)) for batch in make("plain", url, GLOBAL_BATCH)]
    assert [len(batches) for batches in seen] == [7, 10, 23]
    assert [batch for batches in seen for batch in batches] == whole


def run(url: str, folder: Path, attempt: int, ranks: int, steps: int) -> list[list[int]]:
    """The samples of each global batch that a job of so many ranks and steps has seen."""
    job = [accelerate_job.__file__, url, str(folder), str(attempt), str(steps)]
    subprocess.run([*torchrun(ranks), *job], env=environment(), check=True, timeout=180)
    lines = [(folder / f"seen-{attempt}-{rank}").read_text().splitlines() for rank in range(ranks)]
    return [
        sorted(i for part in step for i in json.loads(part)) for step in zip(*lines, strict=True)
    ]
