"""Spark's job server and processes: what is missing is named, and nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from support.marked_builds import (
    BUILD_SECONDS,
    IGNORING_SIGNALS,
    MARK,
    Mishaps,
    Runs,
    checksums,
    finish,
    marked_processes,
    wait_for,
)

from noisebeam.deploy.spark import job_server, submit
from noisebeam.deploy.spark.job_server import JobServerError, find_java, find_job_server_jar
from noisebeam.deploy.spark.runner import is_local_master, local_threads, tethered
from noisebeam.deploy.spark.worker_pool import local_worker_pool
from noisebeam.pipeline.builder.subprocesses import descendants


def with_own_mark(runs: Runs, mark: str) -> Runs:
    return replace(runs, environment={**runs.environment, MARK: mark})


def put_program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_without_java_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(
        JobServerError, match="expected java on PATH, found none: install a JDK, version 11 or 17"
    ):
        find_job_server_jar(tmp_path / "cache")
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with pytest.raises(JobServerError, match="expected java in JAVA_HOME=/nowhere"):
        find_java()


def test_without_maven_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_program(tmp_path, "java", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(
        JobServerError,
        match="install Maven, or give a job server's jar with --spark_job_server_jar",
    ):
        find_job_server_jar(tmp_path / "cache")


def test_the_jar_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_program(tmp_path, "java", "exit 0")
    put_program(tmp_path, "mvn", "/bin/mkdir target; echo a jar > target/spark-job-server.jar")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    jar = find_job_server_jar(tmp_path / "cache")
    assert jar.read_text() == "a jar\n"
    monkeypatch.setattr(job_server, "_build", None)
    assert find_job_server_jar(tmp_path / "cache") == jar
    assert list((tmp_path / "cache").iterdir()) == [jar]


def test_a_failure_of_maven_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_program(tmp_path, "java", "exit 0")
    put_program(tmp_path, "mvn", "echo '[ERROR] no such artifact'; echo '[ERROR] more'; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(
        JobServerError, match=r"Maven could not build the job server: \[ERROR\] no such artifact$"
    ):
        find_job_server_jar(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_flag_that_beam_does_not_know_is_told_before_anything_is_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    build = (
        "--input",
        "x.jsonl",
        "--output",
        "out",
        "--tokenizer",
        "./absent",
        "--sdk_worker_paralelism=2",
    )
    assert submit.main(["--master", "spark://host:7077", "--dry-run", "--", *build]) == 2
    told = (
        "noisebeam: unknown flag --sdk_worker_paralelism: did you mean --sdk_worker_parallelism?\n"
    )
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("url", "local", "threads"),
    [
        ("local", True, 1),
        ("local[3]", True, 3),
        ("local[2,4]", True, 2),
        ("spark://host:7077", False, 1),
    ],
)
def test_masters(url: str, local: bool, threads: int) -> None:
    assert is_local_master(url) is local
    assert local_threads(url) == threads


@pytest.mark.slow
def test_a_worker_pool_ends_with_the_process_that_started_it(environment: dict[str, str]) -> None:
    own = {**environment, MARK: "pool"}
    script = (
        "import os, signal\n"
        "from noisebeam.deploy.spark.worker_pool import local_worker_pool\n"
        "with local_worker_pool() as address:\n"
        "    assert address.startswith('127.0.0.1:')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script], env=own, timeout=60)
    wait_for(lambda: not marked_processes(own), 60, "the end of the pool")


@pytest.mark.slow
def test_a_worker_pool_listens_on_loopback_alone() -> None:
    with local_worker_pool() as address:
        host, port = address.split(":")
        sockets = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    listening = [line.split()[1] for line in sockets.splitlines() if line.split()[3] == "0A"]
    assert host == "127.0.0.1"
    own = [address for address in listening if address.endswith(f":{int(port):04X}")]
    assert own
    # 127.0.0.1, as IPv4 or in IPv6
    assert all(address.partition(":")[0].endswith("0100007F") for address in own), own


@pytest.mark.parametrize(
    "program",
    [
        "exec sleep 600",
        pytest.param("trap '' TERM INT; while :; do sleep 1; done", marks=pytest.mark.slow),
    ],
)
def test_a_tethered_program_ends_with_the_process_that_started_it(
    environment: dict[str, str], program: str
) -> None:
    own = {**environment, MARK: f"tether {program}"}
    script = (
        "import os, signal, subprocess, sys\n"
        "from noisebeam.deploy.spark.runner import tethered\n"
        "with tethered('/bin/sh') as sh:\n"
        "    child = subprocess.Popen([sh, '-c', 'echo at work; ' + sys.argv[1]], "
        "stdout=subprocess.PIPE)\n"
        "    child.stdout.readline()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [*IGNORING_SIGNALS, sys.executable, "-c", script, program], env=own, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    wait_for(lambda: not marked_processes(own), 30, "the end of the program and its watcher")


def test_a_tethered_program_gets_signals_and_arguments(tmp_path: Path) -> None:
    (tmp_path / "with space").symlink_to("/bin/sh")
    with tethered(str(tmp_path / "with space")) as sh:
        command = [
            *IGNORING_SIGNALS,
            str(sh),
            "-c",
            'echo "$1"; kill -INT $$; echo survived',
            "-",
            "an argument",
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (-signal.SIGINT, "an argument\n")


@pytest.mark.slow
def test_a_failed_build_leaves_no_process(
    runs: Runs, local_spark: tuple[str, ...], mishaps: Mishaps, tmp_path: Path
) -> None:
    runs = with_own_mark(runs, "failed build")
    mishaps.reset(failures=1000)
    status, errors = finish(runs.start(tmp_path, *local_spark))
    assert status == 1
    assert "a mishap" in errors.splitlines()[-1]
    assert not (tmp_path / "manifest.json").exists()
    wait_for(lambda: not marked_processes(runs.environment), 90, "the end of all processes")


def kill_job_server(build: subprocess.Popen[str]) -> None:
    """End the Java process of a build on a local Spark, all of Spark in it, by SIGKILL."""
    for child in descendants(build.pid):
        with suppress(OSError):  # it has ended meanwhile
            if Path(f"/proc/{child}/comm").read_text() == "java\n":
                os.kill(child, signal.SIGKILL)


@pytest.mark.slow
def test_a_job_server_that_dies_after_the_manifest_was_written_takes_nothing_away(
    runs: Runs,
    local_spark: tuple[str, ...],
    mishaps: Mishaps,
    expected: dict[str, str],
    tmp_path: Path,
) -> None:
    build = runs.start(tmp_path, *local_spark)
    manifest = tmp_path / "manifest.json"
    wait_for(
        lambda: manifest.exists() or build.poll() is not None,
        BUILD_SECONDS,
        "the manifest",
        pause=0.005,
    )
    kill_job_server(build)
    status, errors = finish(build, 60)
    assert status == 0, errors
    assert "noisebeam: the build was finished when this happened: <_" in errors
    assert checksums(tmp_path) == expected


@pytest.mark.slow
def test_a_job_server_that_dies_is_told(
    runs: Runs,
    local_spark: tuple[str, ...],
    mishaps: Mishaps,
    expected: dict[str, str],
    tmp_path: Path,
) -> None:
    mishaps.reset(seconds=2)
    build = runs.start(tmp_path, *local_spark)
    wait_for(lambda: mishaps.callers, BUILD_SECONDS, "work")
    kill_job_server(build)
    status, errors = finish(build, 60)
    assert status == 2
    assert re.fullmatch(
        r"noisebeam: a connection within the runner broke: .+ \(UNAVAILABLE\); -v shows where",
        errors.splitlines()[-1],
    )
    mishaps.reset()
    assert runs(tmp_path, *local_spark) == expected, "the same command goes on"


@pytest.mark.slow
@pytest.mark.parametrize(
    "before", [(), IGNORING_SIGNALS], ids=["in the foreground", "in the background"]
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_build_ended_from_outside_leaves_no_process(
    number: signal.Signals,
    before: tuple[str, ...],
    runs: Runs,
    local_spark: tuple[str, ...],
    mishaps: Mishaps,
    tmp_path: Path,
) -> None:
    runs = with_own_mark(runs, f"ended by {number.name} {len(before)}")
    mishaps.reset(seconds=30)
    build = runs.start(tmp_path, *local_spark, before=before)
    wait_for(lambda: mishaps.callers or build.poll() is not None, BUILD_SECONDS, "work")
    os.kill(build.pid, number)
    assert finish(build, 60)[0] == (143 if number == signal.SIGTERM else -signal.SIGKILL)
    wait_for(lambda: not marked_processes(runs.environment), 90, "the end of all processes")
