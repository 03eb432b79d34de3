"""Sequences of tokens as people read them: a row for each sentence, cut into runs of one kind,
spelled out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from noisebeam.pipeline.inspect.trace import GONE, NOWHERE, Kind, Token
from noisebeam.transforms.data.ragged import Array
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.corruptions.masking import IGNORED

_LED = (Kind.COVERED, Kind.LABEL)  # what a mask or a start token comes before
_CONTEXT = 16  # tokens: how a token is spelled depends on those before it


class Run(NamedTuple):
    """Consecutive tokens of one kind."""

    kind: Kind
    ids: tuple[int, ...]
    text: str


class Row(NamedTuple):
    """Consecutive runs of one sentence of the source, numbered from 0; -1 where it is not known."""

    sentence: int
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Panel:
    """A sequence with a title, and a note where there is something to say of it."""

    title: str
    rows: tuple[Row, ...]
    note: str = ""

    @property
    def ids(self) -> list[int]:
        """The ids of the sequence, without those that are gone."""
        return [
            id_ for row in self.rows for run in row.runs if run.kind not in GONE for id_ in run.ids
        ]

    @property
    def kinds(self) -> set[Kind]:
        """The kinds of token in it."""
        return {run.kind for row in self.rows for run in row.runs}


class Speller:
    """Makes panels of the tokens of a batch of one sample."""

    def __init__(self, tokenizer: Any, batch: FlatBatch) -> None:
        self._tokenizer = tokenizer
        sentences = np.searchsorted(batch.sentence_ends, np.arange(len(batch.ids)), side="right")
        self._sentences: list[int] = np.minimum(sentences, len(batch.sentence_ends) - 1).tolist()

    def panel(self, title: str, tokens: Sequence[Token], note: str = "") -> Panel:
        """The panel of these tokens."""
        return Panel(title, tuple(self._rows(tokens)), note)

    def _rows(self, tokens: Sequence[Token]) -> Iterator[Row]:
        before: list[int] = []
        placed = zip(self._sentences_of(tokens), tokens, strict=True)
        for sentence, group in groupby(placed, key=lambda pair: pair[0]):
            runs = []
            for kind, run in groupby((token for _, token in group), key=lambda token: token.kind):
                ids = [token.id for token in run]
                runs.append(Run(kind, tuple(ids), self._spell(kind, before, ids)))
                before += [] if kind in GONE else ids
            yield Row(sentence, tuple(runs))

    def _sentences_of(self, tokens: Sequence[Token]) -> list[int]:
        """The sentence of each token; one from nowhere goes with what it stands for, or with what
        is before it.
        """
        known = [
            NOWHERE
            if token.origin == NOWHERE or token.kind is Kind.SPECIAL
            else self._sentences[token.origin]
            for token in tokens
        ]
        last = next((sentence for sentence in known if sentence != NOWHERE), NOWHERE)
        for i, sentence in enumerate(known):
            follower = i + 1
            if sentence == NOWHERE and follower < len(tokens) and tokens[follower].kind in _LED:
                sentence = known[follower]
            last = known[i] = last if sentence == NOWHERE else sentence
        return known

    def _spell(self, kind: Kind, before: Sequence[int], ids: Sequence[int]) -> str:
        if kind is Kind.IGNORED:
            return f"−100 × {len(ids)}"
        context = [id_ for id_ in before[-_CONTEXT:] if id_ >= 0]
        start, text = self._decode(context), self._decode([*context, *ids])
        for known in (
            start,
            start.rstrip("\ufffd"),
        ):  # which is a character of which there is only the beginning
            if text.startswith(known):
                return text[len(known) :]
        return self._decode(ids)

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text.replace("\r\n", "\n").replace("\r", "\n")


def label_tokens(labels: Array, aligned: bool, vocabulary: Vocabulary) -> list[Token]:
    """Labels as tokens; where they are `aligned`, label i belongs to token i of the source."""
    return [
        Token(id_, i if aligned else NOWHERE, _kind_of_label(id_, vocabulary))
        for i, id_ in enumerate(labels.tolist())
    ]


def _kind_of_label(id_: int, vocabulary: Vocabulary) -> Kind:
    if id_ == IGNORED:
        return Kind.IGNORED
    if id_ in vocabulary.sentinel_ids:
        return Kind.SENTINEL
    return Kind.SPECIAL if vocabulary.is_special[id_] else Kind.LABEL
