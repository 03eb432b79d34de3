"""The SparkRunner: starts what a build on Spark needs on the machine from which it is started."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import (
    DebugOptions,
    JobServerOptions,
    PipelineOptions,
    PortableOptions,
    SparkRunnerOptions,
)
from apache_beam.runners.runner import create_runner

from noisebeam.deploy.spark.job_server import find_java, find_job_server_jar
from noisebeam.deploy.spark.worker_pool import local_worker_pool
from noisebeam.pipeline.builder.options import BuildOptions
from noisebeam.pipeline.builder.runners import BeamRunner

_LOCAL_MASTER = re.compile(r"local(\[(\d+|\*)(,\d+)?\])?")
_LOCAL_PROPERTIES = (
    "spark.driver.host=127.0.0.1",
    "spark.driver.bindAddress=127.0.0.1",
    "spark.ui.enabled=false",
)
_KEEP_WORKERS_MILLIS = 60_000  # without it each stage starts workers of its own, seconds each


def is_local_master(url: str) -> bool:
    """Return True if a master URL lets Spark run in the process of the job server: `local`,
    `local[2]`, `local[*]`.
    """
    return _LOCAL_MASTER.fullmatch(url) is not None


def local_threads(url: str) -> int:
    """Return the number of tasks that Spark runs at the same time with a local master URL, such as
    2 for `local[2]`.

    >>> local_threads("local"), local_threads("local[3]"), local_threads("local[2,4]")
    (1, 3, 2)
    """
    match = _LOCAL_MASTER.fullmatch(url)
    count = match.group(2) if match else None
    return os.cpu_count() or 1 if count == "*" else int(count or 1)


class SparkRunner(BeamRunner):
    """Runner of builds on Spark: with a local master, or on a cluster."""

    @contextmanager
    def prepare(self, options: BuildOptions, beam_options: PipelineOptions) -> Iterator[Any]:
        """Start the job server and, for a local master, workers; yield Beam's Spark runner; stop
        them at the end.
        """
        with spark_ready(beam_options):
            yield create_runner("SparkRunner")


@contextmanager
def spark_ready(options: PipelineOptions) -> Iterator[None]:
    """Prepare this machine for Beam's SparkRunner, and stop what was started at the end of the
    block.

    Options that are not set are set. The job server's jar is built if needed; a local master gets a
    pool with a worker process for each task. Raises JobServerError if Java or Maven is missing.
    """
    spark, portable = options.view_as(SparkRunnerOptions), options.view_as(PortableOptions)
    with ExitStack() as stack:
        stack.enter_context(_terminated_as_by_exit())
        if portable.job_endpoint is None and not spark.spark_submit_uber_jar:
            launcher = stack.enter_context(tethered(find_java()))
            options.view_as(JobServerOptions).job_server_java_launcher = str(launcher)
            spark.spark_job_server_jar = spark.spark_job_server_jar or str(find_job_server_jar())
            if is_local_master(spark.spark_master_url):
                _keep_to_loopback(options.view_as(JobServerOptions))
                if portable.environment_type is None and portable.output_executable_path is None:
                    quiet = logging.getLogger().getEffectiveLevel() > logging.INFO
                    portable.environment_type = "EXTERNAL"
                    portable.environment_config = stack.enter_context(
                        local_worker_pool(quiet=quiet)
                    )
                    portable.sdk_worker_parallelism = local_threads(spark.spark_master_url)
        # it needs pip
        options.view_as(DebugOptions).add_experiment("disable_logging_submission_environment")
        portable.environment_cache_millis = (
            portable.environment_cache_millis or _KEEP_WORKERS_MILLIS
        )
        yield


@contextmanager
def tethered(program: str) -> Iterator[Path]:
    """Yield the path of a script that runs `program`; the program ends at the latest with this
    block and with this process.
    """
    with (
        tempfile.TemporaryDirectory(prefix="noisebeam-java-") as folder,
        Path(folder, "lock").open("wb") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = shlex.join(
            [
                sys.executable,
                "-IS",
                str(Path(__file__).with_name("watchdog.py")),
                lock.name,
                program,
            ]
        )
        launcher = Path(folder, Path(program).name)
        launcher.write_text(f'#!/bin/sh\nexec {run} "$@"\n')
        launcher.chmod(0o755)
        yield launcher


def _keep_to_loopback(options: Any) -> None:
    """Add the Java properties that make a local Spark listen on the loopback address alone.
    Modifies `options`.
    """
    given = " ".join(options.job_server_jvm_properties)
    missing = [
        f"-D{setting}"
        for setting in _LOCAL_PROPERTIES
        if f"-D{setting.split('=')[0]}=" not in given
    ]
    options.job_server_jvm_properties = [*options.job_server_jvm_properties, *missing]


@contextmanager
def _terminated_as_by_exit() -> Iterator[None]:
    """While the block runs, let SIGTERM raise SystemExit, so that the job server and workers are
    stopped.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
