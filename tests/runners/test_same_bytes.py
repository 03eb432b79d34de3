"""One corpus, every runner, the same bytes: also when calls fail, a worker is killed, and two
builds meet.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from apache_beam.runners.portability.spark_runner import SPARK_JAR_JOB_SERVER_JVM_ARGS
from support.marked_builds import Mishaps, Runs, checksums, finish, wait_for

from noisebeam.deploy.spark.cluster import Cluster, start_cluster
from noisebeam.testing.runners import check_runner

pytestmark = pytest.mark.slow

TWO_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
Files = dict[str, str]


@pytest.mark.usefixtures("mishaps")
def test_two_worker_processes(runs: Runs, expected: Files, tmp_path: Path) -> None:
    assert runs(tmp_path, *TWO_PROCESSES) == expected


@pytest.mark.usefixtures("mishaps")
def test_prism(runs: Runs, prism: tuple[str, ...], expected: Files, tmp_path: Path) -> None:
    assert runs(tmp_path, *prism) == expected


@pytest.mark.usefixtures("mishaps")
def test_spark_in_one_process(
    runs: Runs, local_spark: tuple[str, ...], expected: Files, tmp_path: Path
) -> None:
    assert runs(tmp_path, *local_spark) == expected


def test_spark_cluster(
    runs: Runs, cluster: Cluster, mishaps: Mishaps, expected: Files, tmp_path: Path
) -> None:
    assert runs(tmp_path, *cluster.flags) == expected
    assert mishaps.callers == {worker.pool.pid for worker in cluster.workers}, (
        "both workers have their own pool"
    )


@pytest.mark.usefixtures("mishaps")
@pytest.mark.skipif(find_spec("py3langid") is None, reason="needs noisebeam[lang]")
def test_detected_languages(
    runs: Runs,
    prism: tuple[str, ...],
    local_spark: tuple[str, ...],
    expected: Files,
    tmp_path: Path,
) -> None:
    outputs = {}
    for name, flags in (("direct", TWO_PROCESSES), ("prism", prism), ("spark", local_spark)):
        outputs[name] = runs(tmp_path / name, "--lang", "auto", *flags)
    assert outputs["direct"] == outputs["prism"] == outputs["spark"]
    assert outputs["direct"]["manifest.json"] != expected["manifest.json"]


def put_spark_submit(folder: Path) -> Path:
    """What stands for the `spark-submit` of an installed Spark: the job's jar, its last argument,
    holds Spark too.
    """
    java = " ".join(["java", *SPARK_JAR_JOB_SERVER_JVM_ARGS])
    submit = (
        "org.apache.spark.deploy.SparkSubmit --conf spark.driver.host=127.0.0.1 --conf "
        "spark.ui.enabled=false"
    )
    program = folder / "spark-submit"
    program.write_text(f'#!/bin/sh\nfor jar; do :; done\nexec {java} -cp "$jar" {submit} "$@"\n')
    program.chmod(0o755)
    return program


@pytest.mark.usefixtures("mishaps")
def test_a_submitted_job(runs: Runs, cluster: Cluster, expected: Files, tmp_path: Path) -> None:
    spark_submit = put_spark_submit(tmp_path)
    place = (
        "--master",
        cluster.master_url,
        "--pool",
        cluster.pool_address,
        "--spark-submit",
        str(spark_submit),
    )
    command = [sys.executable, "-m", "noisebeam.deploy.spark.submit", *place, "--", *runs.arguments]
    output = tmp_path / "out"
    subprocess.run(
        [*command, "--output", str(output)], env=runs.environment, check=True, timeout=240
    )
    assert checksums(output) == expected


def test_calls_that_fail_at_random(
    runs: Runs, cluster: Cluster, mishaps: Mishaps, expected: Files, tmp_path: Path
) -> None:
    mishaps.reset(failures=3)  # Spark gives up a task that has failed four times
    assert runs(tmp_path, *cluster.flags) == expected
    assert mishaps.failed > 0


def test_a_worker_killed_at_work(
    runs: Runs, job_server_jar: Path, mishaps: Mishaps, expected: Files, tmp_path: Path
) -> None:
    mishaps.reset(seconds=2)
    with start_cluster(
        tmp_path / "cluster", jar=job_server_jar, environment=runs.environment
    ) as cluster:
        build = runs.start(tmp_path / "out", *cluster.flags)
        victim = cluster.workers[0]
        wait_for(
            lambda: victim.pool.pid in mishaps.callers or build.poll() is not None,
            90,
            "work on the first worker",
        )
        assert build.poll() is None, finish(build)
        victim.kill()
        status, errors = finish(build)
    assert status == 0, errors[-3000:]
    assert checksums(tmp_path / "out") == expected


def test_two_builds_that_write_the_same_output(
    runs: Runs, mishaps: Mishaps, expected: Files, tmp_path: Path
) -> None:
    mishaps.reset(seconds=0.5)  # so that neither has ended before the other has begun
    builds = [runs.start(tmp_path), runs.start(tmp_path, *TWO_PROCESSES)]
    for build in builds:
        status, errors = finish(build)
        assert status == 0, errors[-3000:]
    assert checksums(tmp_path) == expected


def test_runners_obey_the_laws(prism: tuple[str, ...], local_spark: tuple[str, ...]) -> None:
    for flags in (TWO_PROCESSES, prism, local_spark):
        check_runner(flags)
