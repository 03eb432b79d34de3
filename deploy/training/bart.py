"""Denoising with BART: the model restores the whole text from a corrupted one.

    python -m noisebeam.deploy.training.bart [--recipe text-infilling]
    torchrun --nproc-per-node 2 -m noisebeam.deploy.training.bart

Recipes are `bart`, or one of the five corruptions alone. With `token-masking` the input is masked
and the labels are the full original. At the end the model restores a corrupted sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from noisebeam.deploy.training import models
from noisebeam.deploy.training.corpora import TALES
from noisebeam.deploy.training.epochs import unseen
from noisebeam.deploy.training.runs import (
    SEED,
    build_shards,
    finish,
    parser,
    tell,
    tokenizer_of,
    train,
)
from noisebeam.pipeline import ShardDataset

RECIPES = (
    "bart",
    "token-masking",
    "token-deletion",
    "text-infilling",
    "sentence-permutation",
    "document-rotation",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a BART and restore a text; return exit status 1 if the loss does not fall clearly below
    the baseline.
    """
    made = parser(__doc__, steps=600)
    made.add_argument(
        "--recipe", default="bart", metavar="NAME", help=f"{', '.join(RECIPES)} (default bart)"
    )
    options = made.parse_args(arguments)
    shards = build_shards(options, TALES, "bart-base")
    dataset = ShardDataset(shards, options.recipe, batch_size=options.batch_size, seed=SEED)
    model = models.bart(dataset.vocabulary)
    learned = train(
        model, dataset, options.folder, steps=options.steps, learning_rate=options.learning_rate
    )
    tokenizer = tokenizer_of(shards)
    for inputs, labels in unseen(dataset, 2):
        found = model.generate(
            input_ids=torch.tensor([inputs]), max_new_tokens=len(labels) + 8, num_beams=1
        )
        tell(f"\noriginal  {tokenizer.decode(labels)}\ncorrupted {tokenizer.decode(inputs)}")
        tell(f"restored  {tokenizer.decode(found[0, 1:])}")
    return finish(learned)


if __name__ == "__main__":
    raise SystemExit(main())
