"""A worker process of the multi-process DirectRunner.

    python -m noisebeam.pipeline.builder.direct_worker

It is Beam's worker, but it tokenizes on one thread, since the other workers have the other cores,
and it ends at once when there is no more work: Beam ends its workers one after the other, and
Python needs a second to clean up in each.
"""

import os
import sys

from apache_beam.runners.worker import sdk_worker_main


def main() -> None:
    """Run a worker of the multi-process DirectRunner, for the runner that environment variables
    name; never return.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sdk_worker_main.main(sys.argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
