"""Built-in segmenters obey the laws; a broken segmenter is told which law it breaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from noisebeam.testing import BrokenLawError, check_segmenter
from noisebeam.transforms.data.spans import Spans, spans_between
from noisebeam.transforms.segmenters.segmenters import SegmenterOptions, load_segmenter

Texts = Sequence[str]


@pytest.mark.parametrize("name", ["sentencex", "lines"])
def test_built_in_segmenters_obey_the_laws(name: str) -> None:
    check_segmenter(load_segmenter(SegmenterOptions(name=name)), examples=40)


class Broken:
    """A segmenter that applies a function to the texts."""

    def __init__(self, function: Callable[[Texts], list[Spans]]) -> None:
        self.function = function

    def segment(self, texts: Texts, langs: Sequence[str | None]) -> list[Spans]:
        """Return what the function returns."""
        return self.function(texts)


def whole(texts: Texts) -> list[Spans]:
    return [spans_between(text, []) for text in texts]


def failing(texts: Texts) -> list[Spans]:
    return [spans_between(text, [text.index("a")]) for text in texts]


def only_the_first(texts: Texts) -> list[Spans]:
    return whole(texts)[1:]


def beyond_the_end(texts: Texts) -> list[Spans]:
    return [np.array([[0, len(text) + 1]]) for text in texts]


def without_the_end(texts: Texts) -> list[Spans]:
    return [spans[:-1] for spans in whole(texts)]


def by_company(texts: Texts) -> list[Spans]:
    return [spans_between(text, [len(text) // 2] if len(texts) > 1 else []) for text in texts]


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (failing, "Broken: segment any text: expected no error, got ValueError: substring not"),
        (only_the_first, "Broken: one array of spans for each text: expected 1, got 0; input: ''"),
        (beyond_the_end, "Broken: spans in order and inside the text, no text lost: expected"),
        (without_the_end, "Broken: spans in order and inside the text, no text lost: expected"),
        (by_company, "Broken: the same spans for a text in any company and in every call"),
    ],
)
def test_a_broken_segmenter_is_told_its_law_in_one_line(
    function: Callable[[Texts], list[Spans]], text: str
) -> None:
    with pytest.raises(BrokenLawError) as caught:
        check_segmenter(Broken(function), examples=10)
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)


def test_whole_texts_obey_the_laws() -> None:
    check_segmenter(Broken(whole), examples=10)
