"""Views of tokens for people: a row for each sentence, divided into runs with the same change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from noisebeam.pipeline.inspect.mask_pictures import MaskPicture
from noisebeam.pipeline.inspect.trace import GONE, Token
from noisebeam.transforms.data.ragged import Array
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.corruption import NEW, Change
from noisebeam.transforms.noise.labels import IGNORED
from noisebeam.transforms.noise.recipes import Recipe

_LED = (Change.COVERED, Change.LABEL)  # what a mask or a start token comes before
_CONTEXT = 16  # tokens: how a token is spelled depends on those before it


class Run(NamedTuple):
    """Consecutive tokens with the same change."""

    change: Change
    ids: tuple[int, ...]
    text: str


class Row(NamedTuple):
    """Consecutive runs of one sentence of the source, numbered from 0; -1 if it is unknown."""

    sentence: int
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Panel:
    """A sequence of tokens with a title, and perhaps a note."""

    title: str
    rows: tuple[Row, ...]
    note: str = ""

    @property
    def ids(self) -> list[int]:
        """Ids of the sequence, without removed tokens."""
        return [
            id_
            for row in self.rows
            for run in row.runs
            if run.change not in GONE
            for id_ in run.ids
        ]

    @property
    def changes(self) -> set[Change]:
        """Changes of the tokens of the panel."""
        return {run.change for row in self.rows for run in row.runs}


@dataclass(frozen=True)
class RecipeView:
    """One sample under one recipe: tokens after each corruption, labels and attention masks."""

    recipe: Recipe
    panels: tuple[Panel, ...]
    masks: tuple[MaskPicture, ...]


@dataclass(frozen=True)
class InspectView:
    """Everything that `noisebeam inspect` shows of a sample."""

    title: str
    facts: dict[str, str]
    source: Panel
    noised: tuple[RecipeView, ...]


class Speller:
    """Maker of panels for the tokens of a batch of one sample."""

    def __init__(self, tokenizer: Any, batch: FlatBatch) -> None:
        self._tokenizer = tokenizer
        sentences = np.searchsorted(batch.sentence_ends, np.arange(len(batch.ids)), side="right")
        self._sentences: list[int] = np.minimum(sentences, len(batch.sentence_ends) - 1).tolist()

    def panel(self, title: str, tokens: Sequence[Token], note: str = "") -> Panel:
        """Return the panel of some tokens."""
        return Panel(title, tuple(self._rows(tokens)), note)

    def _rows(self, tokens: Sequence[Token]) -> Iterator[Row]:
        """Yield a row for each run of tokens of one sentence."""
        before: list[int] = []
        placed = zip(self._sentences_of(tokens), tokens, strict=True)
        for sentence, group in groupby(placed, key=lambda pair: pair[0]):
            runs = []
            for change, run in groupby(
                (token for _, token in group), key=lambda token: token.change
            ):
                ids = [token.id for token in run]
                runs.append(Run(change, tuple(ids), self._spell(change, before, ids)))
                before += [] if change in GONE else ids
            yield Row(sentence, tuple(runs))

    def _sentences_of(self, tokens: Sequence[Token]) -> list[int]:
        """Return the sentence of each token.

        A new token belongs to the sentence of the tokens that it replaces, or else of the token
        before it.
        """
        known = [
            NEW
            if token.origin == NEW or token.change is Change.SPECIAL
            else self._sentences[token.origin]
            for token in tokens
        ]
        last = next((sentence for sentence in known if sentence != NEW), NEW)
        for i, sentence in enumerate(known):
            follower = i + 1
            if sentence == NEW and follower < len(tokens) and tokens[follower].change in _LED:
                sentence = known[follower]
            last = known[i] = last if sentence == NEW else sentence
        return known

    def _spell(self, change: Change, before: Sequence[int], ids: Sequence[int]) -> str:
        """Return some tokens as the text that they are after other tokens; -100 and their number if
        ignored.
        """
        if change is Change.IGNORED:
            return f"−100 × {len(ids)}"
        context = [id_ for id_ in before[-_CONTEXT:] if id_ >= 0]
        start, text = self._decode(context), self._decode([*context, *ids])
        # which is a character of which there is only the beginning
        for known in (
            start,
            start.rstrip("\ufffd"),
        ):
            if text.startswith(known):
                return text[len(known) :]
        return self._decode(ids)

    def _decode(self, ids: Sequence[int]) -> str:
        """Return the text of some ids, special tokens included."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text.replace("\r\n", "\n").replace("\r", "\n")


def label_tokens(labels: Array, aligned: bool, vocabulary: Vocabulary) -> list[Token]:
    """Return labels as tokens; if they are `aligned`, label i belongs to token i of the source."""
    return [
        Token(id_, i if aligned else NEW, _kind_of_label(id_, vocabulary))
        for i, id_ in enumerate(labels.tolist())
    ]


def _kind_of_label(id_: int, vocabulary: Vocabulary) -> Change:
    if id_ == IGNORED:
        return Change.IGNORED
    if id_ in vocabulary.sentinel_ids:
        return Change.SENTINEL
    return Change.SPECIAL if vocabulary.is_special[id_] else Change.LABEL
