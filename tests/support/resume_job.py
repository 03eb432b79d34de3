"""A training job without a model, run by torchrun: writes down what it sees, and checkpoints every
third step.

torchrun resume_job.py KIND DATA FOLDER ATTEMPT
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from noisebeam.pipeline import GroupByLength, Mixture, Pack, ShardDataset
from noisebeam.pipeline.batching.collate import Batch
from noisebeam.pipeline.dataset.base import BatchedDataset

GLOBAL_BATCH = 8  # rows
KINDS = ("plain", "grouped", "packed", "mixed", "packed mixture")


def make(kind: str, url: str, batch_size: int) -> BatchedDataset:
    """The data of a job: of the set in `url`, or a mixture of those in `url`/0 and `url`/1."""
    batching: dict[str, Any] = {}
    if kind.startswith("packed"):
        batching["batching"] = Pack(64, window=500)
    if kind == "grouped":
        batching["batching"] = GroupByLength(GLOBAL_BATCH, groups=10)
    settings = {"batch_size": batch_size, "seed": 5, **batching}
    if "mix" not in kind:
        return ShardDataset(url, **settings)
    return Mixture([ShardDataset(f"{url}/{i}", **settings) for i in range(2)], weights=[7, 1])


def numbers(batch: Batch) -> list[int]:
    """The samples of a batch: each begins with 0 and two tokens that tell its number."""
    at = torch.nonzero(batch["input_ids"].flatten() == 0).flatten()
    first, second = (batch["input_ids"].flatten()[at + i] - 4 for i in (1, 2))
    return (first * 900 + second).tolist()


def main(kind: str, url: str, folder: Path, attempt: str) -> None:
    dist.init_process_group("gloo")
    rank, world_size = dist.get_rank(), dist.get_world_size()
    (folder / f"pid-{attempt}-{rank}").write_text(str(os.getpid()))
    dataset = make(kind, url, GLOBAL_BATCH // world_size)
    checkpoint = folder / "checkpoint.json"
    if checkpoint.exists():
        dataset.load_state_dict(json.loads(checkpoint.read_text()))
    position = dataset.state_dict()["position"]
    with (folder / f"seen-{attempt}-{rank}").open("a") as seen:
        for step, batch in enumerate(dataset, start=1):
            seen.write(json.dumps([position, numbers(batch)]) + "\n")
            seen.flush()
            position = dataset.state_dict()["position"]
            dist.all_reduce(torch.zeros(1))  # every rank has made the step
            time.sleep(0.01)
            if step % 3 == 0 and rank == 0:
                save(checkpoint, dataset)
    dist.barrier()
    if rank == 0:
        save(checkpoint, dataset)
    dist.destroy_process_group()


def save(path: Path, dataset: BatchedDataset) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(dataset.state_dict()))
    os.replace(temporary, path)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4])
