"""Windows: ranges of consecutive sentences that fit into the input of a model; each makes one
sample.

    filled, budget 10      |s0 s1 s2|s3 s4|s5|       whole sentences, no overlap
    size 3, stride 1       |s0 s1 s2|
                              |s1 s2 s3|             the oldest sentence leaves, the next comes in

Every sentence is in at least one window. A budget is the number of tokens of a window without
special tokens. A section is the part of a long document that is encoded together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from noisebeam.transforms.data.documents import Document
from noisebeam.transforms.data.keys import document_key, sample_key
from noisebeam.transforms.data.ragged import Array
from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.data.spans import Spans
from noisebeam.transforms.tokenization.encoded_sentences import EncodedSentences
from noisebeam.transforms.tokenization.options import WindowOptions
from noisebeam.transforms.tokenization.sentence_encoder import Encoder

Range = tuple[int, int]  # sentences, half-open

# characters of a document that are encoded together, beside those of 16 windows or so
_SECTION = 2**18
_CONTEXT = 64  # characters that tell how the text after them is encoded


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive sentences of one document, which make one sample.

    `text` is from the start of the first sentence to the end of the last one; `sentences` are spans
    in it. `document_key` is a 64-bit hash of the document's id and text, `index` the number of the
    window in the document. `fields` are those of the sample (see `Sample`), if the window was made
    with a tokenizer, else None.
    """

    document: str
    document_key: int
    index: int
    text: str
    sentences: Spans
    fields: Mapping[str, Array] | None = None


def fill_windows(encoded: EncodedSentences, budget: int, first: int = 0) -> Iterator[Range]:
    """Yield windows of as many whole sentences as fit into `budget` tokens, without overlap, from
    sentence `first` on.

    A window is a pair: its first sentence and its last (exclusive).
    """
    fits = _Fit(encoded, budget)
    while first < len(encoded):
        last = fits.last(first)
        yield first, last
        first = last


def slide_windows(
    encoded: EncodedSentences, budget: int, size: int, stride: int, first: int = 0
) -> Iterator[Range]:
    """Yield windows of `size` sentences, each `stride` sentences after the one before, from
    sentence `first` on.

    A window is a pair: its first sentence and its last (exclusive). A window that would exceed
    `budget` tokens ends early.
    """
    fits = _Fit(encoded, budget)
    last = first
    while last < len(encoded):
        last = min(fits.last(first), first + size)
        yield first, last
        first = min(first + stride, last)


class _Fit:
    """Finds how many sentences fit into a window of `budget` tokens, whichever of them becomes the
    first.
    """

    def __init__(self, encoded: EncodedSentences, budget: int) -> None:
        self._offsets = encoded.ids.offsets
        self._gains = encoded.first_lengths - encoded.lengths
        self._budget = budget
        opening = np.append(np.flatnonzero(encoded.opens), len(encoded))
        self._stops = opening[np.searchsorted(opening, np.arange(len(encoded)), side="right")]

    def last(self, first: int) -> int:
        """Return the exclusive end of the largest window within the budget of tokens that begins
        with sentence `first`; it has at least this sentence.
        """
        start, gains = self._offsets[first], self._gains
        most = start + self._budget
        last = min(
            int(np.searchsorted(self._offsets, most - gains[first], side="right")) - 1,
            int(self._stops[first]),
        )
        while last > first + 1 and self._offsets[last] + gains[first:last].max() > most:
            last -= 1
        return max(first + 1, last)


def build_windows(
    document: Document, sentences: Spans, encoder: Encoder, options: WindowOptions
) -> Iterator[tuple[list[Window], int]]:
    """Yield the windows of a document, several at a time, each time with the number of sentences
    that were divided because they were too long.

    Each item has the windows of about 250,000 characters, so that memory does not grow with the
    document. A document whose text has no tokens has no windows.
    """
    vocabulary = encoder.vocabulary
    inner, final = (
        vocabulary.document_suffixes()
        if options.append_eos
        else (vocabulary.suffix, vocabulary.suffix)
    )
    budget = options.max_tokens - len(vocabulary.prefix) - len(final)
    key, index = document_key(document.id, document.text), 0
    # its columns are searched for each section, and would be copied
    sentences = np.asfortranarray(sentences)
    for section in _sections(document.text, sentences, encoder, options, budget):
        encoded = section.encoded
        joined = [
            encoder.join(encoded, first, last, final if last == len(encoded) else inner)
            for first, last in section.ranges
        ]
        windows = [
            _window(document, key, index + i, encoded.spans[first:last], joined[i])
            for i, (first, last) in enumerate(section.ranges)
        ]
        index += len(windows)
        start, end = (
            encoded.spans[section.ranges[0][0], 0],
            encoded.spans[section.ranges[-1][1] - 1, 1],
        )
        cut = np.array([at for at in encoded.cut if start <= at < end], dtype=np.int64)
        yield (
            windows,
            int((sentences[np.searchsorted(sentences[:, 1], cut, side="right"), 0] == cut).sum()),
        )


