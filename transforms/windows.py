"""Sentences to windows: ranges of consecutive sentences that fit a model's input.

Two ways to choose them: fill each window with whole sentences up to a budget of tokens, or slide by sentences. Neither
ever leaves a sentence out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from noisebeam.transforms.documents import Document
from noisebeam.transforms.keys import document_key, sample_key
from noisebeam.transforms.samples import Array, Sample
from noisebeam.transforms.spans import Spans
from noisebeam.transforms.tokens import SMALLEST_BUDGET, EncodedSentences, Encoder

Range = tuple[int, int]  # sentences, half-open


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """How windows are chosen.

    `max_tokens` (32 or more) counts a window's special tokens too. `size` and `stride` are in sentences: None, the
    default, fills windows up to `max_tokens`, without overlap; a number slides a window of `size` sentences onward by
    `stride` at a time. A window that would exceed `max_tokens` ends early, and the next one begins no later than there.
    """

    max_tokens: int = 512
    size: int | None = None
    stride: int | None = None

    def __post_init__(self) -> None:
        if self.max_tokens < SMALLEST_BUDGET:
            raise ValueError(f"max_tokens: expected at least {SMALLEST_BUDGET}, got {self.max_tokens}")
        if self.size is not None and self.size < 1:
            raise ValueError(f"window_sentences: expected at least 1, got {self.size}")
        if self.stride is not None and self.size is None:
            raise ValueError(f"stride: got {self.stride} without window_sentences; give both or neither")
        if self.stride is not None and self.size is not None and not 1 <= self.stride <= self.size:
            raise ValueError(f"stride: expected 1 to {self.size} (window_sentences), got {self.stride}")


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive sentences of one document.

    `text` runs from the first sentence's start to the last one's end; `sentences` are spans in it. `document_key` is a
    64-bit hash of the document's id and text. `fields` holds the window's ids and what belongs to them (see `Sample`)
    where it was measured with a tokenizer.
    """

    document: str
    document_key: int
    index: int
    text: str
    sentences: Spans
    fields: Mapping[str, Array] | None = None


def fill_windows(encoded: EncodedSentences, budget: int) -> Iterator[Range]:
    """Windows of whole sentences up to `budget` tokens, one after the other."""
    fits = _Fit(encoded, budget)
    first = 0
    while first < len(encoded):
        last = fits.last(first)
        yield first, last
        first = last


def slide_windows(encoded: EncodedSentences, budget: int, size: int, stride: int) -> Iterator[Range]:
    """Windows of `size` sentences, each `stride` after the last: k - size + 1 of them for stride 1, at least one."""
    fits = _Fit(encoded, budget)
    first = last = 0
    while last < len(encoded):
        last = min(fits.last(first), first + size)
        yield first, last
        first = min(first + stride, last)


class _Fit:
    """How far a window can reach: within the budget, whichever of its sentences comes to be first."""

    def __init__(self, encoded: EncodedSentences, budget: int) -> None:
        self._offsets = encoded.ids.offsets
        self._gains = encoded.first_lengths - encoded.lengths
        self._budget = budget
        opening = np.append(np.flatnonzero(encoded.opens), len(encoded))
        self._stops = opening[np.searchsorted(opening, np.arange(len(encoded)), side="right")]

    def last(self, first: int) -> int:
        """The exclusive end of the largest window that begins with sentence `first`: at least that one."""
        start, gains = self._offsets[first], self._gains
        most = start + self._budget
        last = min(int(np.searchsorted(self._offsets, most - gains[first], side="right")) - 1, int(self._stops[first]))
        while last > first + 1 and self._offsets[last] + gains[first:last].max() > most:
            last -= 1
        return max(first + 1, last)


def build_windows(
    document: Document, sentences: Spans, encoder: Encoder, options: WindowOptions
) -> tuple[list[Window], int]:
    """The windows of a document, and how many of its sentences were longer than a window and so were cut.

    There is no window if the tokenizer gives no token for the text.
    """
    budget = options.max_tokens - encoder.special_tokens
    encoded = encoder.encode(document.text, sentences, budget)
    if not len(encoded.ids.values):
        return [], 0
    if options.size is None:
        ranges = fill_windows(encoded, budget)
    else:
        ranges = slide_windows(encoded, budget, options.size, options.stride or options.size)
    key = document_key(document.id, document.text)
    windows = [
        _window(document, key, index, encoded.spans[first:last], encoder.join(encoded, first, last))
        for index, (first, last) in enumerate(ranges)
    ]
    return windows, encoded.sentences_cut


def _window(document: Document, key: int, index: int, spans: Spans, fields: Mapping[str, Array]) -> Window:
    start, end = int(spans[0, 0]), int(spans[-1, 1])
    return Window(document.id, key, index, document.text[start:end], spans - start, fields)


def encode_window(window: Window, encoder: Encoder) -> Sample:
    """The sample of a window: its fields if it has them, else its text encoded."""
    fields = window.fields
    if fields is None:
        encoded = encoder.encode(window.text, window.sentences)
        if not len(encoded.ids.values):
            raise ValueError(
                f"window {window.index} of document {window.document!r}: no token for {window.text[:80]!r}"
            )
        fields = encoder.join(encoded, 0, len(encoded))
    return Sample(sample_key(window.document_key, window.index), window.document, window.index, fields)
