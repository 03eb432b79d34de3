"""Submit a build to Google Cloud Dataflow.

    python -m noisebeam.deploy.dataflow.submit --project PROJECT --region REGION \\
        --temp-location gs://BUCKET/tmp \\
        --image REGION-docker.pkg.dev/PROJECT/REPOSITORY/noisebeam -- \\
        --input 'gs://BUCKET/corpus/*.jsonl.gz' --output gs://BUCKET/shards \\
        --tokenizer facebook/bart-base

The flags after `--` are those of `noisebeam build` and of Beam, such as `--machine_type`,
`--max_num_workers` or `--no_wait_until_finish`. The command is the same as `noisebeam build
--runner=DataflowRunner`; `--dry-run` prints what would be submitted, as JSON, without an account.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence

from noisebeam.pipeline.builder.flags import add_arguments, read_build
from noisebeam.pipeline.cli import main as noisebeam
from noisebeam.transforms.errors import one_line


def main(arguments: Sequence[str] | None = None) -> int:
    """Submit a build to Dataflow and return the exit status, which is that of `noisebeam build`.

    `arguments` are the command line; None takes it from `sys.argv`.
    """
    parser = argparse.ArgumentParser(description="Submit a build to Dataflow.", allow_abbrev=False)
    parser.add_argument(
        "--project", required=True, metavar="ID", help="the Google Cloud project that pays"
    )
    parser.add_argument(
        "--region",
        required=True,
        metavar="NAME",
        help="where the job runs: us-central1, europe-west4",
    )
    parser.add_argument(
        "--temp-location",
        required=True,
        metavar="URL",
        help="a gs:// folder for the job's own files",
    )
    parser.add_argument(
        "--image", required=True, metavar="NAME", help="what deploy/dataflow/Dockerfile builds"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be submitted")
    parser.add_argument(
        "flags", nargs="*", metavar="-- FLAGS", help="flags of noisebeam build, and of Beam"
    )
    given = parser.parse_args(arguments)
    location = [
        f"--project={given.project}",
        f"--region={given.region}",
        f"--temp_location={given.temp_location}",
    ]
    flags = [
        *given.flags,
        "--runner=DataflowRunner",
        *location,
        f"--sdk_container_image={given.image}",
    ]
    return _show(flags) if given.dry_run else noisebeam(["build", *flags])


def _show(flags: Sequence[str]) -> int:
    """Print what would be submitted as JSON, and return the exit status."""
    from noisebeam.deploy.dataflow.job import describe_job

    logging.basicConfig(level=logging.CRITICAL)
    build = argparse.ArgumentParser("noisebeam build", allow_abbrev=False)
    add_arguments(build)
    known, beam_flags = build.parse_known_args(flags)
    try:
        print(json.dumps(describe_job(read_build(known, beam_flags), beam_flags), indent=2))
    except (ValueError, OSError) as error:
        print(f"noisebeam: {one_line(error)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
