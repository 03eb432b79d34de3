"""A `ShardDataset` in a Hugging Face `Trainer`, with its place kept in the trainer's checkpoints.

    dataset = ShardDataset("shards", recipe="bart", batch_size=32, seed=17)
    trainer = StreamTrainer(model=model, args=TrainingArguments(..., ignore_data_skip=True), train_dataset=dataset)
    trainer.train(resume_from_checkpoint=...)

`ignore_data_skip=True` is needed: otherwise the trainer would skip, after a resume, as many batches
again. Batches come ready from the data set, which gives each rank its share:
`per_device_train_batch_size` and `accelerator_config` do not apply.

With `accelerate` alone, likewise leave loaders of the data set out of `prepare`, which would deal
out one rank's share to all of them: `save_state` and `load_state` keep the place of a data set that
is iterated as it is, without worker processes, after
`accelerator.register_for_checkpointing(dataset)`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback

from noisebeam.pipeline.batching.collate import Batch
from noisebeam.pipeline.dataset.base import BatchedDataset
from noisebeam.transforms.io.storage import publish

STATE_NAME = "dataset.json"  # in each checkpoint folder


class KeepPlace(TrainerCallback):  # type: ignore[misc]
    """Saves where `dataset` is with each checkpoint, goes there on a resume, and sets its epoch."""

    def __init__(self, dataset: BatchedDataset) -> None:
        self.dataset = dataset

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Go to the place of the checkpoint that the trainer resumes from."""
        if state.global_step:
            path = _folder(args, state) / STATE_NAME
            try:
                self.dataset.load_state_dict(json.loads(path.read_text()))
            except FileNotFoundError as error:
                raise FileNotFoundError(
                    f"expected the place in the data set at {path}, found none; "
                    "resume from a checkpoint in output_dir that was saved with this callback"
                ) from error

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """New order and new noise; the place of a resume stays, unless an epoch ended there."""
        if self.dataset.exhausted or (state.global_step and not self.dataset.resuming):
            self.dataset.set_epoch(self.dataset.epoch + 1)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the place, which is the same on each rank."""
        if state.is_world_process_zero:
            publish(
                str(_folder(args, state) / STATE_NAME),
                json.dumps(self.dataset.state_dict()).encode(),
            )


class StreamTrainer(Trainer):  # type: ignore[misc]
    """A `Trainer` whose `train_dataset` is a `ShardDataset`, as it is; ValueError if it would lose
    its place.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.args.ignore_data_skip:
            raise ValueError(
                "expected ignore_data_skip=True, got False; give it to TrainingArguments: "
                "the data set goes to its place by itself"
            )
        self.add_callback(KeepPlace(self.train_dataset))

    def get_train_dataloader(self) -> DataLoader[Batch]:
        """The batches of the data set, as they are."""
        return DataLoader(self.train_dataset, batch_size=None)


def _folder(args: Any, state: Any) -> Path:
    return Path(args.output_dir) / f"checkpoint-{state.global_step}"
