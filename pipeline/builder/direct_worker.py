"""A worker process of the multi-process DirectRunner.

    python -m noisebeam.pipeline.builder.direct_worker PARENT

It is Beam's worker, but it tokenizes on one thread, since the other workers have the other cores,
and it ends at once when there is no more work: Beam ends its workers one after the other, and
Python needs a second to clean up in each. It also ends within a second of the process PARENT that
started it, however that ended.
"""

import os
import sys
import time
from threading import Thread

from apache_beam.runners.worker import sdk_worker_main

_STEP = 0.5  # seconds


def main(parent: int) -> None:
    """Run a worker of the multi-process DirectRunner, for the runner that environment variables
    name; never return.

    `parent` is the number of the process that starts it, with which it ends.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    Thread(target=_end_with, args=(parent,), daemon=True).start()
    sdk_worker_main.main(sys.argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _end_with(parent: int) -> None:
    """End this process once its parent has ended, which may be before this process begins."""
    while os.getppid() == parent:
        time.sleep(_STEP)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv.pop()))
