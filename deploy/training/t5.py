"""Span corruption with T5: a sentinel replaces each span; labels are sentinels with their spans.

    python -m noisebeam.deploy.training.t5 [--recipe ul2]
    torchrun --nproc-per-node 2 -m noisebeam.deploy.training.t5

`ul2` is the mixture of UL2 with a mode token for each denoiser. At the end the model fills the
sentinels of a sample.
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a T5 and fill sentinels; return exit status 1 if the loss does not fall clearly below
    the baseline.
    """
    made = parser(__doc__, steps=700, batch_size=8)
    made.add_argument("--recipe", choices=("t5", "ul2"), default="t5", help="default t5")
    options = made.parse_args(arguments)
    flags = ("--add-tokens", "[R]", "[S]", "[X]") if options.recipe == "ul2" else ()
    shards = build_shards(options, TALES, "t5-base", *flags)
    dataset = ShardDataset(shards, options.recipe, batch_size=options.batch_size, seed=SEED)
    model = models.t5(dataset.vocabulary)
    learned = train(
        model, dataset, options.folder, steps=options.steps, learning_rate=options.learning_rate
    )
    tokenizer = tokenizer_of(shards)
    for inputs, labels in unseen(dataset, 2):
        found = model.generate(input_ids=torch.tensor([inputs]), max_new_tokens=len(labels) + 8)
        tell(f"\ninput    {tokenizer.decode(inputs)}\nlabels   {tokenizer.decode(labels)}")
        tell(f"filled   {tokenizer.decode(found[0, 1:])}")
    return finish(learned)


if __name__ == "__main__":
    raise SystemExit(main())
