"""Recipes applied to flat batches: model inputs and labels.

A batch is worked on in parts of about `PART_TOKENS` tokens, which stay in the processor's cache and
bound the memory. The result does not depend on them, for the draws of a sample depend on nothing
but (seed, epoch, sample key).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import cast

import numpy as np

from noisebeam.transforms.data.ragged import Ragged, offsets_of
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import samples_between, without_sentences
from noisebeam.transforms.noise.corruptions.blank_infilling import BlankInfilling, infill_blanks
from noisebeam.transforms.noise.corruptions.deletion import delete_tokens
from noisebeam.transforms.noise.corruptions.insertion import insert_tokens
from noisebeam.transforms.noise.corruptions.masking import (
    TokenMasking,
    choose_masking,
    mask_tokens,
    mlm_labels,
    replace_tokens,
)
from noisebeam.transforms.noise.corruptions.permutation import permute_sentences
from noisebeam.transforms.noise.corruptions.prefix_split import PrefixSplit, split_prefixes
from noisebeam.transforms.noise.corruptions.rotation import rotate_documents
from noisebeam.transforms.noise.corruptions.span_corruption import SpanCorruption, corrupt_spans
from noisebeam.transforms.noise.corruptions.text_infilling import infill_text
from noisebeam.transforms.noise.plugins import CorruptionPlugin, apply_plugin
from noisebeam.transforms.noise.recipes import Corruption, Recipe

PART_TOKENS = 1 << 16

_KERNELS: Mapping[str, Callable[..., FlatBatch]] = {
    "token-masking": mask_tokens,
    "token-deletion": delete_tokens,
    "token-insertion": insert_tokens,
    "text-infilling": infill_text,
    "sentence-permutation": permute_sentences,
    "document-rotation": rotate_documents,
}

_UNCHANGED = {"denoising": ("labels",), "causal": ("input_ids", "labels"), "prefix": ("input_ids",)}


def apply_recipe(
    recipe: Recipe, batch: FlatBatch, vocabulary: Vocabulary, seed: int, epoch: int
) -> dict[str, Ragged]:
    """`input_ids` and `labels`, and for `glm` also `position_ids` and `block_position_ids`: a row
    for each sample.

    Labels are, by objective: the ids of the batch, special ones included (denoising and causal; not
    copied); the ids at the chosen positions and -100 elsewhere (mlm); the sentinels with their
    spans, and the end-of-text token (spans); the ids after the prefix and -100 on it (prefix); the
    spans that were cut out, where they are predicted (glm). Ids keep their dtype unless a new one
    does not fit; labels with -100 are int32 or int64, positions int32.
    """
    if len(batch) < 2 or len(batch.ids) <= PART_TOKENS:
        return _apply(recipe, batch, vocabulary, seed, epoch)
    parts = [
        _apply(recipe, samples_between(batch, first, last), vocabulary, seed, epoch)
        for first, last in _part_bounds(batch)
    ]
    whole = dict.fromkeys(_UNCHANGED.get(recipe.objective, ()), Ragged(batch.ids, batch.offsets))
    return {
        name: whole.get(name) or _joined([part.pop(name) for part in parts])
        for name in tuple(parts[0])
    }


def corruption_steps(
    recipe: Recipe, batch: FlatBatch, vocabulary: Vocabulary, seed: int, epoch: int
) -> Iterator[tuple[str, FlatBatch]]:
    """The name of each corruption of the recipe, and the batch after it."""
    for corruption in recipe.corruptions:
        batch = apply_corruption(corruption, batch, vocabulary, seed, epoch)
        yield corruption.name, batch


def apply_corruption(
    corruption: Corruption, batch: FlatBatch, vocabulary: Vocabulary, seed: int, epoch: int
) -> FlatBatch:
    """The batch after one corruption."""
    if isinstance(corruption, SpanCorruption):
        return corrupt_spans(batch, vocabulary, corruption, seed=seed, epoch=epoch)[0]
    if isinstance(corruption, BlankInfilling):
        return without_sentences(
            batch,
            *infill_blanks(batch, vocabulary, corruption, seed=seed, epoch=epoch)["input_ids"],
        )
    if isinstance(corruption, PrefixSplit):
        return batch
    if corruption.name not in _KERNELS:
        return apply_plugin(
            cast(CorruptionPlugin, corruption), batch, vocabulary, seed=seed, epoch=epoch
        )
    return _KERNELS[corruption.name](batch, vocabulary, corruption, seed=seed, epoch=epoch)


def _apply(
    recipe: Recipe, batch: FlatBatch, vocabulary: Vocabulary, seed: int, epoch: int
) -> dict[str, Ragged]:
    labels = Ragged(batch.ids, batch.offsets)
    step = recipe.corruptions[0] if recipe.corruptions else None
    if isinstance(step, BlankInfilling):
        return infill_blanks(batch, vocabulary, step, seed=seed, epoch=epoch)
    if isinstance(step, PrefixSplit):
        labels = split_prefixes(batch, vocabulary, step, seed=seed, epoch=epoch)
    elif isinstance(step, SpanCorruption):
        batch, labels = corrupt_spans(batch, vocabulary, step, seed=seed, epoch=epoch)
    elif isinstance(step, TokenMasking) and recipe.objective == "mlm":
        replacements = choose_masking(batch, vocabulary, step, seed, epoch)
        labels = mlm_labels(batch, replacements.positions)
        batch = replace_tokens(batch, replacements)
    else:
        for corruption in recipe.corruptions:
            batch = apply_corruption(corruption, batch, vocabulary, seed, epoch)
    return {"input_ids": Ragged(batch.ids, batch.offsets), "labels": labels}


def _part_bounds(batch: FlatBatch) -> Iterator[tuple[int, int]]:
    """First and last sample of parts of about `PART_TOKENS` tokens, a sample at least."""
    goals = np.arange(PART_TOKENS, batch.offsets[-1], PART_TOKENS)
    bounds = np.unique(np.searchsorted(batch.offsets, goals).clip(1, len(batch)))
    return pairwise(dict.fromkeys([0, *bounds.tolist(), len(batch)]))


def _joined(parts: list[Ragged]) -> Ragged:
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    return Ragged(np.concatenate([part.values for part in parts]), offsets_of(lengths))
