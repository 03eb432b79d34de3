"""A training job on `accelerate` alone, run by torchrun: writes down what it sees, and ends with a
checkpoint.

torchrun accelerate_job.py DATA FOLDER ATTEMPT STEPS
"""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path

import torch
from accelerate import Accelerator

from support.resume_job import GLOBAL_BATCH, make, numbers


def main(url: str, folder: Path, attempt: str, steps: int) -> None:
    accelerator = Accelerator(cpu=True)
    rank, checkpoint = accelerator.process_index, folder / "checkpoint"
    linear = torch.nn.Linear(1, 1)
    model, optimizer = accelerator.prepare(linear, torch.optim.SGD(linear.parameters(), lr=0.001))
    dataset = make("plain", url, GLOBAL_BATCH // accelerator.num_processes)
    accelerator.register_for_checkpointing(dataset)
    if checkpoint.exists():
        accelerator.load_state(str(checkpoint))
    with (folder / f"seen-{attempt}-{rank}").open("w") as seen:
        for batch in islice(dataset, steps):
            seen.write(json.dumps(numbers(batch)) + "\n")
            accelerator.backward(model(batch["input_ids"].float().mean()[None]).square().sum())
            optimizer.step()
            optimizer.zero_grad()
    accelerator.save_state(str(checkpoint))
    accelerator.end_training()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
