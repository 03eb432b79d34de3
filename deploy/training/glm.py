"""Blank infilling as in GLM: spans are cut out, and the model fills them in random order.

    python -m noisebeam.deploy.training.glm
    torchrun --nproc-per-node 2 -m noisebeam.deploy.training.glm

At the end the model fills the blanks of samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from noisebeam.deploy.training import models
from noisebeam.deploy.training.corpora import TALES
from noisebeam.deploy.training.glm_model import GlmModel, fill_blanks
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
from noisebeam.transforms.noise.corruptions.blank_infilling import BlankInfilling


def parts_a(dataset: ShardDataset) -> Iterator[tuple[list[int], list[int]]]:
    """Yield part A (text with blanks) and the original ids of each sample, with the noise of an
    epoch that training does not use.
    """
    dataset.set_epoch(10**6)
    view = dataset.view()
    for i in range(len(view)):
        example = view[i]
        part_a = example["input_ids"][example["block_position_ids"] == 0]
        yield part_a.tolist(), dataset.sample(i).fields["ids"].tolist()


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, fill blanks; exit status 1 if the loss did not fall clearly below the baseline."""
    options = parser(__doc__, steps=600, batch_size=8).parse_args(arguments)
    shards = build_shards(options, replace(TALES, characters=8_000), "bert-base-uncased")
    dataset = ShardDataset(shards, "glm", batch_size=options.batch_size, seed=SEED)
    vocabulary = dataset.vocabulary
    model = models.seeded(
        lambda: GlmModel(
            vocabulary.size, width=models.WIDTH, layers=models.LAYERS, start=models.START
        )
    )
    learned = train(
        model, dataset, options.folder, steps=options.steps, learning_rate=options.learning_rate
    )
    tokenizer = tokenizer_of(shards)
    mask_id, start_id, end_id = BlankInfilling().token_ids(vocabulary)
    for part_a, ids in islice(parts_a(dataset), 3):
        spans = fill_blanks(model, part_a, mask_id=mask_id, start_id=start_id, end_id=end_id)
        tell(f"\noriginal {tokenizer.decode(ids)}\nblanks   {tokenizer.decode(part_a)}")
        tell(f"filled   {' | '.join(map(tokenizer.decode, spans))}")
    return finish(learned)


if __name__ == "__main__":
    raise SystemExit(main())
