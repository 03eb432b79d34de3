"""Builds submitted by the real Dataflow client, to a Dataflow on the loopback address and a real
storage server.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pytest
from apache_beam.internal import pickler
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from support.loopback_dataflow import (
    LoopbackDataflow,
    cloud_storage,
    pipeline_url,
    run_on_prism,
    serve,
)
from support.marked_builds import Runs

from noisebeam.deploy.dataflow import submit
from noisebeam.pipeline.inspect.verify import verify
from noisebeam.transforms.io.storage import read_bytes

pytestmark = pytest.mark.slow

IMAGE = "europe-west4-docker.pkg.dev/my-project/images/noisebeam:1"
PLACE = ("--project=my-project", "--region=europe-west4", "--temp_location=gs://corpora/tmp")
SIZES = ("--machine_type=n2-highmem-8", "--max_num_workers=20", "--job_name=books")
STEPS = (
    "ReadDocuments",
    "SegmentSentences",
    "BuildWindows",
    "EncodeWindows",
    "ApplyNoise",
    "WriteShards",
)
Files = dict[str, str]


@pytest.fixture(scope="module", autouse=True)
def _client() -> None:
    pytest.importorskip("google.cloud.dataflow_v1beta3")


@pytest.fixture(scope="module")
def storage(fake_gcs_server: Path, environment: dict[str, str], runs: Runs) -> Iterator[str]:
    """The bucket `corpora` with the corpus in it; this process and those of the tests reach it as
    gs://corpora.
    """
    with cloud_storage(fake_gcs_server) as address, pytest.MonkeyPatch.context() as patch:
        settings = {"STORAGE_EMULATOR_HOST": address, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
        # workers of jobs are started by this process
        for name, value in {
            **environment,
            **settings,
        }.items():
            patch.setenv(name, value)
        import gcsfs

        files = gcsfs.GCSFileSystem(skip_instance_cache=True)
        files.mkdir("corpora")
        for path in sorted(corpus(runs).parent.glob(corpus(runs).name)):
            files.put_file(str(path), f"corpora/in/{path.name}")
        yield "gs://corpora"


@pytest.fixture
def dataflow(prism: tuple[str, ...]) -> Iterator[tuple[LoopbackDataflow, str]]:
    """A Dataflow, and its address."""
    service = LoopbackDataflow(partial(run_on_prism, flags=prism))
    with serve(service) as address:
        yield service, address


def corpus(runs: Runs) -> Path:
    """The pattern of the corpus's files."""
    return Path(runs.arguments[runs.arguments.index("--input") + 1])


def settings(runs: Runs, output: str) -> list[str]:
    """The settings of `runs`, from and to the bucket."""
    given = list(runs.arguments)
    given[given.index("--input") + 1] = "gs://corpora/in/*.jsonl"
    return [*given, "--output", output]


def client_flags(address: str) -> list[str]:
    """What turns to the Dataflow of these tests."""
    return [
        "--runner=DataflowRunner",
        f"--dataflow_endpoint={address}",
        "--no_auth",
        *PLACE,
        *SIZES,
    ]


