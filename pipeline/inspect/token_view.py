"""Tokens prepared for display: a row for each sentence, divided into runs of tokens with the same
change.

A change is what noise did to a token (kept, masked, deleted, ...; see `Change`). A panel is one
titled sequence of tokens in the output of `noisebeam inspect`.
"""

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
    """Consecutive tokens that noise changed in the same way: the change, their ids and their
    text.
    """

    change: Change
    ids: tuple[int, ...]
    text: str


class Row(NamedTuple):
    """Consecutive tokens of one sentence, as runs of tokens with the same change.

    `sentence` is the number of the sentence in the source, from 0, or -1 if it is unknown.
    """

    sentence: int
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Panel:
    """Titled sequence of tokens to display, with rows of tokens, or with a note in their place."""

    title: str
    rows: tuple[Row, ...]
    note: str = ""

    @property
    def ids(self) -> list[int]:
        """Token ids of this sequence, without tokens that noise removed."""
        return [
            id_
            for row in self.rows
            for run in row.runs
            if run.change not in GONE
            for id_ in run.ids
        ]

    @property
    def changes(self) -> set[Change]:
        """The kinds of changes that the tokens of this sequence have."""
        return {run.change for row in self.rows for run in row.runs}


@dataclass(frozen=True)
class RecipeView:
    """One sample under one recipe, ready to display: tokens after each corruption, labels, and
    drawings of the attention masks.
    """

    recipe: Recipe
    panels: tuple[Panel, ...]
    masks: tuple[MaskPicture, ...]


@dataclass(frozen=True)
class InspectView:
    """Everything that `noisebeam inspect` shows of one sample: title, facts by name, source tokens,
    and the sample under each recipe.
    """

    title: str
    facts: dict[str, str]
    source: Panel
    noised: tuple[RecipeView, ...]


class Speller:
    """Turns tokens of one sample into panels of text, with the tokenizer of the build.

    `batch` is a flat batch that has this sample alone.
    """

    def __init__(self, tokenizer: Any, batch: FlatBatch) -> None:
        self._tokenizer = tokenizer
        sentences = np.searchsorted(batch.sentence_ends, np.arange(len(batch.ids)), side="right")
        self._sentences: list[int] = np.minimum(sentences, len(batch.sentence_ends) - 1).tolist()

    def panel(self, title: str, tokens: Sequence[Token], note: str = "") -> Panel:
        """Return a panel (titled sequence of tokens to display) with the text of the tokens."""
        return Panel(title, tuple(self._rows(tokens)), note)

    def _rows(self, tokens: Sequence[Token]) -> Iterator[Row]:
        """Yield a row for each group of consecutive tokens of one sentence."""
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
        """Return the number of the sentence in the source for each token.

        A token that noise added belongs to the sentence of the tokens that it replaces, or else of
        the token before it.
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
        """Return the text of `ids`, as the tokenizer decodes them after the ids `before`.

        `change` is what noise did to these tokens; ignored labels are shown as -100 and their
        number.
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
        """Return the text of token ids, special tokens included, with line ends as `\n`."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text.replace("\r\n", "\n").replace("\r", "\n")


def label_tokens(labels: Array, aligned: bool, vocabulary: Vocabulary) -> list[Token]:
    """Return labels as tokens to display.

    If `aligned` is True, label i belongs to token i of the source; otherwise no label belongs to a
    token.
    """
    return [
        Token(id_, i if aligned else NEW, _kind_of_label(id_, vocabulary))
        for i, id_ in enumerate(labels.tolist())
    ]


def _kind_of_label(id_: int, vocabulary: Vocabulary) -> Change:
    """Return how a label is displayed: ignored, sentinel, special token, or label."""
    if id_ == IGNORED:
        return Change.IGNORED
    if id_ in vocabulary.sentinel_ids:
        return Change.SENTINEL
    return Change.SPECIAL if vocabulary.is_special[id_] else Change.LABEL
