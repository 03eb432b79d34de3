"""Sentence spans: made from sentence ends, checked against their laws, and found in long texts.

text    It rains.  We stay.
ends             9          -> spans [0, 9) [11, 19)
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from unicodedata import category

import numpy as np
import numpy.typing as npt

Spans = npt.NDArray[np.int64]  # (sentences, 2), half-open, in code points of the text

_BLANK_LINES = ("\n\n", "\n\r\n")
_SPACES = " \n\t\u3000"
_ROWS = 2**16  # of spans that are Python's numbers at a time
_JOINERS = "\u200c\u200d"


class SegmenterError(ValueError):
    """Error: a segmenter cannot be loaded, or its spans are not valid for the text."""


def spans_between(text: str, ends: Iterable[int]) -> Spans:
    """Return the spans of a text that is divided at the ascending positions `ends`, without white
    space around them: (spans, 2).

    Spans of white space alone are left out. Combining marks, joiners and skin tones of emoji stay
    with the character before them.

    >>> spans_between("It rains.  We stay.", [9]).tolist()
    [[0, 9], [11, 19]]
    """
    spans, start = array("q"), 0  # a list would take ten times the memory
    for position in chain(ends, [len(text)]):
        end = max(start, position)
        while end < len(text) and _extends(text[end]):
            end += 1
        piece = text[start:end].rstrip()
        begin = start + len(piece) - len(piece.lstrip())
        if piece:
            spans.extend((begin, start + len(piece)))
        start = end
    return np.array(spans, dtype=np.int64).reshape(-1, 2)


def _extends(character: str) -> bool:
    """Return True if a character belongs to the character before it: a combining mark, a joiner or
    a skin tone.
    """
    if character < "\u0300":
        return False
    return (
        category(character)[0] == "M"
        or character in _JOINERS
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )


def find_broken_law(text: str, spans: Spans) -> str | None:
    """Return in words what is wrong with the sentence spans of a text; None if they are valid.

    Valid spans are an integer array (sentences, 2), ascend, and cover all of the text except white
    space.

    >>> find_broken_law("Hi. Yes.", np.array([[0, 3]]))
    "expected only white space between sentences, got ' Yes.' at 3"
    """
    if (
        not isinstance(spans, np.ndarray)
        or spans.ndim != 2
        or spans.shape[1] != 2
        or spans.dtype.kind != "i"
    ):
        shape, kind = getattr(spans, "shape", None), getattr(spans, "dtype", type(spans).__name__)
        return f"expected an integer array of shape (sentences, 2), got {kind} of shape {shape}"
    last = 0
    for start, end in _rows(spans):
        for before, after in ((last, start), (start, end)):
            if before > after:
                return (
                    f"expected ascending spans within 0 and {len(text)}, got {after} after {before}"
                )
        last = end
    if last > len(text):
        return f"expected ascending spans within 0 and {len(text)}, got {len(text)} after {last}"
    for start, end in _rows(spans):
        if start == end or text[start].isspace() or text[end - 1].isspace():
            return (
                "expected sentences without white space around them, got "
                f"{_shown(text[start:end])} at {start}"
            )
    last = 0
    for start, end in chain(_rows(spans), [(len(text), len(text))]):
        if last < start and not text[last:start].isspace():
            return (
                f"expected only white space between sentences, got {_shown(text[last:start])} "
                f"at {last}"
            )
        last = end
    return None


def _rows(spans: Spans) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each span, as Python integers."""
    for first in range(0, len(spans), _ROWS):
        yield from spans[first : first + _ROWS].tolist()


def _shown(text: str) -> str:
    """Return the beginning of a text, quoted, for an error text."""
    return repr(text if len(text) <= 40 else text[:40] + "...")


def piecewise_ends(text: str, find_ends: Callable[[str], list[int]], limit: int) -> list[int]:
    """Return the sentence ends of a text of any length, found in pieces of at most `limit`
    characters.

    `find_ends` returns the ends of sentences in a piece of text. `limit` is 10 or more. A piece
    ends at a blank line in its second half if there is one, which changes nothing for rules that
    treat paragraphs separately. Otherwise the next piece begins with the last sentence of this one.
    A sentence longer than half the limit continues over several pieces. The time is linear in the
    length of the text.
    """
    ends: list[int] = []
    start = 0
    while len(text) - start > limit:
        middle, stop = start + limit // 2, start + limit
        paragraph_end = max(text.rfind(blank, middle, stop) + len(blank) for blank in _BLANK_LINES)
        if paragraph_end > middle:
            ends += [start + end for end in find_ends(text[start:paragraph_end])] + [paragraph_end]
            start = paragraph_end
            continue
        found = [start + end for end in find_ends(text[start:stop])]
        doubtful = stop
        while (
            found
            and _last_word_end(text, middle, found[-1]) > middle
            and not text[found[-1] : stop].strip()
        ):
            # only white space follows it so far: what comes next may make it no end
            doubtful = found.pop()
        ends += found
        if found and found[-1] >= middle:
            start = found[-1]
        else:
            word_end = _last_word_end(text, middle, doubtful)
            last_space = max(text.rfind(space, middle, word_end) for space in _SPACES)
            start = last_space if last_space > start else middle
    return ends + [start + end for end in find_ends(text[start:])]


def _last_word_end(text: str, start: int, end: int) -> int:
    """Return the position in `text` of the end of the last word between `start` and `end`; `start`
    if there is only white space.
    """
    return start + len(text[start:end].rstrip())
