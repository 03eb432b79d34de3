"""A `ShardDataset` in a Hugging Face `Trainer`, with its position in the trainer's checkpoints.

    dataset = ShardDataset("shards", recipe="bart", batch_size=32, seed=17)
    arguments = TrainingArguments(..., ignore_data_skip=True)
    trainer = StreamTrainer(model=model, args=arguments, train_dataset=dataset)
    trainer.train(resume_from_checkpoint=...)

`ignore_data_skip=True` is required: otherwise the trainer skips, after a resume, as many batches
again. The data set makes the batches of each rank: `per_device_train_batch_size` and
`accelerator_config` do not apply.

With `accelerate` alone, do not pass loaders of the data set to `prepare`, which would divide the
share of one rank among all of them. Iterate the data set itself, without worker processes, and call
`accelerator.register_for_checkpointing(dataset)`: `save_state` and `load_state` then keep its
position.
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
    """Trainer callback that saves the position of a data set with each checkpoint, and restores it
    on a resume.
    """

    def __init__(self, dataset: BatchedDataset) -> None:
        self.dataset = dataset

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Load the position of the data set from the checkpoint from which the trainer resumes.

        Raises FileNotFoundError if the checkpoint has none.
        """
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
        """Set the data set to its next epoch, with new order and new noise, unless a loaded
        position is inside the current epoch.
        """
        if self.dataset.exhausted or (state.global_step and not self.dataset.resuming):
            self.dataset.set_epoch(self.dataset.epoch + 1)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the position of the data set into the checkpoint folder; only the first process
        writes, since it is the same on each rank.
        """
        if state.is_world_process_zero:
            publish(
                str(_folder(args, state) / STATE_NAME),
                json.dumps(self.dataset.state_dict()).encode(),
            )


class StreamTrainer(Trainer):  # type: ignore[misc]
    """Hugging Face `Trainer` for a `ShardDataset` or `Mixture` as `train_dataset`; checkpoints keep
    the position of the data set.

    Raises ValueError unless the training arguments have `ignore_data_skip=True`.
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
        """Return a loader that passes on the batches of the data set unchanged."""
        return DataLoader(self.train_dataset, batch_size=None)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """Return a loader of an evaluation data set; batches that a data set makes are unchanged.

        `eval_dataset` is a data set, or the name of one in the trainer's `eval_dataset`; None means
        the trainer's own.
        """
        chosen = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(chosen, str):
            chosen = self.eval_dataset[chosen]
        if isinstance(chosen, BatchedDataset):
            return DataLoader(chosen, batch_size=None)
        loader: DataLoader[Any] = super().get_eval_dataloader(eval_dataset)
        return loader


def _folder(args: Any, state: Any) -> Path:
    """Return the folder of the checkpoint at the current step."""
    return Path(args.output_dir) / f"checkpoint-{state.global_step}"
