"""Checkpoints of Hugging Face's Trainer, with a small BART on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration, Trainer, TrainingArguments

from noisebeam.pipeline import ShardDataset
from noisebeam.pipeline.trainer import STATE_NAME, StreamTrainer

pytestmark = pytest.mark.slow


class Recorder(StreamTrainer):
    """Keeps what the model is given."""

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        self.seen = [
            *getattr(self, "seen", []),
            (inputs["input_ids"].tolist(), inputs["labels"].tolist()),
        ]
        return super().training_step(model, inputs, *args, **kwargs)


def train(
    url: str,
    folder: Path,
    resume: str | None = None,
    *,
    shuffle: bool = True,
    eval_dataset: ShardDataset | None = None,
    kind: type[Recorder] | None = None,
    **settings: Any,
) -> list[Any]:
    sizes = {
        f"{part}_{name}": n
        for part in ("encoder", "decoder")
        for name, n in (("layers", 1), ("ffn_dim", 16))
    }
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    model = BartForConditionalGeneration(
        BartConfig(vocab_size=1000, d_model=16, max_position_embeddings=64, **sizes, **heads)
    )
    fixed = {
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
        "num_train_epochs": 2,
        "save_steps": 7,
    }
    arguments = TrainingArguments(str(folder), **{**fixed, "ignore_data_skip": True, **settings})
    dataset = ShardDataset(url, "bart", batch_size=8, seed=1, shuffle=shuffle)
    trainer = (kind or Recorder)(
        model=model, args=arguments, train_dataset=dataset, eval_dataset=eval_dataset
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer.seen


@pytest.mark.parametrize("accumulated", [1, 2])
def test_a_resumed_run_is_given_the_very_batches_that_were_to_come(
    make_set: Callable[..., str], tmp_path: Path, accumulated: int
) -> None:
    url = make_set(str(tmp_path / "set"), 160)
    settings = {
        "gradient_accumulation_steps": accumulated,
        "save_strategy": "steps",
        "save_steps": 1,
    }
    whole = train(url, tmp_path / "run", **settings)
    assert len(whole) == 40
    assert whole[:20] != whole[20:]
    for step in (7, 14, 20 // accumulated):
        rest = train(
            url, tmp_path / "run", str(tmp_path / "run" / f"checkpoint-{step}"), **settings
        )
        assert rest == whole[step * accumulated :]


def test_a_run_is_given_other_noise_in_each_epoch_and_the_same_when_it_is_replayed(
    make_set: Callable[..., str], tmp_path: Path
) -> None:
    url = make_set(str(tmp_path / "set"), 80)
    seen, replayed = (
        train(url, tmp_path / name, shuffle=False, save_strategy="no") for name in ("run", "replay")
    )
    assert replayed == seen
    first, second = (list(zip(*epoch, strict=True)) for epoch in (seen[:10], seen[10:]))
    assert first[0] != second[0]
    assert first[1] == second[1]


def test_a_trainer_that_would_skip_batches_is_an_error(
    make_set: Callable[..., str], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="expected ignore_data_skip=True, got False"):
        train(make_set(str(tmp_path / "set"), 16), tmp_path / "run", ignore_data_skip=False)


def test_a_checkpoint_without_the_place_is_an_error(
    make_set: Callable[..., str], tmp_path: Path
) -> None:
    url = make_set(str(tmp_path / "set"), 64)
    train(url, tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoint-7"
    (checkpoint / STATE_NAME).unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"expected the place in the data set at .*checkpoint-7/dataset\.json",
    ):
        train(url, tmp_path / "run", str(checkpoint))


def test_a_held_out_set_is_evaluated_with_the_same_noise_each_time(
    make_set: Callable[..., str], tmp_path: Path
) -> None:
    """Evaluation between steps does not change the batches of training."""
    url = make_set(str(tmp_path / "set"), 64)
    held_out = ShardDataset(url, "bart", batch_size=4, seed=1, fixed_noise=True)
    losses: list[float] = []

    class Evaluated(Recorder):
        def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
            found: dict[str, float] = super().evaluate(*args, **kwargs)
            losses.append(found["eval_loss"])
            return found

    plain = train(url, tmp_path / "plain", learning_rate=0.0)
    settings = {"eval_strategy": "steps", "eval_steps": 5, "learning_rate": 0.0}
    evaluated = train(url, tmp_path / "run", kind=Evaluated, eval_dataset=held_out, **settings)
    assert evaluated == plain
    assert len(losses) > 2
    assert len(set(losses)) == 1


def test_the_trainer_of_transformers_is_refused_by_name(
    make_set: Callable[..., str], tmp_path: Path
) -> None:
    dataset = ShardDataset(make_set(str(tmp_path / "set"), 16), "bart", batch_size=8)
    arguments = TrainingArguments(str(tmp_path), max_steps=1, report_to=[], use_cpu=True)
    trainer = Trainer(model=torch.nn.Linear(1, 1), args=arguments, train_dataset=dataset)
    with pytest.raises(ValueError, match=r"take noisebeam\.StreamTrainer in place of Trainer"):
        trainer.train()
