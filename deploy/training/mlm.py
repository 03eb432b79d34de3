"""Masked language modelling with BERT: the model predicts 15 % of the tokens, most of them masked.

    python -m noisebeam.deploy.training.mlm [--lang zh] [--whole-words]
    torchrun --nproc-per-node 2 -m noisebeam.deploy.training.mlm

At the end the fill-mask pipeline of `transformers` fills a token of a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from transformers import pipeline

from noisebeam.deploy.training import models
from noisebeam.deploy.training.corpora import MANUAL, TALES
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

# Of each text only one token in seven is learnt in an epoch: fewer texts, so that a short run meets
# each token often.
CORPORA = {
    "en": (replace(TALES, characters=8_000), "bert-base-uncased"),
    "zh": (MANUAL, "bert-base-chinese"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a BERT and fill a mask; return exit status 1 if the loss does not fall clearly below
    the baseline.
    """
    made = parser(__doc__, steps=500, batch_size=8)
    made.add_argument(
        "--lang", choices=tuple(CORPORA), default="en", help="English or Chinese (default en)"
    )
    made.add_argument("--whole-words", action="store_true", help="mask whole words")
    options = made.parse_args(arguments)
    shards = build_shards(options, *CORPORA[options.lang])
    recipe = "bert-whole-words" if options.whole_words else "bert"
    dataset = ShardDataset(shards, recipe, batch_size=options.batch_size, seed=SEED)
    model = models.bert(dataset.vocabulary)
    learned = train(
        model, dataset, options.folder, steps=options.steps, learning_rate=options.learning_rate
    )
    tokenizer = tokenizer_of(shards)
    fill = pipeline("fill-mask", model=model, tokenizer=tokenizer, top_k=5, device="cpu")
    ids = dataset.sample(0).fields["ids"].tolist()[1:-1]
    masked = len(ids) // 2
    original, ids[masked] = ids[masked], tokenizer.mask_token_id
    tell(f"\n{tokenizer.decode(ids)}\nwas: {tokenizer.decode([original])}")
    for guess in fill(tokenizer.decode(ids)):
        tell(f"{guess['score']:6.3f} {guess['token_str']}")
    return finish(learned)


if __name__ == "__main__":
    raise SystemExit(main())
