"""Laws that every segmenter must obey."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from noisebeam.testing.laws import no_error, require
from noisebeam.testing.texts import HARD_TEXTS, random_texts
from noisebeam.transforms.data.spans import Spans, find_broken_law
from noisebeam.transforms.segmenters.segmenters import Segmenter

_LANGS = ("en", "zh", "th", "ar", "xx")


def check_segmenter(segmenter: Segmenter, *, examples: int = 100, seed: int = 0) -> None:
    """Raise BrokenLawError if a segmenter breaks a law on `examples` random and some hard texts.

    The laws: one array of spans for each text; spans in order and inside the text, without white
    space around a sentence and with nothing but white space between sentences, also with a language
    code; the same spans for a text in any company, in any order, and in every call.

    >>> from noisebeam.transforms.segmenters.segmenters import LineSegmenter
    >>> check_segmenter(LineSegmenter(), examples=10)
    """
    name = type(segmenter).__name__
    texts = [*HARD_TEXTS, *random_texts(seed, examples)]
    alone = [_segment(segmenter, name, [text], [None])[0] for text in texts]
    for text, spans in zip(texts, alone, strict=True):
        law = "spans in order and inside the text, no text lost"
        _check_spans(name, law, text, spans, repr(text))
    _check_company(segmenter, name, texts, alone)
    for lang in _LANGS:
        for text in texts:
            spans = _segment(segmenter, name, [text], [lang])[0]
            law, given = "lawful spans for every language code", f"{text!r} with lang {lang!r}"
            _check_spans(name, law, text, spans, given)


def _check_spans(name: str, law: str, text: str, spans: Spans, given: str) -> None:
    """Raise BrokenLawError if the spans of a text are not those of sentences."""
    problem = find_broken_law(text, spans)
    require(problem is None, name, law, expected="lawful spans", got=problem, given=given)


def _check_company(
    segmenter: Segmenter, name: str, texts: Sequence[str], alone: Sequence[Spans]
) -> None:
    """Raise BrokenLawError if the spans of a text depend on the other texts of a call."""
    law = "the same spans for a text in any company and in every call"
    together = _segment(segmenter, name, texts, [None] * len(texts))
    backwards = _segment(segmenter, name, texts[::-1], [None] * len(texts))[::-1]
    for found in (together, backwards):
        for text, one, other in zip(texts, alone, found, strict=True):
            same = np.array_equal(one, other)
            require(same, name, law, expected=one.tolist(), got=other.tolist(), given=repr(text))
    none = _segment(segmenter, name, [], [])
    require(not none, name, "no spans for no texts", expected=[], got=none, given="no text")


def _segment(
    segmenter: Segmenter, name: str, texts: Sequence[str], langs: Sequence[str | None]
) -> list[Spans]:
    """Return the spans of each text; raise BrokenLawError for an exception, or if their number is
    not that of the texts.
    """
    given = f"{len(texts)} texts" if len(texts) != 1 else repr(texts[0])
    with no_error(name, "segment any text", given):
        spans = segmenter.segment(texts, langs)
        law = "one array of spans for each text"
        require(
            len(spans) == len(texts), name, law, expected=len(texts), got=len(spans), given=given
        )
    return spans
