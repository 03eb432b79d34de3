"""Causal language modelling with GPT-2 or BLOOM: each token is predicted from those before it.

    python -m noisebeam.deploy.training.causal [--model bloom] [--padding left | --packed 128]
    torchrun --nproc-per-node 2 -m noisebeam.deploy.training.causal

Each document ends in an end of text. Samples are padded on one side, or packed into rows in which
each sees itself alone. At the end the model continues prompts of different lengths, in one batch
padded on the left: once with the likeliest token at each step, once with sampled tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from noisebeam.deploy.training import models
from noisebeam.deploy.training.corpora import TALES
from noisebeam.deploy.training.generate import left_pad
from noisebeam.deploy.training.runs import (
    SEED,
    build_shards,
    finish,
    parser,
    tell,
    tokenizer_of,
    train,
)
from noisebeam.pipeline import OneByOne, Pack, ShardDataset

MODELS = {"gpt2": models.gpt2, "bloom": models.bloom}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a causal model and continue prompts; return exit status 1 if the loss does not fall
    clearly below the baseline.
    """
    made = parser(__doc__, steps=400)
    made.add_argument("--model", choices=tuple(MODELS), default="gpt2", help="default gpt2")
    made.add_argument(
        "--packed", type=int, metavar="N", help="tokens of a row of packed samples (GPT-2 only)"
    )
    made.add_argument(
        "--padding", choices=("right", "left"), default="right", help="side of it (default right)"
    )
    options = made.parse_args(arguments)
    if options.packed and options.model != "gpt2":
        made.error(
            "--packed: expected --model gpt2, got bloom, which takes no mask of packed rows; leave "
            "out one of them"
        )
    shards = build_shards(options, TALES, "gpt2", "--append-eos")
    batching = Pack(options.packed) if options.packed else OneByOne()
    dataset = ShardDataset(
        shards,
        "causal",
        batch_size=options.batch_size,
        seed=SEED,
        batching=batching,
        padding_side=options.padding,
        position_ids=options.padding == "left" and options.model == "gpt2",  # BLOOM takes none
    )
    model = MODELS[options.model](dataset.vocabulary)
    learned = train(
        model, dataset, options.folder, steps=options.steps, learning_rate=options.learning_rate
    )
    tokenizer = tokenizer_of(shards)
    prompts = [
        dataset.sample(i).fields["ids"].tolist()[:length] for i, length in enumerate((4, 8, 6))
    ]
    batch = left_pad(prompts, model.config.pad_token_id)
    for name, settings in (
        ("greedy", {"do_sample": False}),
        ("sampled", {"do_sample": True, "top_k": 20}),
    ):
        torch.manual_seed(SEED)
        found = model.generate(**batch, **settings, max_new_tokens=24)
        for prompt, row in zip(prompts, found, strict=True):
            new = row[batch["input_ids"].shape[1] :]
            tell(
                f"{name:8}{tokenizer.decode(prompt)} "
                f"|{tokenizer.decode(new, skip_special_tokens=True)}"
            )
    return finish(learned)


if __name__ == "__main__":
    raise SystemExit(main())
