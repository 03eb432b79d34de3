from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.data.spans import find_broken_law, piecewise_ends, spans_between


@given(st.text(), st.data())
def test_cuts_anywhere_give_lawful_spans(text: str, data: st.DataObject) -> None:
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    spans = spans_between(text, ends)
    assert find_broken_law(text, spans) is None
    assert spans.dtype == np.int64
    assert len(spans) <= len(set(ends)) + 1
    # a cut between two characters that are no white space shows, but not before a combining mark
    for end in ends:
        if 0 < end < len(text) and not text[end - 1].isspace() and text[end].isalnum():
            assert end in spans[:, 0].tolist()


@pytest.mark.parametrize("text", ["", " ", "\n\t\u3000\u00a0"])
def test_blank_texts_have_no_spans(text: str) -> None:
    assert spans_between(text, [len(text)]).shape == (0, 2)
    assert find_broken_law(text, spans_between(text, [])) is None


@pytest.mark.parametrize(
    ("spans", "problem"),
    [
        (
            [(0, 3), (4, 8)],
            "expected an integer array of shape (sentences, 2), got list of shape None",
        ),
        (
            np.zeros((2, 2)),
            "expected an integer array of shape (sentences, 2), got float64 of shape (2, 2)",
        ),
        (
            np.array([0, 8]),
            "expected an integer array of shape (sentences, 2), got int64 of shape (2,)",
        ),
        (np.array([[4, 8], [0, 3]]), "expected ascending spans within 0 and 8, got 0 after 8"),
        (np.array([[0, 5], [4, 8]]), "expected ascending spans within 0 and 8, got 4 after 5"),
        (np.array([[0, 9]]), "expected ascending spans within 0 and 8, got 8 after 9"),
        (np.array([[-1, 8]]), "expected ascending spans within 0 and 8, got -1 after 0"),
        (
            np.array([[0, 3], [3, 3], [4, 8]]),
            "expected sentences without white space around them, got '' at 3",
        ),
        (
            np.array([[0, 4], [4, 8]]),
            "expected sentences without white space around them, got 'Hi. ' at 0",
        ),
        (
            np.array([[0, 3], [3, 8]]),
            "expected sentences without white space around them, got ' Yes.' at 3",
        ),
        (np.array([[0, 3]]), "expected only white space between sentences, got ' Yes.' at 3"),
        (np.array([[4, 8]]), "expected only white space between sentences, got 'Hi. ' at 0"),
        (np.array([[0, 2], [4, 8]]), "expected only white space between sentences, got '. ' at 2"),
        (np.zeros((0, 2), int), "expected only white space between sentences, got 'Hi. Yes.' at 0"),
    ],
)
def test_each_broken_law_is_told(spans: Any, problem: str) -> None:
    assert find_broken_law("Hi. Yes.", spans) == problem


def ends_of_stops(text: str) -> list[int]:
    """Rules for which a sentence's end depends on nothing before the sentence."""
    return [match.end() for match in re.finditer(r"\.|\n\r?\n|$", text)]


words = st.sampled_from(["a", "bc", " ", "\n", "\n\n", "\n\r\n", ".", "\u3000", "wordwordword"])
texts = st.lists(words, max_size=60).map("".join)


@given(texts, st.integers(10, 80))
def test_pieces_give_the_sentences_of_the_whole(text: str, limit: int) -> None:
    whole = spans_between(text, ends_of_stops(text))
    assert (
        spans_between(text, piecewise_ends(text, ends_of_stops, limit)).tolist() == whole.tolist()
    )


@given(texts, st.integers(10, 40))
def test_no_piece_is_longer_than_the_limit_and_each_is_half_of_it(text: str, limit: int) -> None:
    seen: list[int] = []

    def find_ends(piece: str) -> list[int]:
        seen.append(len(piece))
        return ends_of_stops(piece)

    ends = piecewise_ends(text, find_ends, limit)
    assert ends == sorted(ends)
    assert max(seen) <= limit
    assert len(seen) <= 1 + len(text) // max(1, limit // 2)
