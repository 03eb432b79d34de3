"""A training job without a model, run by torchrun: writes down what it sees, and checkpoints every third step.

torchrun resume_job.py DATA FOLDER ATTEMPT
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from noisebeam.pipeline import ShardDataset

GLOBAL_BATCH = 8


def main(url: str, folder: Path, attempt: str) -> None:
    dist.init_process_group("gloo")
    rank, world_size = dist.get_rank(), dist.get_world_size()
    (folder / f"pid-{attempt}-{rank}").write_text(str(os.getpid()))
    dataset = ShardDataset(url, batch_size=GLOBAL_BATCH // world_size, seed=5)
    checkpoint = folder / "checkpoint.json"
    if checkpoint.exists():
        dataset.load_state_dict(json.loads(checkpoint.read_text()))
    position = dataset.state_dict()["position"]
    with (folder / f"seen-{attempt}-{rank}").open("a") as seen:
        for step, batch in enumerate(dataset, start=1):
            numbers = [int(a - 4) * 900 + int(b - 4) for a, b in batch["labels"][:, 1:3]]
            seen.write(json.dumps([position, numbers]) + "\n")
            seen.flush()
            position += GLOBAL_BATCH
            dist.all_reduce(torch.zeros(1))  # every rank has made the step
            time.sleep(0.01)
            if step % 3 == 0 and rank == 0:
                save(checkpoint, dataset)
    dist.barrier()
    if rank == 0:
        save(checkpoint, dataset)
    dist.destroy_process_group()


def save(path: Path, dataset: ShardDataset) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(dataset.state_dict()))
    os.replace(temporary, path)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
