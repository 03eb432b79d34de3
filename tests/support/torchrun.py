"""Jobs of several ranks on this machine."""

from __future__ import annotations

import os
import sys


def torchrun(ranks: int) -> list[str]:
    """The command that runs what follows it as so many ranks."""
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={ranks}",
    ]


def environment() -> dict[str, str]:
    """That of a job, which sees the modules of the tests; a thread a rank."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
