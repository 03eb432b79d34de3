"""Google Cloud on the loopback address: a Cloud Storage server, and a Dataflow that runs its jobs
on Prism.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2, endpoints_pb2
from apache_beam.runners.portability.prism_runner import PrismRunner

from noisebeam.deploy.spark.worker_pool import local_worker_pool
from noisebeam.transforms.io.storage import read_bytes


@contextmanager
def cloud_storage(program: Path) -> Iterator[str]:
    """A Cloud Storage API server whose buckets live in memory; the address for
    STORAGE_EMULATOR_HOST.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    place = ("-host", "127.0.0.1", "-port", host.partition(":")[2], "-public-host", host)
    command = [str(program), "-scheme", "http", *place, "-backend", "memory", "-log-level", "error"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(f"http://{host}/storage/v1/b?project=test")
        yield f"http://{host}"
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(url: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=1)
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@dataclass
class LoopbackDataflow:
    """The part of Dataflow's REST API that its client uses: a job is created, looked at, and asked
    for messages.
    """

    run: Callable[[str], None]  # gets the URL of the staged pipeline
    # path and job of each creation
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    state: str = "JOB_STATE_PENDING"
    error: str = ""

    def create(self, path: str, job: dict[str, Any]) -> dict[str, Any]:
        """Take a job and run it in a thread."""
        self.requests.append((path, job))
        self.state = "JOB_STATE_RUNNING"
        answer = self.job()
        threading.Thread(target=self._work, args=(pipeline_url(job),), daemon=True).start()
        return answer

    def job(self) -> dict[str, Any]:
        """The job as the service tells it."""
        return {"id": "job-1", "currentState": self.state}

    def messages(self) -> dict[str, Any]:
        """The job's messages: the error, if there is one."""
        kind = {
            "id": "message-1",
            "time": "2026-01-01T00:00:00Z",
            "messageImportance": "JOB_MESSAGE_ERROR",
        }
        return {"jobMessages": [{**kind, "messageText": self.error}]} if self.error else {}

    def _work(self, url: str) -> None:
        try:
            self.run(url)
            self.state = "JOB_STATE_DONE"
        except Exception as error:
            self.error, self.state = str(error), "JOB_STATE_FAILED"


def pipeline_url(job: dict[str, Any]) -> str:
    """Where the job's pipeline is staged."""
    return str(job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"])


@contextmanager
def serve(service: LoopbackDataflow) -> Iterator[str]:
    """Serve the API: gives the address for `--dataflow_endpoint`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._reply(service.create(self.path.partition("?")[0], json.loads(body)))

        def do_GET(self) -> None:
            self._reply(service.messages() if "/messages" in self.path else service.job())

        def _reply(self, values: dict[str, Any]) -> None:
            body = json.dumps(values).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def run_on_prism(url: str, flags: Sequence[str]) -> None:
    """Run a staged pipeline on Prism, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, url, *flags],
        capture_output=True,
        text=True,
        timeout=360,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)


def main(url: str, *flags: str) -> None:
    """Run a staged pipeline. Its workers are fresh processes of this environment, in place of
    Dataflow's image.
    """
    pipeline = beam_runner_api_pb2.Pipeline.FromString(read_bytes(url))
    with local_worker_pool() as address:
        endpoint = endpoints_pb2.ApiServiceDescriptor(url=address)
        external = beam_runner_api_pb2.ExternalPayload(endpoint=endpoint).SerializeToString()
        for environment in pipeline.components.environments.values():
            environment.urn, environment.payload = common_urns.environments.EXTERNAL.urn, external
        PrismRunner().run_portable_pipeline(
            pipeline, PipelineOptions(list(flags))
        ).wait_until_finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
