"""Stored samples -> model inputs and labels: noised on the fly, with baked noise, or clean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from noisebeam.transforms.data.ragged import Ragged
from noisebeam.transforms.data.samples import flat_batch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.apply import apply_recipe
from noisebeam.transforms.noise.recipes import Recipe
from noisebeam.transforms.shards.format import KEYS

# what an objective adds to a sample
_MADE = (
    "input_ids",
    "labels",
    "position_ids",
    "block_position_ids",
)


@dataclass(frozen=True)
class InputMaker:
    """Maker of `input_ids` and `labels` from the stored fields of samples.

    With a `recipe`, it noises clean samples. Without one, it returns the stored inputs and labels
    if noise was `baked` in at build time, else the clean ids as both. `seed` seeds the noise.
    """

    vocabulary: Vocabulary
    recipe: Recipe | None
    baked: bool
    seed: int

    def needs(self, fields: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the stored fields that `make` needs, chosen from `fields`, the fields
        that the shards have.
        """
        if self.recipe is not None:
            return (
                KEYS,
                *dict.fromkeys(("ids", "sentence_lengths", *(n for n in fields if n not in _MADE))),
            )
        return tuple(name for name in _MADE if name in fields) if self.baked else ("ids",)

    def make(self, columns: Mapping[str, Ragged], epoch: int) -> dict[str, Ragged]:
        """Return `input_ids`, `labels` and other fields of the objective, a row for each sample.

        `columns` has the stored fields that `needs` names. `epoch` selects the noise: another epoch
        has other noise.
        """
        if self.recipe is not None:
            batch = flat_batch(columns, columns[KEYS].values, len(self.vocabulary.prefix))
            return apply_recipe(self.recipe, batch, self.vocabulary, self.seed, epoch)
        if self.baked:
            return dict(columns)
        return {"input_ids": columns["ids"], "labels": columns["ids"]}
