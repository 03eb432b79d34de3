"""The worker processes of the multi-process DirectRunner."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.worker import sdk_worker_main

from noisebeam.pipeline.builder import direct_worker as worker
from noisebeam.pipeline.builder.direct_runner import new_fn_api_runner
from noisebeam.pipeline.builder.subprocesses import descendants

TWO_PROCESSES = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]


def test_processes_are_ours_where_the_flags_ask_for_some() -> None:
    environment = new_fn_api_runner(PipelineOptions(TWO_PROCESSES))._default_environment
    assert environment.command_string.startswith(
        f"exec {sys.executable} -m noisebeam.pipeline.builder.direct_worker"
    )
    assert "noisebeam" not in str(new_fn_api_runner(PipelineOptions([]))._default_environment)


def test_a_worker_ends_at_once_and_tokenizes_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    monkeypatch.setattr(
        sdk_worker_main, "main", lambda _: seen.append(os.environ["TOKENIZERS_PARALLELISM"])
    )
    monkeypatch.setattr(os, "_exit", seen.append)
    worker.main(os.getppid())
    assert seen == ["false", 0]
    monkeypatch.delenv("TOKENIZERS_PARALLELISM")


@pytest.mark.slow
@pytest.mark.parametrize("wait", [0.0, 1.5])
def test_workers_end_with_a_killed_build(corpus: Path, tokenizer: str, wait: float) -> None:
    """SIGKILL gives a build no time to stop them; the same command completes it afterwards."""
    files = ["--input", str(corpus / "corpus.jsonl"), "--output", str(corpus / f"out{wait}")]
    command = [sys.executable, "-m", "noisebeam.pipeline.cli", "build", *files, *TWO_PROCESSES]
    command += ["--tokenizer", tokenizer]
    build = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while len(workers := descendants(build.pid)) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(wait)
    workers = descendants(build.pid)
    build.kill()
    build.wait()
    end = time.monotonic() + 10
    while any(is_running(process) for process in workers) and time.monotonic() < end:
        time.sleep(0.1)
    assert not [process for process in workers if is_running(process)]
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0


def is_running(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return status != "Z"
