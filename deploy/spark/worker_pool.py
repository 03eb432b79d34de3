"""A pool of SDK workers (Beam's Python processes), which Spark's executors ask for workers.

    python -m noisebeam.deploy.spark.worker_pool --address 127.0.0.1:50000

For `--environment_type=EXTERNAL`. The pool prints the address it listens on, and ends with all its
workers on SIGTERM or SIGINT. Beam's own `worker_pool_main` listens on all addresses, starts the
first `python` on PATH, and leaves workers behind on SIGTERM.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc  # type: ignore[import-untyped]
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

_STOP_SECONDS = 10
_WORKER_MODULE = "noisebeam.deploy.spark.sdk_worker"


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):  # type: ignore[misc]
    """Beam's external worker pool as a gRPC service: it starts and stops worker processes, none of
    which outlives this process.
    """

    def __init__(self) -> None:
        self._workers: dict[str, subprocess.Popen[bytes]] = {}

    def StartWorker(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Start a worker process that connects to the control endpoint of the request."""
        command = [
            sys.executable,
            "-m",
            _WORKER_MODULE,
            request.control_endpoint.url,
            request.worker_id,
        ]
        self._workers[request.worker_id] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Stop the worker process that the request names."""
        if worker := self._workers.pop(request.worker_id, None):
            stop_process(worker)
        return beam_fn_api_pb2.StopWorkerResponse()

    def stop_all(self) -> None:
        """Stop all worker processes of this pool."""
        for worker in self._workers.values():
            worker.terminate()
        for worker in self._workers.values():
            stop_process(worker)


def stop_process(process: subprocess.Popen[Any]) -> None:
    """End a process with SIGTERM, and with SIGKILL if it still runs after ten seconds."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def serve(address: str, stop: threading.Event) -> None:
    """Run a worker pool at an address, host:port, until `stop` is set; print the address.

    Port 0 means any free port.
    """
    pool, server = (
        WorkerPool(),
        grpc.server(ThreadPoolExecutor(), options=[("grpc.so_reuseport", 0)]),
    )
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    port = server.add_insecure_port(address)
    server.start()
    print(f"{address.rpartition(':')[0]}:{port}", flush=True)
    stop.wait()
    server.stop(0)
    pool.stop_all()


@contextmanager
def local_worker_pool(*, quiet: bool = True) -> Iterator[str]:
    """Start a worker pool in its own process on a free port of 127.0.0.1, yield its address, and
    stop it at the end of the block.

    The pool also ends with this process. With `quiet` its standard error is dropped.
    """
    command = [sys.executable, "-m", __name__, "--address", "127.0.0.1:0", "--until-end-of-input"]
    errors = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        stop_process(process)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="A pool of SDK workers for Spark's executors.")
    parser.add_argument(
        "--address", default="127.0.0.1:50000", help="where to listen (default: %(default)s)"
    )
    parser.add_argument(
        "--until-end-of-input", action="store_true", help="end when standard input closes"
    )
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if options.until_end_of_input:
        threading.Thread(target=_stop_at_end_of_input, args=(stop,), daemon=True).start()
    serve(options.address, stop)


def _stop_at_end_of_input(stop: threading.Event) -> None:
    """Set `stop` when standard input closes."""
    sys.stdin.read()
    stop.set()


if __name__ == "__main__":
    main()