class _Section(NamedTuple):
    """Part of a document whose sentences are encoded together, and its windows as ranges of
    sentences.
    """

    encoded: EncodedSentences
    ranges: list[Range]


def _sections(
    text: str, sentences: Spans, encoder: Encoder, options: WindowOptions, budget: int
) -> Iterator[_Section]:
    """Yield the sections of a document (parts encoded together), with their windows.

    A window that the end of a section might shorten is left to the next section, so that only the
    last window of a document ends with the sentences of its section. `budget` is the number of
    tokens of a window.
    """
    begin, size = (int(sentences[0, 0]) if len(sentences) else len(text)), _SECTION + 64 * budget
    while begin < len(text):
        spans = _spans_from(sentences, begin, size)
        encoded = _encode_from(begin, text, spans, encoder, budget)
        first = int(np.searchsorted(encoded.spans[:, 0], begin))
        ranges = list(_ranges(encoded, budget, options, first)) if len(encoded.ids.values) else []
        if spans[-1, 1] == sentences[-1, 1]:
            if ranges:
                yield _Section(encoded, ranges)
            return
        kept = [last < len(encoded) for _, last in ranges].count(True)
        if kept:
            yield _Section(encoded, ranges[:kept])
            begin = int(encoded.spans[ranges[kept][0], 0])
        else:
            size *= 2


def _spans_from(sentences: Spans, begin: int, size: int) -> Spans:
    """Return the sentences from position `begin` on that end within `size` characters; at least a
    part of one sentence.

    If `begin` is inside a sentence that was divided, the whole sentence is returned, to be divided
    in the same way, unless it is very long.
    """
    first = int(np.searchsorted(sentences[:, 1], begin, side="right"))
    last = int(np.searchsorted(sentences[:, 1], begin + size, side="right"))
    spans = sentences[first : max(last, first + 1)].copy(order="C")
    if begin - spans[0, 0] > size // 2:
        spans[0, 0] = begin
    if last <= first:
        spans[0, 1] = begin + size
    return spans


def _encode_from(
    begin: int, text: str, spans: Spans, encoder: Encoder, budget: int
) -> EncodedSentences:
    """Return sentences as token ids, such that one of them begins at position `begin`.

    The rest of a sentence that was divided together with those before it is encoded alone, since by
    itself it would be divided elsewhere, or not at all. Modifies `spans`.
    """
    encoded = _encode_in_context(text, spans, encoder, budget)
    if begin in encoded.spans[:, 0]:
        return encoded
    spans[0, 0] = begin
    return _encode_in_context(text, spans, encoder, budget)


def _encode_in_context(text: str, spans: Spans, encoder: Encoder, budget: int) -> EncodedSentences:
    """Return sentences as token ids, as they follow the text before them, of which the last
    characters are encoded too.
    """
    start = int(spans[0, 0])
    before = text[max(0, start - _CONTEXT) : start].rstrip()
    if before:
        begin = max(0, start - _CONTEXT)
        context = np.array([[begin, begin + len(before)]], dtype=np.int64)
        encoded = encoder.encode(text, np.concatenate([context, spans]), budget)
        if start in encoded.spans[:, 0]:
            return encoded
    return encoder.encode(text, spans, budget)


def _ranges(
    encoded: EncodedSentences, budget: int, options: WindowOptions, first: int
) -> Iterator[Range]:
    """Yield the windows from sentence `first` on, filled or sliding as the options say."""
    if options.size is None:
        return fill_windows(encoded, budget, first)
    return slide_windows(encoded, budget, options.size, options.stride or options.size, first)


def _window(
    document: Document, key: int, index: int, spans: Spans, fields: Mapping[str, Array]
) -> Window:
    """Return a window of a document, given its number, the spans of its sentences in the text, and
    the fields of its sample.
    """
    start, end = int(spans[0, 0]), int(spans[-1, 1])
    return Window(document.id, key, index, document.text[start:end], spans - start, fields)


def encode_window(window: Window, encoder: Encoder) -> Sample:
    """Return the sample of a window: with its fields if it has them, else with its text encoded.

    Raises ValueError if the text has no tokens.
    """
    fields = window.fields
    if fields is None:
        encoded = encoder.encode(window.text, window.sentences)
        if not len(encoded.ids.values):
            raise ValueError(
                f"window {window.index} of document {window.document!r}: no token for "
                f"{window.text[:80]!r}"
            )
        fields = encoder.join(encoded, 0, len(encoded))
    return Sample(
        sample_key(window.document_key, window.index), window.document, window.index, fields
    )
