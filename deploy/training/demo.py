"""Demo: from text to a training model in a minute, on the documentation that Python comes with.

    python deploy/training/demo.py [FOLDER]

The demo writes Python's documentation topics as a corpus, trains a small tokenizer, builds shards
with the BART recipe, shows what each corruption does to a window, and trains a small BART with
random weights on the shards.
"""

from __future__ import annotations

import json
import pydoc_data.topics
import sys
import time
from pathlib import Path

from rich.console import Console
from tokenizers import ByteLevelBPETokenizer
from tokenizers.processors import RobertaProcessing

from noisebeam.deploy.training import models
from noisebeam.deploy.training.runs import SEED, finish, noisebeam, train
from noisebeam.pipeline import ShardDataset

CORRUPTIONS = (
    "token-masking",
    "token-deletion",
    "text-infilling",
    "sentence-permutation",
    "document-rotation",
)
STEPS, BATCH_SIZE, MAX_TOKENS, LEARNING_RATE = 600, 8, 64, 4e-3
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def main(folder: Path) -> int:
    """Run every step of the demo in `folder`, which is made; return exit status 1 if the model does
    not learn.
    """
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
        *(
            "--tokenizer",
            str(folder / "tokenizer"),
            "--max-tokens",
            str(MAX_TOKENS),
            "--recipe",
            "bart",
        ),
        *("--seed", str(SEED), "--num-shards", "4", "--overwrite"),
    )
    noisebeam("verify", str(folder / "shards"))
    heading(console, "One window before and after each corruption")
    recipes = [part for name in (*CORRUPTIONS, "bart") for part in ("--recipe", name)]
    noisebeam("inspect", str(folder / "shards"), "--sample", "5", *recipes)
    heading(console, "Training a small BART on the shards, with fresh noise in every epoch")
    dataset = ShardDataset(str(folder / "shards"), recipe="bart", batch_size=BATCH_SIZE, seed=SEED)
    learned = train(
        models.bart(dataset.vocabulary), dataset, folder, steps=STEPS, learning_rate=LEARNING_RATE
    )
    console.print(f"\nAll of it took {time.monotonic() - started:.0f} seconds.")
    return finish(learned)


def heading(console: Console, text: str) -> None:
    """Print the title of a step of the demo."""
    console.print(f"\n[bold]== {text}[/bold]")


def write_corpus(path: Path) -> list[str]:
    """Write the documentation topics that Python comes with to `path` as JSON Lines, and return
    their texts.
    """
    topics = sorted(pydoc_data.topics.topics.items())
    lines = (json.dumps({"id": name, "text": text}) + "\n" for name, text in topics)
    path.write_text("".join(lines), encoding="utf-8")
    return [text for _, text in topics]


def train_tokenizer(texts: list[str], folder: Path) -> None:
    """Train a byte-level BPE tokenizer of 4,000 tokens with BART's special tokens on the texts, and
    write it to `folder`.
    """
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        texts,
        vocab_size=4000,
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        show_progress=False,
    )
    tokenizer._tokenizer.post_processor = RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=False
    )
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    roles = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "mask_token": "<mask>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(roles))


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo")))
