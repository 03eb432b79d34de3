"""Parts that the training scripts share: shards of a small corpus, a run of the Trainer, and its
baseline.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState
from transformers import AutoTokenizer, PrinterCallback, TrainerCallback, TrainingArguments, logging

from noisebeam.deploy.training.corpora import Corpus, write_excerpt
from noisebeam.deploy.training.epochs import label_entropy, noise_digest
from noisebeam.pipeline import ShardDataset
from noisebeam.pipeline.trainer import StreamTrainer

SEED = 17
CLEARLY = 0.8  # of the baseline: what the loss has to be below at the end
SHOWN = 20  # losses that make up the end


def parser(
    text: str | None, *, steps: int, batch_size: int = 4, learning_rate: float = 4e-3
) -> argparse.ArgumentParser:
    """Return an argument parser with the options that all training scripts have.

    `text` is the script's docstring, whose first line describes it; the other arguments are
    defaults.
    """
    made = argparse.ArgumentParser(description=(text or "").partition("\n")[0])
    data = os.environ.get("NOISEBEAM_SHARED", "../shared")
    made.add_argument(
        "--data", default=data, metavar="DIR", help="folder with corpora/ and tokenizers/"
    )
    made.add_argument("--input", metavar="FILE", help="documents of your own, as JSON Lines")
    made.add_argument("--tokenizer", metavar="NAME", help="a tokenizer of your own")
    made.add_argument(
        "--folder",
        type=Path,
        default=Path("training"),
        metavar="DIR",
        help="where shards are built",
    )
    made.add_argument("--steps", type=int, default=steps, metavar="N", help=f"default {steps}")
    made.add_argument(
        "--batch-size", type=int, default=batch_size, metavar="N", help=f"default {batch_size}"
    )
    made.add_argument("--learning-rate", type=float, default=learning_rate, metavar="X")
    made.add_argument(
        "--max-tokens", type=int, default=64, metavar="N", help="of a sample (default 64)"
    )
    return made


def build_shards(options: argparse.Namespace, corpus: Corpus, tokenizer: str, *flags: str) -> str:
    """Build clean shards of a corpus with `noisebeam build`, on the first rank only; return their
    folder.

    `flags` are further flags of the build.
    """
    state = PartialState(cpu=True)
    if not state.is_main_process:
        logging.set_verbosity_error()
    tokenizer = options.tokenizer or f"{options.data}/tokenizers/{tokenizer}"
    shards = options.folder / f"{Path(tokenizer).name}-{options.max_tokens}"
    if state.is_main_process:
        path = options.input
        if path is None:
            path = options.folder / f"{corpus.lang}.jsonl"
            write_excerpt(corpus, Path(options.data), path)
        noisebeam(
            *(
                "build",
                "--input",
                str(path),
                "--output",
                str(shards),
                "--tokenizer",
                tokenizer,
                "--lang",
                corpus.lang,
            ),
            *(
                "--max-tokens",
                str(options.max_tokens),
                "--seed",
                str(SEED),
                "--num-shards",
                "2",
                *flags,
                "--overwrite",
            ),
        )
    state.wait_for_everyone()
    return str(shards)


def noisebeam(*arguments: str) -> None:
    """Print a `noisebeam` command and run it as a user would; raise CalledProcessError if it
    fails.
    """
    print("$ noisebeam", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "noisebeam.pipeline.cli", *arguments], check=True)


def train(
    model: Any, dataset: ShardDataset, folder: Path, *, steps: int, learning_rate: float
) -> bool:
    """Train a model on a data set and print losses; return True if the last loss is clearly below
    the baseline.

    The baseline is the entropy of the labels without any context.
    """
    entropy = label_entropy(dataset)
    tell(
        f"{type(model).__name__}: {sum(p.numel() for p in model.parameters()):,} parameters, ",
        end="",
    )
    tell(f"{dataset.samples:,} samples, {len(dataset)} batches an epoch, {steps} steps")
    if dataset.recipe is not None and dataset.recipe.corruptions:
        first, second, replayed = (noise_digest(dataset, epoch) for epoch in (0, 1, 0))
        tell(f"noise of epoch 0: {first}, of epoch 1: {second}, of epoch 0 again: {replayed}")
    losses = run_trainer(model, dataset, folder, steps, learning_rate)
    start, end = float(np.mean(losses[:5])), float(np.mean(losses[-SHOWN:]))
    tell(
        f"loss: {start:.3f} at the start, {end:.3f} at the end; unigram entropy of the labels: "
        f"{entropy:.3f}"
    )
    model.eval()
    return end < CLEARLY * entropy


def run_trainer(
    model: Any, dataset: ShardDataset, folder: Path, steps: int, learning_rate: float
) -> list[float]:
    """Train a model with Hugging Face's Trainer, and return the loss of every step, averaged over
    the ranks.
    """
    arguments = TrainingArguments(
        output_dir=str(folder / "run"),
        max_steps=steps,
        learning_rate=learning_rate,
        warmup_steps=max(1, steps // 10),
        adam_beta2=0.98,
        weight_decay=0.01,
        use_cpu=True,
        seed=SEED,
        ignore_data_skip=True,
        save_strategy="no",
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
        ddp_find_unused_parameters=False,
    )
    losses = Losses()
    trainer = StreamTrainer(model=model, args=arguments, train_dataset=dataset, callbacks=[losses])
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return losses.values


class Losses(TrainerCallback):  # type: ignore[misc]
    """Trainer callback that keeps the loss of each step, and prints some of them."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Keep the loss of a step; print it every 50 steps."""
        if "loss" in logs:
            self.values.append(float(logs["loss"]))
            if state.global_step % 50 == 0:
                tell(f"step {state.global_step}: loss {np.mean(self.values[-SHOWN:]):.3f}")


def finish(learned: bool) -> int:
    """Return exit status 0 if the model learned, else 1 with a line on standard error."""
    if not learned:
        sys.stderr.write(
            f"expected a loss below {CLEARLY} of the entropy at the end, got more; train for more "
            "--steps\n"
        )
    return int(not learned)


def tokenizer_of(shards: str) -> Any:
    """Return the tokenizer of the build in the folder `shards`, as an object of `transformers`."""
    return AutoTokenizer.from_pretrained(f"{shards}/tokenizer")


def tell(text: str, end: str = "\n") -> None:
    """Print a text on the first rank only."""
    if PartialState(cpu=True).is_main_process:
        print(text, end=end, flush=True)
