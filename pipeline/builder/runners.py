"""The runners that builds run on: what each needs, how it is made, how its end is waited for."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.runners.runner import create_runner

from noisebeam.pipeline.builder.options import BuildOptions

SPARK, DATAFLOW = "SparkRunner", "DataflowRunner"


def new_pipeline(runner: Any = None, options: PipelineOptions | None = None) -> beam.Pipeline:
    """A pipeline without the temporary folder that Beam makes for transforms of other languages, of
    which there are none here: it stays behind where a pipeline is not run, or its process is
    killed.
    """
    pipeline = beam.Pipeline(runner=runner, options=options)
    os.rmdir(pipeline.local_tempdir)
    return pipeline


def is_local(options: PipelineOptions) -> bool:
    """Whether the pipeline runs in this process or its children."""
    return options.view_as(StandardOptions).runner in (None, "DirectRunner", "FnApiRunner")


def parts_for_all(options: PipelineOptions) -> int:
    """How many parts of the input keep all workers on this machine busy; with one worker, any."""
    workers = options.view_as(DirectOptions).direct_num_workers or os.cpu_count() or 1
    return 8 * workers if workers > 1 else 0


def runner_ready(
    options: BuildOptions, beam_options: PipelineOptions
) -> AbstractContextManager[None]:
    """What the runner needs on this machine, for as long as the build runs."""
    runner = beam_options.view_as(StandardOptions).runner
    if runner == SPARK:
        from noisebeam.deploy.spark.runner import spark_ready

        return spark_ready(beam_options)
    if runner == DATAFLOW:
        from noisebeam.deploy.dataflow.job import prepare_job

        prepare_job(options, beam_options)
    return nullcontext()


def new_runner(options: PipelineOptions) -> Any:
    """The runner asked for. DirectRunner means Beam's own Python runner: it is never exchanged for
    one to download.
    """
    if not is_local(options):
        return create_runner(options.view_as(StandardOptions).runner)
    from apache_beam.portability.api import beam_provision_api_pb2
    from apache_beam.runners.portability.fn_api_runner.fn_runner import (
        ExtendedProvisionInfo,
        FnApiRunner,
    )
    from apache_beam.runners.portability.portable_runner import JobServiceHandle

    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    return FnApiRunner(
        default_environment=_processes(options),
        provision_info=ExtendedProvisionInfo(
            beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
        ),
    )


def _processes(options: PipelineOptions) -> Any:
    """Worker processes of ours, where the flags ask for processes; else None.

    They keep to themselves the errors which they also send to this process, unless somebody asks
    for logs.
    """
    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode != "multi_processing":
        return None
    from apache_beam.transforms.environments import SubprocessSDKEnvironment

    direct.direct_running_mode = None  # or Beam would start workers of its own
    command = f"{shlex.quote(sys.executable)} -m noisebeam.pipeline.builder.direct_worker"
    quiet = not logging.getLogger().isEnabledFor(logging.CRITICAL - 1)
    return SubprocessSDKEnvironment.from_command_string(
        f"{command} 2>{os.devnull}" if quiet else command
    )


def wait(result: Any, options: PipelineOptions) -> bool:
    """Wait for the end; False if the flags say not to."""
    if options.view_as(StandardOptions).runner == DATAFLOW:
        from noisebeam.deploy.dataflow.job import follow_job

        return follow_job(result, options)
    result.wait_until_finish()
    return True


def quieten(options: PipelineOptions) -> None:
    """Let worker processes log no more than this one, unless told otherwise."""
    worker, level = options.view_as(WorkerOptions), logging.getLogger().getEffectiveLevel()
    name = (
        logging.getLevelName(level)
        if is_local(options)
        else logging.getLevelName(min(level, logging.ERROR))
    )
    worker.default_sdk_harness_log_level = worker.default_sdk_harness_log_level or name
