"""`noisebeam inspect`: one sample of a build before and after its noise, with labels and masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Console

from noisebeam.pipeline.epoch.shard_source import ShardSource
from noisebeam.pipeline.inspect import mask_pictures as draw
from noisebeam.pipeline.inspect.html import to_html
from noisebeam.pipeline.inspect.html_page import check_page_file, write_page
from noisebeam.pipeline.inspect.mask_pictures import MaskPicture
from noisebeam.pipeline.inspect.terminal import to_terminal
from noisebeam.pipeline.inspect.token_view import (
    InspectView,
    Panel,
    RecipeView,
    Speller,
    label_tokens,
)
from noisebeam.pipeline.inspect.trace import source_tokens, trace_recipe
from noisebeam.transforms.data.ragged import Array
from noisebeam.transforms.data.samples import FlatBatch, batch_samples
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.io.safe_yaml import load_yaml
from noisebeam.transforms.io.storage import join
from noisebeam.transforms.noise.apply import apply_recipe
from noisebeam.transforms.noise.labels import IGNORED
from noisebeam.transforms.noise.objectives import Attention, Objective
from noisebeam.transforms.noise.recipes import Recipe, check_recipe, load_recipe
from noisebeam.transforms.output.manifest import Manifest, read_manifest
from noisebeam.transforms.tokenization.tokenizer import load_tokenizer


def inspect(
    url: str, number: int, recipes: Sequence[str] = (), epoch: int = 0, html: str | None = None
) -> None:
    """Show sample `number` of the build at `url`, before and after its noise, in the terminal or as
    an HTML file.

    `recipes` name the noise to show; by default it is that of the build. `html` is the path of the
    HTML file, which loads no other file; None prints to the terminal. Raises ValueError for bad
    recipes and IndexError if there is no such sample.
    """
    if html is not None:
        check_page_file(html)
    view = make_view(url, number, recipes, epoch)
    if html is not None:
        write_page(html, to_html(view))
    else:
        to_terminal(Console(highlight=False), view)


def make_view(url: str, number: int, recipes: Sequence[str] = (), epoch: int = 0) -> InspectView:
    """Return what `inspect` shows of sample `number` of the build at `url`."""
    manifest = read_manifest(url)
    source = ShardSource(url, manifest)
    sample = source.sample(number)
    vocabulary = Vocabulary.from_json(manifest.vocabulary)
    batch = batch_samples([sample], len(vocabulary.prefix))
    speller = Speller(load_tokenizer(join(url, "tokenizer")).tokenizer, batch)
    neighbours = _lengths_from(source, number)
    noised = (
        _noised(recipe, batch, vocabulary, manifest, epoch, speller, neighbours)
        for recipe in _recipes(manifest, recipes)
    )
    return InspectView(
        title=(
            f"{url}: sample {number} of {manifest.samples}, window {sample.window} of "
            f"document {sample.document!r}"
        ),
        facts={
            "tokens": f"{len(batch.ids):,} of {manifest.max_tokens:,} at most",
            "sentences": f"{len(batch.sentence_ends):,}",
            "tokenizer": f"{manifest.tokenizer.get('name', '?')}, {vocabulary.size:,} ids",
            "noise": f"seed {manifest.seed}, epoch {epoch}",
        },
        source=speller.panel("source", source_tokens(batch, vocabulary)),
        noised=tuple(noised),
    )


def _recipes(manifest: Manifest, names: Sequence[str]) -> list[Recipe]:
    """Return the recipes with these names, or that of the build if there are no names; an empty
    list for a build without noise.
    """
    if names:
        return [load_recipe(name) for name in names]
    if manifest.recipe is None:
        return []
    try:
        return [load_recipe(load_yaml(manifest.recipe))]
    except ValueError as error:
        packages = ", ".join(sorted(set(manifest.plugins.values())))
        raise ValueError(
            f"{error}{packages and f'; this build used {packages}: install what is missing'}"
        ) from error


def _lengths_from(source: ShardSource, number: int) -> list[int]:
    """Return the token counts of the samples right after sample `number` that fit into one packed
    row together with it.

    A packed row has as many tokens as the longest sample may have.
    """
    shard, at = source.locate(number)
    lengths = (
        source.reader(shard).index.lengths[at : at + source.manifest.max_tokens].astype(np.int64)
    )
    fitting = int(np.searchsorted(lengths.cumsum(), source.manifest.max_tokens, side="right"))
    return list(map(int, lengths[1:fitting]))


def _noised(
    recipe: Recipe,
    batch: FlatBatch,
    vocabulary: Vocabulary,
    manifest: Manifest,
    epoch: int,
    speller: Speller,
    neighbours: Sequence[int],
) -> RecipeView:
    """Return sample and masks under one recipe, ready to display.

    `batch` has the one clean sample; `neighbours` are the token counts of samples that are packed
    into a row with it.
    """
    check_recipe(recipe, vocabulary)
    rows = apply_recipe(recipe, batch, vocabulary, manifest.seed, epoch)
    labels = rows["labels"].values
    panels = [
        speller.panel(
            recipe.name if recipe.name == name else f"{recipe.name}: after {name}", tokens
        )
        for name, tokens in trace_recipe(recipe, batch, vocabulary, manifest.seed, epoch)
    ]
    if np.array_equal(labels, batch.ids):
        panels.append(
            Panel(f"{recipe.name}: labels", (), f"the source, all {len(labels):,} tokens of it")
        )
    else:
        shown = label_tokens(labels, len(labels) == len(batch.ids), vocabulary)
        panels.append(speller.panel(f"{recipe.name}: labels", shown))
    lengths = len(rows["input_ids"].values), len(labels)
    masks = mask_pictures(
        recipe.row, *lengths, manifest.max_tokens, neighbours, given=_given(labels)
    )
    return RecipeView(recipe, tuple(panels), tuple(masks))


def _given(labels: Array) -> int:
    """Return the number of labels before the first one that is not ignored (-100)."""
    return int(np.argmax(np.append(labels, 0) != IGNORED))


def mask_pictures(
    objective: Objective,
    inputs: int,
    labels: int,
    width: int,
    neighbours: Sequence[int],
    *,
    given: int = 0,
) -> Iterator[MaskPicture]:
    """Yield drawings of the attention masks of a sample with `inputs` input tokens and `labels`
    labels.

    The masks are padded to `width` tokens, and packed with other samples of the lengths
    `neighbours`. `given` is the length of the prefix, or of part A of GLM.
    """
    width = max(inputs, width)
    if objective.attention is Attention.PREFIX:
        yield MaskPicture(
            f"{objective.title}, padded", draw.padded(draw.prefix(given, inputs), width, width)
        )
        return
    if objective.attention is Attention.ENCODER_DECODER:
        target = max(labels, width)
        yield MaskPicture("encoder", draw.padded(draw.full(inputs, inputs), width, width))
        yield MaskPicture("decoder: causal", draw.padded(draw.causal(labels), target, target))
        yield MaskPicture(
            "decoder to encoder", draw.padded(draw.full(labels, inputs), target, width)
        )
        return
    square = draw.causal if objective.attention is Attention.CAUSAL else draw.square
    yield MaskPicture(f"{objective.title}, padded", draw.padded(square(inputs), width, width))
    if neighbours:
        whole = [square(length) for length in (inputs, *neighbours)]
        yield MaskPicture(
            f"packed with {len(neighbours)} more", draw.padded(draw.packed(whole), width, width)
        )
