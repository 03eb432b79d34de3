"""The DataflowRunner: checks a job before it is submitted, and waits for its end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.runners.dataflow.dataflow_runner import DataflowRuntimeException
from apache_beam.runners.runner import create_runner

from noisebeam.pipeline.builder.options import BuildOptions, SettingsError
from noisebeam.pipeline.builder.runners import BeamRunner
from noisebeam.transforms.io.storage import local_path

_IMAGE_NEEDED = (
    "--sdk_container_image: missing; workers need an image in which Noisebeam is installed: "
    "build deploy/dataflow/Dockerfile"
)
_PAGE = "https://console.cloud.google.com/dataflow/jobs/{region}/{job}?project={project}"
# of each worker process, of which there is one per vCPU: each thread may hold a whole shard in
# memory
_THREADS = 1


class DataflowRunner(BeamRunner):
    """Runner of builds on Google Cloud Dataflow."""

    @contextmanager
    def prepare(self, options: BuildOptions, beam_options: PipelineOptions) -> Iterator[Any]:
        """Check the flags of the job, set others, and yield Beam's Dataflow runner."""
        prepare_job(options, beam_options)
        yield create_runner("DataflowRunner")

    def wait(self, result: Any, beam_options: PipelineOptions) -> bool:
        """Print the address of the job's page, and wait for the end of the job; return False if the
        flags say not to wait.
        """
        return follow_job(result, beam_options)


def prepare_job(options: BuildOptions, beam_options: PipelineOptions) -> None:
    """Check the flags of a Dataflow job, and set flags that no user needs to choose. Modifies
    `beam_options`.

    Raises SettingsError, in one line, if a flag is missing, or if workers cannot reach the input or
    the output.
    """
    if find_spec("google.cloud.dataflow_v1beta3") is None:
        raise SettingsError(
            "DataflowRunner: Dataflow's client is not installed; pip install 'noisebeam[dataflow]'"
        )
    cloud, setup = beam_options.view_as(GoogleCloudOptions), beam_options.view_as(SetupOptions)
    for name in ("project", "temp_location"):
        if not getattr(cloud, name):
            raise SettingsError(f"--{name}: missing; DataflowRunner needs it")
    brought_along = setup.setup_file or setup.requirements_file or setup.extra_packages
    if not (beam_options.view_as(WorkerOptions).sdk_container_image or brought_along):
        raise SettingsError(_IMAGE_NEEDED)
    for url in (*options.input, options.output.url):
        if local_path(url) is not None:
            raise SettingsError(
                f"{url}: expected a URL such as gs://BUCKET/FOLDER, which Dataflow's workers can "
                "reach"
            )
    debug = beam_options.view_as(DebugOptions)
    debug.add_experiment("disable_logging_submission_environment")  # it needs pip
    debug.number_of_worker_harness_threads = debug.number_of_worker_harness_threads or _THREADS


def follow_job(result: Any, beam_options: PipelineOptions) -> bool:
    """Print the address of a submitted job's page, and wait for its end; return False if the flags
    say not to wait.

    Raises RuntimeError, in one line, if the job fails.
    """
    cloud = beam_options.view_as(GoogleCloudOptions)
    if cloud.template_location:
        return False
    page = _PAGE.format(region=cloud.region, job=result.job_id(), project=cloud.project)
    print(f"noisebeam: job {result.job_id()}: {page}", file=sys.stderr)
    if beam_options.view_as(StandardOptions).no_wait_until_finish:
        return False
    try:
        result.wait_until_finish()
    except DataflowRuntimeException as error:
        reason = str(error).strip().splitlines()[-1]
        said = "its page may say why" if reason == "None" else reason
        raise RuntimeError(f"job {result.job_id()} ended as {result.state}: {said}") from error
    return True
