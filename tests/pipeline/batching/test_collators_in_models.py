"""Collators in real models: the losses that follow from their masks and labels, and epochs of a
real Trainer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.vocabularies import BART_LIKE, GPT_LIKE
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from noisebeam.pipeline.batching.collators import CausalCollator, DenoisingCollator, PrefixCollator


def make_examples(count: int) -> list[dict[str, Any]]:
    """Random texts of one to three sentences."""
    rng = np.random.default_rng(0)
    examples = []
    for _ in range(count):
        lengths = rng.integers(1, 10, size=rng.integers(1, 4)).tolist()
        ids = [0, *rng.integers(4, 90, size=sum(lengths)).tolist(), 2]
        examples.append({"input_ids": ids, "sentence_lengths": lengths})
    return examples


def inputs_of(batch: dict[str, torch.Tensor]) -> list[list[int]]:
    """The rows of inputs without padding."""
    rows = zip(batch["input_ids"], batch["attention_mask"] == 1, strict=True)
    return [row[seen].tolist() for row, seen in rows]


def gpt2() -> GPT2LMHeadModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"vocab_size": 100, "n_positions": 40, "n_embd": 16, "n_layer": 2, "n_head": 2}
        return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=99, eos_token_id=99)).eval()


def bloom() -> BloomForCausalLM:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BloomForCausalLM(
            BloomConfig(vocab_size=100, hidden_size=16, n_layer=2, n_head=2)
        ).eval()


@pytest.mark.parametrize("make_model", [gpt2, bloom])
def test_the_loss_is_the_same_with_padding_on_either_side(make_model: Any):
    model, examples = make_model(), [{"input_ids": list(range(5, 5 + size))} for size in (3, 12, 7)]
    right = CausalCollator(GPT_LIKE)(examples)
    left = CausalCollator(GPT_LIKE, padding_side="left", position_ids=make_model is gpt2)(examples)
    with torch.no_grad():
        assert model(**left).loss.item() == pytest.approx(model(**right).loss.item(), rel=1e-5)


def test_in_a_real_model_padding_does_not_change_the_loss_of_a_prefix_lm():
    model, rows = (
        gpt2().double(),
        [{"input_ids": list(range(5, 5 + size)), "prefix_length": size // 2} for size in (4, 12)],
    )
    collator = PrefixCollator(GPT_LIKE, seed=1, mask_dtype=torch.float64)
    with torch.no_grad():
        both = model(**collator(rows)).logits
        alone = model(**collator(rows[:1])).logits
    torch.testing.assert_close(both[:1, :5], alone, rtol=1e-12, atol=1e-12)


class SetEpoch(TrainerCallback):
    def __init__(self, collator: DenoisingCollator) -> None:
        self.collator = collator

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.collator.set_epoch(int(state.epoch))


class Recorder(Trainer):
    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        self.seen = [*getattr(self, "seen", []), inputs_of(inputs)]
        return super().training_step(model, inputs, *args, **kwargs)


def test_a_trainer_gets_fresh_noise_in_every_epoch_and_the_same_when_it_is_run_again(
    tmp_path: Path,
):
    examples = make_examples(8)
    sizes = {
        f"{part}_{name}": n
        for part in ("encoder", "decoder")
        for name, n in (("layers", 1), ("ffn_dim", 16))
    }
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = BartConfig(
        vocab_size=BART_LIKE.size, d_model=16, max_position_embeddings=64, **sizes, **heads
    )
    runs = []
    for run in range(2):
        collator = DenoisingCollator("bart", BART_LIKE, seed=17)
        arguments = TrainingArguments(
            str(tmp_path / str(run)), remove_unused_columns=False, num_train_epochs=3,
            per_device_train_batch_size=4,
            report_to=[], use_cpu=True, disable_tqdm=True, save_strategy="no",
            train_sampling_strategy="sequential",
        )  # fmt: skip
        trainer = Recorder(
            model=BartForConditionalGeneration(config),
            args=arguments,
            train_dataset=examples,
            data_collator=collator,
            callbacks=[SetEpoch(collator)],
        )
        trainer.train()
        runs.append(trainer.seen)
    assert runs[0] == runs[1]
    assert len(runs[0]) == 6
    epochs = [runs[0][0:2], runs[0][2:4], runs[0][4:6]]
    assert epochs == [
        [
            inputs_of(DenoisingCollator("bart", BART_LIKE, seed=17, epoch=e)(examples[i : i + 4]))
            for i in (0, 4)
        ]
        for e in range(3)
    ]
    assert epochs[0] != epochs[1] != epochs[2]
