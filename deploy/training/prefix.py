"""Prefix language modelling with GPT-2: a prefix is seen in both directions, the rest is predicted.

    python -m noisebeam.deploy.training.prefix
    torchrun --nproc-per-node 2 -m noisebeam.deploy.training.prefix

The loss is on the rest alone. At the end the model completes prefixes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import GPT2LMHeadModel

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
from noisebeam.pipeline.batching.masks import prefix_mask, to_additive
from noisebeam.transforms.noise.labels import IGNORED


@torch.no_grad()
def complete(model: GPT2LMHeadModel, prefix: Sequence[int], most: int) -> list[int]:
    """Return how the model continues a prefix: the likeliest token at each step, up to the end of
    text or `most` tokens.
    """
    ids = list(prefix)
    while len(ids) < len(prefix) + most and ids[-1] != model.config.eos_token_id:
        mask = to_additive(prefix_mask([len(prefix)], len(ids)))[:, None]
        ids.append(int(model(torch.tensor([ids]), attention_mask=mask).logits[0, -1].argmax()))
    return ids[len(prefix) :]


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, complete prefixes; exit status 1 if the loss did not fall clearly below the
    baseline.
    """
    options = parser(__doc__, steps=500).parse_args(arguments)
    shards = build_shards(options, TALES, "gpt2", "--append-eos")
    dataset = ShardDataset(shards, "prefix-lm", batch_size=options.batch_size, seed=SEED)
    model = models.gpt2(dataset.vocabulary)
    learned = train(
        model, dataset, options.folder, steps=options.steps, learning_rate=options.learning_rate
    )
    tokenizer = tokenizer_of(shards)
    for inputs, labels in unseen(dataset, 3):
        prefix = inputs[: labels.count(IGNORED)]
        tell(
            f"\nprefix    {tokenizer.decode(prefix)}\nrest      "
            f"{tokenizer.decode(inputs[len(prefix) :])}"
        )
        tell(
            f"completed {tokenizer.decode(complete(model, prefix, most=len(inputs) - len(prefix)))}"
        )
    return finish(learned)


if __name__ == "__main__":
    raise SystemExit(main())
