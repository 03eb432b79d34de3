r"""Recipes applied to flat batches: model inputs and labels.

    flat batch (clean ids) -> corruption -> ... -> corruption -> input_ids
                          \\-> labels: the clean ids, or those that the corruption makes

A batch is processed in parts of about `PART_TOKENS` tokens, which fit into the processor's cache
and bound the memory. Parts do not change the result: the draws of a sample depend on (seed, epoch,
sample key) alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from noisebeam.transforms.data.ragged import Ragged, offsets_of
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import samples_between
from noisebeam.transforms.noise.recipes import Recipe
from noisebeam.transforms.noise.registry import apply_corruption

PART_TOKENS = 1 << 16


def apply_recipe(
    recipe: Recipe, batch: FlatBatch, vocabulary: Vocabulary, seed: int, epoch: int
) -> dict[str, Ragged]:
    """Return the fields that a recipe makes of a flat batch, by name: `input_ids` and `labels`, a
    row for each sample.

    The objective `glm` adds `position_ids` and `block_position_ids`. Labels are, by objective: the
    ids of the batch, special ones included (denoising and causal; not copied); the ids at the
    chosen positions and -100 elsewhere (mlm); the sentinels with their spans and the end of text
    (spans); the ids after the prefix and -100 on it (prefix); the spans that were cut out, at the
    positions that predict them (glm). Ids keep their dtype unless it cannot hold a new id; labels
    with -100 are int32 or int64, positions int32.
    """
    if len(batch) < 2 or len(batch.ids) <= PART_TOKENS:
        return _apply(recipe, batch, vocabulary, seed, epoch)
    parts = [
        _apply(recipe, samples_between(batch, first, last), vocabulary, seed, epoch)
        for first, last in _part_bounds(batch)
    ]
    whole = dict.fromkeys(recipe.row.unchanged, Ragged(batch.ids, batch.offsets))
    return {
        name: whole.get(name) or _concatenate([part.pop(name) for part in parts])
        for name in tuple(parts[0])
    }


def _apply(
    recipe: Recipe, batch: FlatBatch, vocabulary: Vocabulary, seed: int, epoch: int
) -> dict[str, Ragged]:
    """Return the fields of `apply_recipe` for a whole flat batch at once, without dividing it into
    parts.
    """
    if recipe.row.labels_from_corruption:
        corruption: Any = recipe.corruptions[0]
        fields: dict[str, Ragged] = corruption.model_inputs(
            batch, vocabulary, seed=seed, epoch=epoch
        )
        return fields
    labels = Ragged(batch.ids, batch.offsets)
    for step in recipe.corruptions:
        batch = apply_corruption(step, batch, vocabulary, seed, epoch)
    return {"input_ids": Ragged(batch.ids, batch.offsets), "labels": labels}


def _part_bounds(batch: FlatBatch) -> Iterator[tuple[int, int]]:
    """Yield the first and the last sample (exclusive) of consecutive parts of about `PART_TOKENS`
    tokens.

    A part has at least one sample.
    """
    goals = np.arange(PART_TOKENS, batch.offsets[-1], PART_TOKENS)
    # (parts - 1,): number of the sample that begins at or after each goal
    bounds = np.unique(np.searchsorted(batch.offsets, goals).clip(1, len(batch)))
    return pairwise(dict.fromkeys([0, *bounds.tolist(), len(batch)]))


def _concatenate(parts: list[Ragged]) -> Ragged:
    """Return the rows of all ragged arrays, one array after another."""
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    return Ragged(np.concatenate([part.values for part in parts]), offsets_of(lengths))
