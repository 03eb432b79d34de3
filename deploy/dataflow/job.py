"""The request that submits a build as a Dataflow job, for `--dry-run`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from noisebeam.deploy.dataflow.runner import prepare_job
from noisebeam.pipeline.builder.options import BuildOptions
from noisebeam.pipeline.builder.plan import assemble, make_plan
from noisebeam.transforms.beam.read import ReadDocuments
from noisebeam.transforms.io.input_files import FilePart

_DISPLAY_DATA = "beam:display_data:labelled:v1"


def describe_job(options: BuildOptions, beam_flags: Sequence[str]) -> dict[str, Any]:
    """Return what a build on Dataflow would submit, as a dict for JSON; no account is needed, and
    no input is read.

    `job` is the request to Dataflow without the pipeline, `steps` are the outer steps of the
    pipeline and their settings.
    """
    from apache_beam.runners.dataflow.internal import apiclient

    beam_options = PipelineOptions([*beam_flags, "--runner=DataflowRunner", "--dry_run=true"])
    prepare_job(options, beam_options)
    pipeline = beam.Pipeline(options=beam_options)
    read = ReadDocuments(
        options.input, options.read, [FilePart(pattern) for pattern in options.input]
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
        "build": {name: value for name, value in options.flat().items() if value is not None},
        "steps": dict(_outer_steps(pipeline.to_runner_api())),
    }


def _without_noise(request: dict[str, Any]) -> dict[str, Any]:
    """Return the request without what is the same for every job or repeats Beam's defaults.
    Modifies `request`.
    """
    del request["environment"]["sdkPipelineOptions"], request["clientRequestId"]
    for pool in request["environment"]["workerPools"]:
        for container in pool["sdkHarnessContainerImages"]:
            del container["capabilities"]
    return request


def _outer_steps(pipeline: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the display data of each outer step of a pipeline."""
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
    """Return the value of an item of display data, whatever its type."""
    return getattr(item, item.WhichOneof("value"))
