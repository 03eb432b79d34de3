"""One SDK worker (Beam's Python process), started by a worker pool; it ends when the pool does."""

from __future__ import annotations

import os
import sys
import threading

from apache_beam.runners.worker.sdk_worker import SdkHarness

_STATE_CACHE_BYTES = 100 << 20


def main(control_address: str, worker_id: str) -> None:
    """Work for the runner at `control_address` until it hangs up, or until standard input
    closes.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # there is a process for each core
    threading.Thread(target=_end_with_the_pool, daemon=True).start()
    SdkHarness(control_address, worker_id=worker_id, state_cache_size=_STATE_CACHE_BYTES).run()


def _end_with_the_pool() -> None:
    """End this process when standard input closes, as it does when the pool has ended."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
