"""The job server of Beam's SparkRunner: one jar, built once by Maven from `pom.xml`.

The jar has Beam's Spark runner and Spark itself. It is kept in the user's cache folder
(XDG_CACHE_HOME), under a name that changes with `pom.xml`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

_MAVEN_SECONDS = 1800


class JobServerError(ValueError):
    """Error: something that a build on Spark needs is not installed, or cannot be built."""


def find_job_server_jar(cache: Path | None = None) -> Path:
    """Return the path of the jar of Beam's job server for Spark; the first call builds it, which
    takes Maven a few minutes.

    `cache` is the folder to keep it in; None means `default_cache`. Raises JobServerError, in one
    line, if Java or Maven is missing or Maven fails.
    """
    pom = resources.files(__package__).joinpath("pom.xml").read_bytes()
    folder = cache or default_cache()
    jar = folder / f"spark-job-server-{hashlib.sha256(pom).hexdigest()[:12]}.jar"
    if not jar.exists():
        find_java()
        folder.mkdir(parents=True, exist_ok=True)
        _build(_find_maven(), pom, jar)
    return jar


def default_cache() -> Path:
    """Return the folder `noisebeam` in the user's cache folder (XDG_CACHE_HOME or ~/.cache)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "noisebeam")


def find_java() -> str:
    """Return the path of `java` in JAVA_HOME, or else on PATH; raise JobServerError if there is
    none.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home, "bin"))) if home else shutil.which("java")
    if java is None:
        where = f"in JAVA_HOME={home}" if home else "on PATH"
        raise JobServerError(
            f"SparkRunner: expected java {where}, found none: install a JDK, version 11 or 17"
        )
    return java


def _find_maven() -> str:
    """Return the path of `mvn` on PATH; raise JobServerError if there is none."""
    maven = shutil.which("mvn")
    if maven is None:
        raise JobServerError(
            "SparkRunner: its job server is built by Maven, and mvn is not on PATH: install Maven, "
            "or give a job server's jar with --spark_job_server_jar"
        )
    return maven


def _build(maven: str, pom: bytes, jar: Path) -> None:
    """Build `documents.jsonl` in the folder `work` into the folder `output` beside it; return the
    manifest or the failure.

    Returns None if the runner did not wait for the end of the build.
    """
    print("noisebeam: building Spark's job server, once; this takes a few minutes", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="job-server-", dir=jar.parent) as folder:
        Path(folder, "pom.xml").write_bytes(pom)
        command = [maven, "--batch-mode", "--quiet", "package"]
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            output, _ = process.communicate(timeout=_MAVEN_SECONDS)
        finally:
            process.kill()
        if process.returncode:
            raise JobServerError(
                f"SparkRunner: Maven could not build the job server: {_first_error(output)}"
            )
        os.replace(Path(folder, "target/spark-job-server.jar"), jar)


def _first_error(output: str) -> str:
    """Return the line of Maven's output that says what is wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next(
        (line for line in lines if "ERROR" in line), lines[-1] if lines else "it says nothing"
    )
