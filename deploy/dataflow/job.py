"""A build as a Dataflow job: what has to be given, what would be submitted, where to look at it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.runners.dataflow.dataflow_runner import DataflowRuntimeException

from noisebeam.pipeline.builder.build import assemble, make_plan
from noisebeam.pipeline.builder.options import BuildOptions, SettingsError
from noisebeam.pipeline.builder.runners import DATAFLOW
from noisebeam.transforms.beam import ReadDocuments
from noisebeam.transforms.io.input_files import FilePart
from noisebeam.transforms.io.storage import local_path

_IMAGE_NEEDED = (
    "--sdk_container_image: missing; workers need an image in which Noisebeam is installed: "
    "build deploy/dataflow/Dockerfile"
)
_PAGE = "https://console.cloud.google.com/dataflow/jobs/{region}/{job}?project={project}"
# of each worker process, of which there is one per vCPU: each thread may hold a whole shard in
# memory
_THREADS = 1
_DISPLAY_DATA = "beam:display_data:labelled:v1"


def prepare_job(options: BuildOptions, beam_options: PipelineOptions) -> None:
    """Check what a job on Dataflow needs, and set what does not depend on the user.

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
    for url in (*options.input, options.output):
        if local_path(url) is not None:
            raise SettingsError(
                f"{url}: expected a URL such as gs://BUCKET/FOLDER, which Dataflow's workers can reach"
            )
    debug = beam_options.view_as(DebugOptions)
    debug.add_experiment("disable_logging_submission_environment")  # it needs pip
    debug.number_of_worker_harness_threads = debug.number_of_worker_harness_threads or _THREADS


def follow_job(result: Any, beam_options: PipelineOptions) -> bool:
    """Print where a submitted job can be looked at, and wait for its end; False if the flags say
    not to wait.

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


def describe_job(options: BuildOptions, beam_flags: Sequence[str]) -> dict[str, Any]:
    """What would be submitted, as JSON values. Needs no account: input and output are not looked
    at.

    `job` is the request to Dataflow without the pipeline, `steps` the pipeline's outer steps and
    their settings.
    """
    from apache_beam.runners.dataflow.internal import apiclient

    beam_options = PipelineOptions([*beam_flags, f"--runner={DATAFLOW}", "--dry_run=true"])
    prepare_job(options, beam_options)
    pipeline = beam.Pipeline(options=beam_options)
    read = ReadDocuments(
        options.input, options.read_options, [FilePart(pattern) for pattern in options.input]
    )
    assemble(pipeline, make_plan(options, read))
    job = pipeline.run().job
    cloud = job.options.view_as(GoogleCloudOptions)
    job.proto.environment = apiclient.Environment(
        packages=[],
        options=job.options,
        environment_version=apiclient._FNAPI_ENVIRONMENT_MAJOR_VERSION,
        proto_pipeline_staged_url=f"{cloud.staging_location}/pipeline.pb",
        proto_pipeline=job.proto_pipeline,
    ).proto
    return {
        "project": cloud.project,
        "region": cloud.region,
        "job": _without_noise(json.loads(job.json())),
        "build": {name: value for name, value in asdict(options).items() if value is not None},
        "steps": dict(_outer_steps(pipeline.to_runner_api())),
    }


def _without_noise(request: dict[str, Any]) -> dict[str, Any]:
    """The request without what is the same for every job or only repeats Beam's defaults."""
    del request["environment"]["sdkPipelineOptions"], request["clientRequestId"]
    for pool in request["environment"]["workerPools"]:
        for container in pool["sdkHarnessContainerImages"]:
            del container["capabilities"]
    return request


def _outer_steps(pipeline: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    from apache_beam.portability.api import beam_runner_api_pb2

    transforms = pipeline.components.transforms
    for root in pipeline.root_transform_ids:
        for name in transforms[root].subtransforms or [root]:
            step = transforms[name]
            labelled = [
                beam_runner_api_pb2.LabelledPayload.FromString(item.payload)
                for item in step.display_data
                if item.urn == _DISPLAY_DATA
            ]
            yield step.unique_name, {item.key: _value(item) for item in labelled}


def _value(item: Any) -> Any:
    return getattr(item, item.WhichOneof("value"))
