"""Sentences by Stanza's neural tokenizer: the most accurate segmenter, and the slowest.

The sentences of a text are those that Stanza finds, whatever texts are in the same call. Each
paragraph is a row of a batch; one of more than 1,000 characters is read in steps, as Stanza does.
In Stanza two such paragraphs of one text influence each other (the end of the shorter one is
padded), so the last sentences of the shorter one can differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from noisebeam.transforms.data.spans import Spans, spans_between

if TYPE_CHECKING:
    from noisebeam.transforms.segmenters.stanza_model import Codes, Encoded, Ends, TokenizerModel

_ROW = 1000  # characters that Stanza predicts in one go
_GROUP = 200_000  # characters of paragraphs at a time: one takes about 50 bytes
_WORD = re.compile("[^ ]{3,5000}(?![^ ])")  # Stanza's patterns take quadratic time for longer ones
_SPACES = np.array([code for code in range(0x3001) if chr(code).isspace() or 0x80 <= code < 0xA0])
# as Stanza sees it; the last stands for all other code points
_IS_SPACE = np.isin(np.arange(0x3002), _SPACES)


class StanzaSegmenter:
    """Segmenter by the network of a Stanza tokenizer, for texts in its language."""

    def __init__(self, model: TokenizerModel) -> None:
        self._model = model

    def segment(self, texts: Sequence[str], langs: Sequence[str | None]) -> list[Spans]:
        """Return the sentence spans of each text: (sentences, 2); languages are ignored."""
        ends: list[list[int]] = [[] for _ in texts]
        for group in _groups(self._paragraphs(texts)):
            predict_ends([paragraph for _, paragraph in group], self._model)
            for index, paragraph in group:
                ends[index] += sentence_ends(paragraph)
        return [spans_between(text, of_text) for text, of_text in zip(texts, ends, strict=True)]

    def _paragraphs(self, texts: Sequence[str]) -> Iterator[tuple[int, Paragraph]]:
        """Yield the paragraphs of all texts, each with the index of its text."""
        for index, text in enumerate(texts):
            for start, stop in split_paragraphs(text):
                yield index, read_paragraph(text, start, stop, self._model.skip_newline)


@dataclass(slots=True)
class Paragraph:
    """Characters of a paragraph as Stanza reads them, with single spaces for white space, and the
    ends found in it.

    `codes` (characters,) are code points, `positions` (characters,) their positions in the text.
    `ends` (2, characters) is True where a token (first row) or a sentence (second row) ends with a
    character.
    """

    codes: Codes
    positions: npt.NDArray[np.int64]
    ends: Ends = field(init=False)

    def __post_init__(self) -> None:
        self.ends = np.zeros((2, len(self.codes)), dtype=bool)


def split_paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each paragraph of a text, divided at blank lines as Stanza
    does.

    >>> list(split_paragraphs("It rains.\\n \\nWe stay.\\n"))
    [(0, 9), (12, 20)]
    """
    from stanza.models.tokenization.data import NEWLINE_WHITESPACE_RE

    start = 0
    for end, following in (
        *(match.span() for match in NEWLINE_WHITESPACE_RE.finditer(text)),
        (len(text), 0),
    ):
        if part := text[start:end].rstrip():
            yield start, start + len(part)
        start = following


def read_paragraph(text: str, start: int, stop: int, skip_newline: bool = False) -> Paragraph:
    """Return characters `start` to `stop` - 1 of a text as a paragraph for Stanza; line ends are
    left out if `skip_newline` is True.
    """
    codes = np.frombuffer(text[start:stop].encode("utf-32-le", "surrogatepass"), dtype="<u4")
    positions = np.flatnonzero(codes != ord("\n")) if skip_newline else np.arange(len(codes))
    is_space = _IS_SPACE[np.minimum(codes[positions], len(_IS_SPACE) - 1)]
    single = ~(is_space & np.append(is_space[1:], False))
    return Paragraph(
        np.where(is_space, ord(" "), codes[positions])[single], start + positions[single]
    )


def _groups(paragraphs: Iterable[tuple[int, Paragraph]]) -> Iterator[list[tuple[int, Paragraph]]]:
    """Yield paragraphs, each with the index of its text, in lists of about 200,000 characters."""
    group: list[tuple[int, Paragraph]] = []
    size = 0
    for index, paragraph in paragraphs:
        group.append((index, paragraph))
        size += len(paragraph.codes)
        if size >= _GROUP:
            yield group
            group, size = [], 0
    yield group


def predict_ends(paragraphs: Sequence[Paragraph], model: TokenizerModel) -> None:
    """Predict the ends of tokens and sentences in paragraphs, and write them into their field
    `ends`.

    A paragraph of more than 1,000 characters is read in rows; each row begins after the last
    sentence end found before it.
    """
    waiting = [(paragraph, 0) for paragraph in paragraphs]
    while waiting:
        rows = [
            encode_row(paragraph.codes, start, start + _ROW, model) for paragraph, start in waiting
        ]
        going_on = []
        for (paragraph, start), ends in zip(waiting, model.ends(rows), strict=True):
            stop = min(start + _ROW, len(paragraph.codes))
            if stop < len(paragraph.codes) and (found := np.flatnonzero(ends[1])).size:
                stop = start + int(found[-1]) + 1
            paragraph.ends[:, start:stop] = ends[:, : stop - start]
            if stop < len(paragraph.codes):
                going_on.append((paragraph, stop))
        waiting = going_on


def encode_row(codes: Codes, start: int, stop: int, model: TokenizerModel) -> Encoded:
    """Return characters `start` to `stop` - 1 of a paragraph, encoded for the model; a short
    paragraph is padded by one character.
    """
    encoded = model.encode(codes, start, min(stop, len(codes)))
    if stop < len(codes) or len(codes) >= _ROW:
        return encoded
    return np.concatenate([encoded, np.zeros_like(encoded[:1])])


def _keep_addresses_whole(paragraph: Paragraph) -> None:
    """Remove the sentence ends inside URLs and e-mail addresses from a paragraph, as Stanza
    does.
    """
    from stanza.models.tokenization.utils import MASK_RE

    if not (paragraph.ends[1] & _goes_on(paragraph.codes)).any():
        return
    units = paragraph.codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
    for word in _WORD.finditer(units):
        for match in MASK_RE.finditer(units, *word.span()):
            last = match.end() - 1
            paragraph.ends[:, match.start() : last] = False
            paragraph.ends[0, last] = True


def _goes_on(codes: Codes) -> npt.NDArray[np.bool_]:
    """Return a mask (characters,) that is True where a sentence end would not be at the end of a
    word.
    """
    is_space = codes == ord(" ")
    goes_on: npt.NDArray[np.bool_] = is_space | np.append(~is_space[1:], False)
    return goes_on


def sentence_ends(paragraph: Paragraph) -> list[int]:
    """Return the positions in the text at which the sentences of a paragraph end.

    A sentence must have more than white space. Modifies the field `ends` of the paragraph.
    """
    _keep_addresses_whole(paragraph)
    paragraph.ends[:, -1] = True
    tokens = np.flatnonzero(paragraph.ends[0])
    characters = np.cumsum(paragraph.codes != ord(" "))[tokens]
    sentences = paragraph.ends[1, tokens] & (np.diff(characters, prepend=0) > 0)
    sentences[-1] = True  # a paragraph
    ends: list[int] = (paragraph.positions[tokens[sentences]] + 1).tolist()
    return ends
