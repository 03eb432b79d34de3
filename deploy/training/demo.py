"""From text to a training model in a few minutes: the whole of Noisebeam on the prose that ships with Python.

    python deploy/training/demo.py [FOLDER]

Writes Python's own documentation topics as a corpus, trains a small tokenizer on it, builds shards with the BART
recipe, shows what each corruption does to a window, and trains a small randomly initialised BART on the shards.
"""

from __future__ import annotations

import json
import math
import pydoc_data.topics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tokenizers import ByteLevelBPETokenizer
from tokenizers.processors import RobertaProcessing
from transformers import BartConfig, BartForConditionalGeneration

from noisebeam.pipeline import ShardDataset

CORRUPTIONS = ("token-masking", "token-deletion", "text-infilling", "sentence-permutation", "document-rotation")
SEED = 17
STEPS, BATCH_SIZE, MAX_TOKENS = 500, 16, 128
MOST_SECONDS = 110.0
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def main(folder: Path) -> None:
    """Run every step in `folder`, which is made anew."""
    started = time.monotonic()
    console = Console(highlight=False, soft_wrap=True)
    folder.mkdir(parents=True, exist_ok=True)
    heading(console, "A corpus: the topics of Python's documentation")
    texts = write_corpus(folder / "corpus.jsonl")
    console.print(f"{len(texts)} documents, {sum(map(len, texts)):,} characters")
    heading(console, "A tokenizer, trained on it")
    train_tokenizer(texts, folder / "tokenizer")
    heading(console, "Shards with baked-in BART noise")
    noisebeam(
        *("build", "--input", str(folder / "corpus.jsonl"), "--output", str(folder / "shards")),
        *("--tokenizer", str(folder / "tokenizer"), "--max-tokens", str(MAX_TOKENS), "--recipe", "bart"),
        *("--seed", str(SEED), "--num-shards", "4", "--overwrite"),
    )
    noisebeam("verify", str(folder / "shards"))
    heading(console, "One window before and after each corruption")
    recipes = [part for name in (*CORRUPTIONS, "bart") for part in ("--recipe", name)]
    noisebeam("inspect", str(folder / "shards"), "--sample", "5", *recipes)
    heading(console, "Training a small BART on the shards, with fresh noise in every epoch")
    train(console, str(folder / "shards"))
    console.print(f"\nAll of it took {time.monotonic() - started:.0f} seconds.")


def heading(console: Console, text: str) -> None:
    """A line that opens a step."""
    console.print(f"\n[bold]== {text}[/bold]")


def noisebeam(*arguments: str) -> None:
    """Run the command line, as a user would, and show the command."""
    print("$ noisebeam", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "noisebeam.pipeline.cli", *arguments], check=True)


def write_corpus(path: Path) -> list[str]:
    """Write the topics as JSON Lines; their texts."""
    topics = sorted(pydoc_data.topics.topics.items())
    lines = (json.dumps({"id": name, "text": text}) + "\n" for name, text in topics)
    path.write_text("".join(lines), encoding="utf-8")
    return [text for _, text in topics]


def train_tokenizer(texts: list[str], folder: Path) -> None:
    """Train a byte-level BPE tokenizer of 4,000 tokens, with BART's special ones."""
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        texts, vocab_size=4000, min_frequency=2, special_tokens=list(SPECIAL_TOKENS), show_progress=False
    )
    tokenizer._tokenizer.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    roles = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "mask_token": "<mask>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(roles))


def train(console: Console, shards: str) -> None:
    """Train for a number of steps or at most two minutes, and show what was read and how the loss fell."""
    torch.manual_seed(SEED)
    dataset = ShardDataset(shards, recipe="bart", batch_size=BATCH_SIZE, seed=SEED)
    vocabulary = dataset.vocabulary
    model = BartForConditionalGeneration(small_bart(vocabulary.size))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    batches = endless(dataset)
    losses: list[float] = []
    deadline = time.monotonic() + MOST_SECONDS
    console.print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(dataset)} batches an epoch")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("training", total=STEPS)
        for step, batch in zip(range(STEPS), batches, strict=False):
            if step == 0:
                console.print(f"first input_ids: {batch['input_ids'][0].tolist()}")
                console.print(f"first labels:    {batch['labels'][0].tolist()}")
            loss = model(**batch).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            progress.update(task, advance=1, description=f"loss {losses[-1]:.2f}")
            if not console.is_terminal and (step + 1) % 50 == 0:
                console.print(f"step {step + 1}: loss {np.mean(losses[-50:]):.3f}")
            if time.monotonic() > deadline:
                break
    start, end = float(np.mean(losses[:10])), float(np.mean(losses[-10:]))
    console.print(
        f"loss at the start {start:.3f} (a uniform guess: {math.log(vocabulary.size):.3f}), at the end {end:.3f}"
    )
    if not end < 0.9 * start:
        sys.exit(f"expected the loss to fall below nine tenths of {start:.3f}, got {end:.3f}")


def small_bart(vocabulary_size: int) -> BartConfig:
    """Two layers on each side, 128 wide."""
    return BartConfig(
        vocab_size=vocabulary_size,
        max_position_embeddings=2 * MAX_TOKENS,
        d_model=128,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=512,
        decoder_ffn_dim=512,
        dropout=0.0,
        attention_dropout=0.0,
        forced_eos_token_id=None,
    )


def endless(dataset: ShardDataset) -> Iterator[dict[str, torch.Tensor]]:
    """The batches of epoch after epoch, each with noise of its own."""
    epoch = 0
    while True:
        dataset.set_epoch(epoch)
        yield from dataset
        epoch += 1


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
