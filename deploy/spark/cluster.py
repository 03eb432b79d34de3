"""A Spark standalone cluster on the loopback address, for trials and tests.

    python -m noisebeam.deploy.spark.cluster --workers 2               # runs until SIGINT
    python -m noisebeam.deploy.spark.cluster -- noisebeam build ...    # runs one build, then stops

It has a master, and workers that each have a pool of SDK workers (Beam's Python processes). Worker
`i` reaches its own pool by the name `sdk-worker-pool`, which is 127.0.0.(2+i) in its executors, as
each machine of a real cluster reaches its own pool. No process outlives the cluster. Linux only:
other systems have no further loopback addresses.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from noisebeam.deploy.spark.job_server import find_java, find_job_server_jar

_HOST = "127.0.0.1"
_POOL_NAME = "sdk-worker-pool"
_START_SECONDS = 60
_STOP_SECONDS = 10


class ClusterError(RuntimeError):
    """Error: the cluster did not start."""


@dataclass(frozen=True)
class Worker:
    """One worker "machine" of the cluster: a Spark worker with its executors, and a pool of Beam's
    Python processes.
    """

    spark: subprocess.Popen[bytes]
    pool: subprocess.Popen[bytes]

    def kill(self) -> None:
        """Kill all processes of this worker with SIGKILL, as if the machine had lost power."""
        for process in (self.spark, self.pool):
            _signal_group(process, signal.SIGKILL)


@dataclass(frozen=True)
class Cluster:
    """A running Spark cluster; with its `flags`, `noisebeam build` runs on it."""

    master_url: str
    jar: Path
    pool_address: str
    workers: tuple[Worker, ...]

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags with which `noisebeam build` runs on this cluster."""
        return (
            "--runner=SparkRunner",
            f"--spark_master_url={self.master_url}",
            f"--spark_job_server_jar={self.jar}",
            "--environment_type=EXTERNAL",
            f"--environment_config={self.pool_address}",
            f"--job_server_jvm_property=-Dspark.driver.host={_HOST}",
            "--job_server_jvm_property=-Dspark.ui.enabled=false",
        )


@contextmanager
def start_cluster(
    folder: Path,
    *,
    workers: int = 2,
    jar: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Cluster]:
    """Start a Spark cluster that keeps its logs and files in `folder`; stop it at the end of the
    block.

    Each of the `workers` has one core and 1 GB. `jar` has Spark and Beam's runner; None finds or
    builds it. `environment` is added to the environment of all processes. Raises ClusterError, with
    the last line of a log, if a part does not start within a minute.
    """
    java, jar = find_java(), jar or find_job_server_jar()
    (folder / "jars").mkdir(parents=True, exist_ok=True)
    (folder / "jars" / jar.name).unlink(missing_ok=True)
    (folder / "jars" / jar.name).symlink_to(jar)  # Spark looks for its own jars in SPARK_HOME/jars
    spark_environment = {
        "SPARK_HOME": str(folder),
        "SPARK_LOCAL_IP": _HOST,
        "SPARK_SCALA_VERSION": "2.12",
    }
    start = _Start(folder, {**os.environ, **(environment or {}), **spark_environment})
    port, pool_port = free_port(_HOST), free_port("127.0.0.2")
    master_url = f"spark://{_HOST}:{port}"
    spark = (java, "-cp", str(jar), "-Dspark.ui.enabled=false", "-Xmx512m")
    at = ("--host", _HOST, "--webui-port", str(free_port(_HOST)))
    with ExitStack() as stack:
        stack.callback(start.stop_all)
        start("master", *spark, "org.apache.spark.deploy.master.Master", "--port", str(port), *at)
        start.wait("master", "I have been elected leader")
        started = []
        for i in range(workers):
            own, hosts = f"127.0.0.{2 + i}", folder / f"hosts-{i}"
            hosts.write_text(
                f"{own} {_POOL_NAME}\n{_HOST} localhost\n{_HOST} {socket.gethostname()}\n"
            )
            pool_command = (sys.executable, "-m", "noisebeam.deploy.spark.worker_pool", "--address")
            pool = start(f"pool-{i}", *pool_command, f"{own}:{pool_port}")
            size = ("--cores", "1", "--memory", "1g", "--work-dir", str(folder / f"work-{i}"))
            at = ("--host", _HOST, "--webui-port", str(free_port(_HOST)))
            java_options = {"JDK_JAVA_OPTIONS": f"-Djdk.net.hosts.file={hosts}"}
            command = (*spark, "org.apache.spark.deploy.worker.Worker", *size, *at, master_url)
            started.append(Worker(start(f"worker-{i}", *command, environment=java_options), pool))
        for i in range(workers):
            start.wait(f"pool-{i}", f":{pool_port}")
            start.wait(f"worker-{i}", "Successfully registered with master")
        yield Cluster(master_url, jar, f"{_POOL_NAME}:{pool_port}", tuple(started))


class _Start:
    """Starts the processes of the cluster, each in its own process group and with its own log."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __call__(
        self, name: str, *command: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process, called `name`, in the background."""
        with self._log(name).open("wb") as log:
            process = subprocess.Popen(
                command,
                env={**self._environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes[name] = process
        return process

    def wait(self, name: str, line: str) -> None:
        """Wait until the log of a process contains a line; raise ClusterError if the process ends
        or a minute passes.
        """
        end = time.monotonic() + _START_SECONDS
        while line not in (text := self._log(name).read_text(errors="replace")):
            if self._processes[name].poll() is not None or time.monotonic() > end:
                last = (text.strip().splitlines() or ["its log is empty"])[-1]
                raise ClusterError(
                    f"{name} did not start within {_START_SECONDS} s: {last} (see "
                    f"{self._log(name)})"
                )
            time.sleep(0.1)

    def stop_all(self) -> None:
        """Send SIGTERM to all process groups, and SIGKILL to what still runs after ten seconds."""
        for process in self._processes.values():
            _signal_group(process, signal.SIGTERM)
        end = time.monotonic() + _STOP_SECONDS
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, end - time.monotonic()))
            _signal_group(process, signal.SIGKILL)
            process.wait()

    def _log(self, name: str) -> Path:
        """Return the path of the log of a process."""
        return self._folder / f"{name}.log"


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a process and to its children, if it still runs."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def free_port(host: str) -> int:
    """Return a free port of a host."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a prefix language model and complete prefixes; return exit status 1 if the loss does
    not fall clearly below the baseline.
    """
    parser = argparse.ArgumentParser(
        description="A Spark cluster on the loopback address, for trials."
    )
    parser.add_argument(
        "--workers", type=int, default=2, metavar="N", help="Spark workers (default: %(default)s)"
    )
    parser.add_argument(
        "command", nargs="*", help="what to run on it; gets the flags of the cluster at its end"
    )
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with (
        tempfile.TemporaryDirectory(prefix="noisebeam-cluster-") as folder,
        start_cluster(Path(folder), workers=options.workers) as cluster,
        suppress(KeyboardInterrupt),
    ):
        if options.command:
            return subprocess.run([*options.command, *cluster.flags]).returncode
        print(f"logs in {folder}\nnoisebeam build ... {' '.join(cluster.flags)}", flush=True)
        signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
