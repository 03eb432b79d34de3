"""Sentences of English text: by rules where a sentence end is plain, by Stanza's model elsewhere.

    text -> divided at plain ends -> pieces -> windows around doubtful ends -> Stanza -> spans

A paragraph is divided at plain ends (after a small word with a full stop, before a capital). In the
pieces between, Stanza reads the positions at which a sentence could end, in windows with a few
words on either side. The rules come from counts over all documents of the English Web Treebank's
development part and over books; rules and contexts were chosen on every second document of the
treebank, so neither its other half nor the books are unseen text. The spans of a text depend on the
text alone.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from noisebeam.transforms.data.spans import Spans, spans_between
from noisebeam.transforms.segmenters.stanza_segmenter import (
    Paragraph,
    encode_row,
    read_paragraph,
    sentence_ends,
    split_paragraphs,
)

if TYPE_CHECKING:
    from noisebeam.transforms.segmenters.stanza_model import TokenizerModel

# Words that seldom have a capital within a sentence.
_STARTERS = (
    "A|An|The|This|That|These|Those|It|Its|He|She|They|We|You|My|Your|His|Her|Our|Their|There|Here|What|When|Where|Why|"
    "Who|How|Which|If|And|But|Or|So|As|At|In|On|For|From|To|After|Before|Not|No|Yes|Are|Is|Was|Were|Do|Does|Did|Can|"
    "Could|Would|Will|Should|Have|Has|Had|Also|Just|Let|Lets|Get|Please|Thanks|Thank|Hi|Hello|Dear|Best"
)
_TITLES = "Mr|Mrs|Ms|Dr|Messrs|Mme|Mlle|Prof|Capt|Gen|Col|Lt|Sgt|Rev|Hon|Gov|Sen|Rep"
_ABBREVIATIONS = (
    "etc|vs|al|approx|dept|govt|inc|ltd|corp|est|ext|tel|fax|vol|pp|no|nos|ed|eds|min|max|jan|feb|mar|apr|jun|jul|aug|"
    "sep|sept|oct|nov|dec|mon|tue|wed|thu|fri|sat|sun|st|ave|rd|ch|fig|cf|viz|ibid|op|cit|sc|lib|cap|sq|ft|lb|lbs|oz"
)
_OPENING = r"""["“‘'(\[]?"""

# After a lower-case word that is no abbreviation, before a capital; after a longer name, before a
# word of _STARTERS.
_PLAIN_END = re.compile(
    rf"""\b(?!(?:{_ABBREVIATIONS}|{_TITLES})\.)(?:[a-z]['’a-z]+(?:[?!]|\.["”]?)(?=\s+{_OPENING}[A-Z])"""
    rf"""|[A-Z]['’a-z]{{2,}}[.?!](?=\s+(?:{_STARTERS})\b))"""
)
# Where a sentence may end; the first alternative is where none does.
_DOUBT = re.compile(
    "|".join(
        [
            rf"(?P<plain>\b(?:{_TITLES})\.\s)",
            r"""[.!?…][.!?…"”’')\]*_]*\s""",
            r"[a-z][.!?][A-Z]|[!?][a-z]",
            r"""[^\w\s,.!?'’"“”‘]\s+["“(]?[A-Z0-9]""",
            r"""["”]\s+[A-Z]""",
            r"[@/][^\s@/]*\s+\S",
            rf"[a-z]\s(?:{_STARTERS})\b",
            r"\d\s+[A-Z]",
            r"[A-Z][A-Z]\s+[A-Za-z][a-z]",
            r"\S\s*\n",
        ]
    )
)
_BEFORE, _AFTER = 40, 30  # characters of context around doubtful positions
_EDGE = 10  # characters at a cut of a piece where nothing is decided
# characters, at most, from the first to the last of the doubtful positions that are read together
_WINDOW = 500
_GROUP = 5000  # windows at a time: one takes about 10 kilobytes

_Span = tuple[int, int]


class CascadeSegmenter:
    """Segmenter of English texts by rules, and by a Stanza model where the rules are in doubt."""

    def __init__(self, model: TokenizerModel) -> None:
        self._model = model

    def segment(self, texts: Sequence[str], langs: Sequence[str | None]) -> list[Spans]:
        """Return the sentence spans of each text: (sentences, 2); languages are ignored."""
        ends: list[list[int]] = [[] for _ in texts]
        doubtful: list[tuple[int, _Piece]] = []
        windows = 0
        for index, text in enumerate(texts):
            for start, stop, doubts in _split_pieces(text):
                ends[index].append(stop)
                if doubts:
                    piece = _read_piece(text, start, stop, doubts)
                    doubtful.append((index, piece))
                    windows += len(piece.windows)
                    if windows >= _GROUP:
                        self._decide(doubtful, ends)
                        doubtful, windows = [], 0
        self._decide(doubtful, ends)
        return [
            spans_between(text, sorted(of_text)) for text, of_text in zip(texts, ends, strict=True)
        ]

    def _decide(self, doubtful: Sequence[tuple[int, _Piece]], ends: list[list[int]]) -> None:
        """Let the model decide the doubtful ends in pieces of texts, and add the sentence ends to
        `ends`, a list for each text.
        """
        windows = [(piece.paragraph, window) for _, piece in doubtful for window in piece.windows]
        rows = [
            encode_row(paragraph.codes, *window.row, self._model) for paragraph, window in windows
        ]
        for (paragraph, window), found in zip(windows, self._model.ends(rows), strict=True):
            first, last = window.decided
            paragraph.ends[:, first:last] |= found[:, first - window.row[0] : last - window.row[0]]
        for index, piece in doubtful:
            ends[index] += sentence_ends(piece.paragraph)


class _Window(NamedTuple):
    """Range of characters in a piece that the model reads (`row`), and the range in it whose ends
    it decides (`decided`).
    """

    row: _Span
    decided: _Span


class _Piece(NamedTuple):
    """Piece of a text between two plain sentence ends, and the windows in it that the model
    reads.
    """

    paragraph: Paragraph
    windows: list[_Window]


def _split_pieces(text: str) -> Iterator[tuple[int, int, list[_Span]]]:
    """Yield the start and the end of each piece of a text between plain sentence ends, and the
    doubtful positions in it.

    A doubtful position is a span of characters after which a sentence may end.

    >>> list(_split_pieces("It rains now. Mr. Fox, e.g., stays (?) here."))
    [(0, 13, []), (13, 44, [(36, 39)])]
    """
    for start, stop in split_paragraphs(text):
        doubts = deque(
            match.span() for match in _DOUBT.finditer(text, start, stop) if not match["plain"]
        )
        for end in (*(match.end() for match in _PLAIN_END.finditer(text, start, stop)), stop):
            inside = []
            while doubts and doubts[0][0] < end:
                doubt = doubts.popleft()
                if doubt[1] <= end:
                    inside.append(doubt)
            yield start, end, inside
            start = end


def _read_piece(text: str, start: int, stop: int, doubts: Sequence[_Span]) -> _Piece:
    """Return a piece of a text with windows of context around its doubtful positions."""
    paragraph = read_paragraph(text, start, stop)
    size = len(paragraph.codes)
    spans = np.searchsorted(paragraph.positions, np.array(doubts)).tolist()
    windows = []
    for first, last in _joined(spans):
        begin, end = max(0, first - _BEFORE), min(size, last + _AFTER)
        decided = (
            begin and min(begin + _EDGE, first),
            end if end == size else max(end - _EDGE, last),
        )
        windows.append(_Window((begin, end), decided))
    return _Piece(paragraph, windows)


def _joined(spans: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Return one linear layer that computes the outputs of several layers, one after another.

    >>> list(_joined([(3, 5), (20, 22), (90, 93)]))
    [(3, 22), (90, 93)]
    """
    first, last = spans[0]
    for start, stop in spans[1:]:
        if start - last >= _BEFORE or stop - first >= _WINDOW:
            yield first, last
            first = start
        last = stop
    yield first, last
