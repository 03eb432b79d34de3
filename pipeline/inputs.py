"""Stored samples -> model inputs and labels: noised on the fly, with the noise that was baked in, or clean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from noisebeam.pipeline.source import Row, gather_batch, take
from noisebeam.transforms.noise import Recipe, apply_recipe
from noisebeam.transforms.samples import Array, Ragged
from noisebeam.transforms.vocabulary import Vocabulary


@dataclass(frozen=True)
class InputMaker:
    """Makes inputs and labels with `recipe`; without one it takes baked noise, or the token ids of clean shards."""

    vocabulary: Vocabulary
    recipe: Recipe | None
    baked: bool
    seed: int

    @property
    def pad_id(self) -> int:
        """What pads inputs; a tokenizer without a padding token has its end of text there, under a mask of 0."""
        known = (self.vocabulary.pad_id, self.vocabulary.eos_id)
        return next((token for token in known if token is not None), 0)

    def make(self, rows: Sequence[Row], epoch: int) -> tuple[list[Array], list[Array]]:
        """The inputs and the labels of these samples, an array each, noised as in this epoch."""
        if self.recipe is not None:
            batch = gather_batch(rows, len(self.vocabulary.prefix))
            noised = apply_recipe(self.recipe, batch, self.vocabulary, self.seed, epoch)
            return _views(noised["input_ids"]), _views(noised["labels"])
        if self.baked:
            return take(rows, "input_ids"), take(rows, "labels")
        ids = take(rows, "ids")
        return ids, ids


def _views(rows: Ragged) -> list[Array]:
    return [rows.values[start:end] for start, end in pairwise(rows.offsets.tolist())]
