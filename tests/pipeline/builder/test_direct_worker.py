"""The worker processes of the multi-process DirectRunner."""

from __future__ import annotations

import os
import sys

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.worker import sdk_worker_main

from noisebeam.pipeline.builder import direct_worker as worker
from noisebeam.pipeline.builder.direct_runner import new_fn_api_runner

TWO_PROCESSES = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]


def test_processes_are_ours_where_the_flags_ask_for_some() -> None:
    environment = new_fn_api_runner(PipelineOptions(TWO_PROCESSES))._default_environment
    assert environment.command_string.startswith(
        f"{sys.executable} -m noisebeam.pipeline.builder.direct_worker"
    )
    assert "noisebeam" not in str(new_fn_api_runner(PipelineOptions([]))._default_environment)


def test_a_worker_ends_at_once_and_tokenizes_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    monkeypatch.setattr(
        sdk_worker_main, "main", lambda _: seen.append(os.environ["TOKENIZERS_PARALLELISM"])
    )
    monkeypatch.setattr(os, "_exit", seen.append)
    worker.main()
    assert seen == ["false", 0]
    monkeypatch.delenv("TOKENIZERS_PARALLELISM")
