"""One sample of a build, before and after its noise: what `noisebeam inspect` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from rich.console import Console

from noisebeam.pipeline.render import to_html, to_terminal
from noisebeam.pipeline.source import ShardSource
from noisebeam.transforms.manifest import Manifest, read_manifest
from noisebeam.transforms.noise import Recipe, apply_recipe, check_recipe, corruption_steps, load_recipe
from noisebeam.transforms.samples import Array, FlatBatch, Sample, batch_samples
from noisebeam.transforms.storage import join
from noisebeam.transforms.tokenizer import load_tokenizer
from noisebeam.transforms.vocabulary import Vocabulary

NEW = -1


class Run(NamedTuple):
    """Consecutive tokens of one origin: a sentence of the source (from 0), or NEW."""

    ids: list[int]
    origin: int
    text: str


@dataclass(frozen=True)
class Panel:
    """A sequence of tokens with a title; `origin` of each run tells its colour."""

    title: str
    runs: tuple[Run, ...]

    @property
    def ids(self) -> list[int]:
        """The ids, in order."""
        return [id_ for run in self.runs for id_ in run.ids]


def inspect(url: str, number: int, recipes: Sequence[str] = (), epoch: int = 0, html: str | None = None) -> None:
    """Show sample `number` of the build at `url` under each of `recipes`, or under that of the build.

    In the terminal, or as one HTML file without outside resources. ValueError if there is no such sample.
    """
    manifest = read_manifest(url)
    sample = ShardSource(url, manifest).sample(number)
    title = f"{url}: sample {number} of {manifest.samples}, window {sample.window} of document {sample.document!r}"
    panels = list(make_panels(url, manifest, sample, recipes, epoch))
    if html is not None:
        Path(html).write_text(to_html(title, panels), encoding="utf-8")
        print(f"wrote {html}")
    else:
        to_terminal(Console(highlight=False), title, panels)


def make_panels(url: str, manifest: Manifest, sample: Sample, recipes: Sequence[str], epoch: int) -> Iterator[Panel]:
    """The source, and for each recipe the tokens after each of its corruptions, and labels that are not the source."""
    vocabulary = Vocabulary.from_json(manifest.vocabulary)
    batch = batch_samples([sample], len(vocabulary.prefix))
    painter = _Painter(batch, url)
    yield painter.panel("source", batch.ids)
    for recipe in _recipes(manifest, recipes):
        check_recipe(recipe, vocabulary)
        for name, after in corruption_steps(recipe, batch, vocabulary, manifest.seed, epoch):
            yield painter.panel(f"{recipe.name}: after {name}" if name != recipe.name else name, after.ids)
        labels = apply_recipe(recipe, batch, vocabulary, manifest.seed, epoch)["labels"].values
        if not np.array_equal(labels, batch.ids):
            yield painter.panel(f"{recipe.name}: labels", labels)


def _recipes(manifest: Manifest, names: Sequence[str]) -> list[Recipe]:
    if names:
        return [load_recipe(name) for name in names]
    return [load_recipe(yaml.safe_load(manifest.recipe))] if manifest.recipe is not None else []


class _Painter:
    """Finds out where tokens come from, and spells them."""

    def __init__(self, batch: FlatBatch, url: str) -> None:
        self._tokenizer = load_tokenizer(join(url, "tokenizer")).tokenizer
        self._source: list[int] = batch.ids.tolist()
        sentences = np.searchsorted(batch.sentence_ends, np.arange(len(self._source)), side="right")
        self._sentences: list[int] = np.minimum(sentences, len(batch.sentence_ends) - 1).tolist()

    def panel(self, title: str, ids: Array) -> Panel:
        tokens: list[int] = ids.tolist()
        origins = [NEW if place is None else self._sentences[place] for place in align(self._source, tokens)]
        starts = [i for i in range(len(tokens)) if i == 0 or origins[i] != origins[i - 1]]
        runs = zip(starts, [*starts[1:], len(tokens)], strict=True)
        return Panel(title, tuple(self._run(tokens, start, end, origins[start]) for start, end in runs))

    def _run(self, tokens: list[int], start: int, end: int, origin: int) -> Run:
        before, text = self._spell(tokens[:start]), self._spell(tokens[:end])
        added = text[len(before) :] if text.startswith(before) else self._spell(tokens[start:end])
        return Run(tokens[start:end], origin, added)

    def _spell(self, ids: list[int]) -> str:
        """The text of `ids`; those that a loss does not look at are left out."""
        text: str = self._tokenizer.decode([id_ for id_ in ids if id_ >= 0], skip_special_tokens=False)
        return text


def align(before: Sequence[int], after: Sequence[int]) -> list[int | None]:
    """For each token of `after` its place in `before`, None for a new one. Moved stretches are found as well.

    >>> align([5, 6, 7, 8], [7, 8, 9, 5, 6])
    [2, 3, None, 0, 1]
    """
    places: list[int | None] = [None] * len(after)
    left, right = list(range(len(before))), list(range(len(after)))
    while left and right:
        matcher = SequenceMatcher(None, [before[i] for i in left], [after[i] for i in right], autojunk=False)
        blocks = [block for block in matcher.get_matching_blocks() if block.size]
        if not blocks:
            break
        for block in blocks:
            for offset in range(block.size):
                places[right[block.b + offset]] = left[block.a + offset]
        taken = {place for place in places if place is not None}
        left = [i for i in left if i not in taken]
        right = [i for i in right if places[i] is None]
    return places