def finish(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program to its end, in an environment that this process has."""
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=480, check=False
    )


def build(*flags: str) -> subprocess.CompletedProcess[str]:
    """Run `noisebeam build`."""
    return finish("-m", "noisebeam.pipeline.cli", "build", *flags)


def checksums(url: str) -> Files:
    """SHA-256 of every file of a build in the bucket."""
    files, folder = fsspec.url_to_fs(url)
    files.invalidate_cache()
    return {
        name.removeprefix(folder).lstrip("/"): hashlib.sha256(files.cat_file(name)).hexdigest()
        for name in files.find(folder)
    }


@pytest.mark.usefixtures("mishaps")
def test_the_direct_runner_writes_to_cloud_storage(
    storage: str, runs: Runs, expected: Files
) -> None:
    done = build(*settings(runs, f"{storage}/direct"))
    assert done.returncode == 0, done.stderr
    assert checksums(f"{storage}/direct") == expected
    assert verify(f"{storage}/direct") == []


@pytest.mark.usefixtures("mishaps")
def test_the_job_that_dataflow_receives_gives_the_same_bytes(
    storage: str, dataflow: tuple[LoopbackDataflow, str], runs: Runs, expected: Files
) -> None:
    service, address = dataflow
    done = build(
        *settings(runs, f"{storage}/job"), *client_flags(address), f"--sdk_container_image={IMAGE}"
    )
    assert done.returncode == 0, done.stderr
    assert "dataflow/jobs/europe-west4/job-1?project=my-project" in done.stderr
    assert f"wrote {storage}/job" in done.stdout
    assert checksums(f"{storage}/job") == expected
    ((path, job),) = service.requests
    assert path == "/v1b3/projects/my-project/locations/europe-west4/jobs"
    check_request(job)
    check_pipeline(read_bytes(pipeline_url(job)))
    assert dry_run_environment(runs, storage) == without_names(job["environment"])


def check_request(job: dict[str, Any]) -> None:
    """The job holds our image and our options."""
    (pool,) = job["environment"]["workerPools"]
    options = job["environment"]["sdkPipelineOptions"]["options"]
    assert job["name"] == options["job_name"] == "books"
    assert pool["workerHarnessContainerImage"] == IMAGE
    assert [container["containerImage"] for container in pool["sdkHarnessContainerImages"]] == [
        IMAGE
    ]
    assert (pool["machineType"], pool["autoscalingSettings"]["maxNumWorkers"]) == (
        "n2-highmem-8",
        20,
    )
    assert (options["project"], options["region"], options["save_main_session"]) == (
        "my-project",
        "europe-west4",
        False,
    )
    staged = Path(pipeline_url(job)).parent.name
    assert [Path(name).name for name in checksums(f"gs://corpora/tmp/{staged}")] == [
        "pipeline.pb"
    ], "nothing else"


def check_pipeline(staged: bytes) -> None:
    """The staged pipeline holds all our steps, which run in our image and need no file beside
    it.
    """
    pipeline = beam_runner_api_pb2.Pipeline.FromString(staged)
    names = {
        transform.unique_name.partition("/")[0]
        for transform in pipeline.components.transforms.values()
    }
    assert names >= set(STEPS)
    (environment,) = pipeline.components.environments.values()
    assert (
        beam_runner_api_pb2.DockerPayload.FromString(environment.payload).container_image == IMAGE
    )
    assert list(environment.dependencies) == []
    functions = {type(function).__name__: function for function in decode_functions(pipeline)}
    assert set(functions) >= {"_Read", "_Segment", "_Build", "_Encode", "_Noise"}
    assert functions["_Segment"]._options.name == "support.hostile_segmenter:segmenter"
    assert (functions["_Noise"]._recipe.name, functions["_Noise"]._seed) == ("bart", 17)


def decode_functions(pipeline: Any) -> Iterator[Any]:
    """The DoFns of a pipeline, as a worker gets them."""
    for transform in pipeline.components.transforms.values():
        if transform.spec.urn == common_urns.primitives.PAR_DO.urn:
            function = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload).do_fn
            if function.urn == python_urns.PICKLED_DOFN_INFO:
                yield pickler.loads(function.payload)[0]


def dry_run_environment(runs: Runs, storage: str) -> dict[str, Any]:
    """What `submit --dry-run` shows for the same build."""
    place = (
        "--project=my-project",
        "--region=europe-west4",
        "--temp-location=gs://corpora/tmp",
        f"--image={IMAGE}",
    )
    done = finish(
        "-m", submit.__name__, *place, "--dry-run", "--", *settings(runs, f"{storage}/job"), *SIZES
    )
    assert done.returncode == 0, done.stderr
    return without_names(json.loads(done.stdout)["job"]["environment"])


def without_names(environment: dict[str, Any]) -> dict[str, Any]:
    """Of a job's environment, what does not change with the hour and the address of the service."""
    (pool,) = environment["workerPools"]
    names = ("machineType", "autoscalingSettings", "workerHarnessContainerImage")
    kept = {name: environment[name] for name in ("experiments", "version", "userAgent", "dataset")}
    return {**kept, **{name: pool[name] for name in names}}


@pytest.mark.usefixtures("mishaps")
def test_a_job_that_fails_is_told_in_one_line(storage: str, runs: Runs) -> None:
    def fail(_: str) -> None:
        raise RuntimeError("Traceback ...\nValueError: a worker's error")

    service = LoopbackDataflow(fail)
    with serve(service) as address:
        done = build(
            *settings(runs, f"{storage}/failed"),
            *client_flags(address),
            f"--sdk_container_image={IMAGE}",
        )
    assert done.returncode == 1
    assert done.stderr.endswith(
        "noisebeam: job job-1 ended as FAILED: ValueError: a worker's error\n"
    )
    assert "manifest.json" not in checksums(f"{storage}/failed")


@pytest.mark.usefixtures("mishaps")
def test_a_template_gives_the_launcher_its_job(
    storage: str, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launcher runs the program by its path; the job goes to a file, and nobody waits for
    it.
    """
    program = Path(submit.__file__).with_name("launch.py")
    named = dict(zip(*[iter(settings(runs, f"{storage}/template"))] * 2, strict=True))
    parameters = [
        f"--{flag.removeprefix('--').replace('-', '_')}={value}" for flag, value in named.items()
    ]
    job_file = f"{storage}/launches/job_object"
    monkeypatch.setenv("NOISEBEAM_IMAGE", IMAGE)
    done = finish(
        str(program),
        *parameters,
        *client_flags("http://localhost:1"),
        f"--template_location={job_file}",
    )
    assert done.returncode == 0, done.stderr
    assert "submitted" in done.stdout
    with fsspec.open(job_file) as file:
        job = json.load(file)
    check_request(job)
    check_pipeline(read_bytes(pipeline_url(job)))
