"""Submit a build to a Spark cluster: the pipeline becomes one jar, which `spark-submit` runs.

    python -m noisebeam.deploy.spark.submit --master spark://HOST:7077 --pool localhost:50000 -- \\
        --input 's3://bucket/corpus/*.jsonl.gz' --output s3://bucket/shards \\
        --tokenizer facebook/bart-base

The flags after `--` are those of `noisebeam build`. Every worker has to be able to read the input
and write the output. Each machine of the cluster runs `python -m
noisebeam.deploy.spark.worker_pool` at the address of `--pool`. `--dry-run` writes the jar to the
current folder and prints the command.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from noisebeam.pipeline.builder.flags import add_arguments, read_build
from noisebeam.pipeline.builder.options import BuildOptions, SettingsError
from noisebeam.transforms.errors import one_line
from noisebeam.transforms.output.finish import Failure
from noisebeam.transforms.output.folder import OutputFolder
from noisebeam.transforms.output.manifest import Manifest

_MAIN_CLASS = "org.apache.beam.runners.spark.SparkPipelineRunner"
_DRY_RUN_JAR = "noisebeam-job.jar"


def write_job_jar(options: BuildOptions, jar: Path, beam_flags: Sequence[str]) -> None:
    """Check the settings of a build, prepare its output folder, and write the whole pipeline to a
    jar that `spark-submit` can run.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from noisebeam.deploy.spark.runner import spark_ready
    from noisebeam.pipeline.builder.plan import assemble, prepare

    flags = (
        "--runner=SparkRunner",
        f"--output_executable_path={jar}",
        "--default_sdk_harness_log_level=ERROR",
    )
    beam_options = PipelineOptions([*flags, *beam_flags])
    prepared = prepare(options)
    with spark_ready(beam_options):
        pipeline = beam.Pipeline(options=beam_options)
        assemble(pipeline, prepared)
        pipeline.run().wait_until_finish()


def submit(options: BuildOptions, jar: Path, spark_submit: Sequence[str]) -> Manifest | Failure:
    """Run the jar of a build with `spark-submit`, wait for its end, and return its manifest or
    failure.

    Raises RuntimeError if `spark-submit` fails.
    """
    output = OutputFolder(options.output.url)
    output.remove_verdict()
    status = subprocess.run([*spark_submit, "--class", _MAIN_CLASS, str(jar)]).returncode
    if status:
        raise RuntimeError(
            f"spark-submit ended with exit status {status}: its output above says why"
        )
    return output.read_outcome()


def main(arguments: Sequence[str] | None = None) -> int:
    """Submit one build to a Spark cluster by `spark-submit`, and return its exit status."""
    parser = argparse.ArgumentParser(
        description="Submit a build to a Spark cluster.", allow_abbrev=False
    )
    parser.add_argument(
        "--master",
        required=True,
        metavar="URL",
        help="the cluster's master: spark://HOST:PORT, yarn",
    )
    parser.add_argument(
        "--pool", default="localhost:50000", metavar="HOST:PORT", help="worker pool of each machine"
    )
    parser.add_argument(
        "--spark-submit", default="spark-submit", metavar="COMMAND", help="with options, if need be"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="write the job's jar and show the command"
    )
    parser.add_argument(
        "flags", nargs="*", metavar="-- FLAGS", help="flags of noisebeam build, and of Beam"
    )
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.CRITICAL)
    build = argparse.ArgumentParser("noisebeam build", allow_abbrev=False)
    add_arguments(build)
    known, beam_flags = build.parse_known_args(given.flags)
    pool = ("--environment_type=EXTERNAL", f"--environment_config={given.pool}")
    try:
        return _run(read_build(known, beam_flags), given, [*pool, *beam_flags])
    except (ValueError, OSError, RuntimeError) as error:
        print(f"noisebeam: {one_line(error)}", file=sys.stderr)
        return 1 if isinstance(error, RuntimeError) else 2


def _run(options: BuildOptions, given: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    """Write the jar of a build and submit it, or, for a dry run, print the command; return the exit
    status.
    """
    command = [*shlex.split(given.spark_submit), "--master", given.master]
    if not given.dry_run and shutil.which(command[0]) is None:
        raise SettingsError(
            f"{command[0]} is not on PATH: install Spark 3.5, or name it with --spark-submit"
        )
    with ExitStack() as stack:
        folder = (
            Path() if given.dry_run else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        )
        jar = (folder / _DRY_RUN_JAR).absolute()
        write_job_jar(options, jar, beam_flags)
        if given.dry_run:
            print(shlex.join([*command, "--class", _MAIN_CLASS, str(jar)]))
            return 0
        outcome = submit(options, jar, command)
        from noisebeam.pipeline.builder.result import BuildResult
        from noisebeam.pipeline.builder.summary import print_result

        return print_result(options.output.url, BuildResult(outcome, {}))


if __name__ == "__main__":
    sys.exit(main())
