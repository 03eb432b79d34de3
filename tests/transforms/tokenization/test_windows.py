"""Windows leave no sentence out, stay within the budget, and slide by sentences."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.data.documents import Document
from noisebeam.transforms.data.ragged import Ragged, offsets_of
from noisebeam.transforms.data.spans import Spans
from noisebeam.transforms.formats import ReadOptions, read_documents
from noisebeam.transforms.io.input_files import FilePart
from noisebeam.transforms.segmenters.sentencex_segmenter import SentencexSegmenter
from noisebeam.transforms.tokenization import windows
from noisebeam.transforms.tokenization.encoded_sentences import EncodedSentences
from noisebeam.transforms.tokenization.options import WindowOptions
from noisebeam.transforms.tokenization.sentence_encoder import Encoder
from noisebeam.transforms.tokenization.tokenizer import load_tokenizer
from noisebeam.transforms.tokenization.windows import (
    Window,
    build_windows,
    fill_windows,
    slide_windows,
)


def encoded(
    lengths: list[int], gains: list[int] | None = None, opens: Sequence[int] = ()
) -> EncodedSentences:
    """Sentences of these lengths; as the first of a text, each is longer by its gain; those in
    `opens` open windows.
    """
    count = len(lengths)
    heads = [[0] * gain for gain in gains or [0] * count]
    return EncodedSentences(
        spans=np.array([(i, i + 1) for i in range(count)]),
        ids=Ragged(np.zeros(sum(lengths), np.int32), offsets_of(np.array(lengths, np.int64))),
        head_lengths=np.zeros(count, np.int64),
        heads=Ragged(
            np.zeros(sum(map(len, heads)), np.int32),
            offsets_of(np.array([len(h) for h in heads], np.int64)),
        ),
        opens=np.isin(np.arange(count), opens),
        edges=(("a", "b"),) * count,
    )


def test_windows_are_filled_with_whole_sentences() -> None:
    assert list(fill_windows(encoded([3, 4, 3, 9, 1, 1]), budget=10)) == [(0, 3), (3, 5), (5, 6)]


def test_a_sentence_may_be_longer_as_the_first_of_a_window() -> None:
    assert list(fill_windows(encoded([5, 5, 5], gains=[1, 0, 0]), budget=10)) == [(0, 1), (1, 3)]


def test_a_window_fits_whichever_sentence_comes_first() -> None:
    assert list(fill_windows(encoded([5, 5, 5], gains=[0, 1, 0]), budget=10)) == [
        (0, 1),
        (1, 2),
        (2, 3),
    ]
    assert list(fill_windows(encoded([5, 4, 5], gains=[0, 1, 0]), budget=10)) == [(0, 2), (2, 3)]


def test_a_piece_cut_off_inside_a_word_opens_a_window() -> None:
    assert list(fill_windows(encoded([2, 2, 2, 2], opens=[2]), budget=10)) == [(0, 2), (2, 4)]
    assert list(slide_windows(encoded([2, 2, 2, 2], opens=[2]), 10, size=3, stride=1)) == [
        (0, 2),
        (1, 2),
        (2, 4),
    ]


@pytest.mark.parametrize(
    ("sentences", "size", "stride", "expected"),
    [
        # k - N + 1 windows: the oldest leaves, the next comes in
        (
            5,
            3,
            1,
            [(0, 3), (1, 4), (2, 5)],
        ),
        (3, 3, 1, [(0, 3)]),
        (2, 3, 1, [(0, 2)]),  # a shorter document gives one
        (1, 1, 1, [(0, 1)]),
        (6, 3, 3, [(0, 3), (3, 6)]),
        (7, 3, 2, [(0, 3), (2, 5), (4, 7)]),
        (8, 3, 2, [(0, 3), (2, 5), (4, 7), (6, 8)]),  # the rest is not left out
    ],
)
def test_windows_slide_by_sentences(
    sentences: int, size: int, stride: int, expected: list[tuple[int, int]]
) -> None:
    assert list(slide_windows(encoded([1] * sentences), 100, size, stride)) == expected


def test_a_sliding_window_over_the_budget_ends_early_and_the_next_begins_there() -> None:
    assert list(slide_windows(encoded([4, 4, 4, 4]), 8, size=3, stride=3)) == [(0, 2), (2, 4)]


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=30),
    st.data(),
    st.one_of(st.none(), st.tuples(st.integers(1, 6), st.integers(1, 6))),
)
def test_every_sentence_is_in_a_window_and_no_window_exceeds_the_budget(
    lengths: list[int], data: st.DataObject, sliding: tuple[int, int] | None
) -> None:
    count = len(lengths)
    gains = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    opens = data.draw(st.lists(st.integers(1, count), max_size=3))
    sentences = encoded(lengths, gains, opens)
    if sliding is None:
        ranges = list(fill_windows(sentences, 24))
        assert [first for first, _ in ranges] == [0, *(last for _, last in ranges[:-1])]
    else:
        size, stride = max(sliding), min(sliding)
        ranges = list(slide_windows(sentences, 24, size, stride))
        assert all(last - first <= size for first, last in ranges)
    assert sorted({i for first, last in ranges for i in range(first, last)}) == list(range(count))
    for first, last in ranges:
        assert max(gains[first:last]) + sum(lengths[first:last]) <= 24
        assert not sentences.opens[first + 1 : last].any()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"max_tokens": 8}, "max_tokens: expected at least 32, got 8"),
        ({"size": 0}, "window_sentences: expected at least 1, got 0"),
        ({"stride": 2}, "stride: got 2 without window_sentences; give both or neither"),
        ({"size": 3, "stride": 4}, r"stride: expected 1 to 3 \(window_sentences\), got 4"),
    ],
)
def test_nonsensical_options_are_refused(values: dict[str, int], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}$"):
        WindowOptions(**values)


TOKENIZERS = ("bart-base", "bert-base-uncased", "bert-base-chinese", "gpt2", "t5-base")


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize(("size", "stride"), [(None, None), (5, 2)])
@pytest.mark.parametrize("section", [-3300, 0])
def test_a_document_encoded_piece_by_piece_has_the_windows_of_one_encoded_whole(
    shared: Path,
    monkeypatch: pytest.MonkeyPatch,
    tokenizer: str,
    size: int | None,
    stride: int | None,
    section: int,
) -> None:
    encoder = Encoder(load_tokenizer(str(shared / "tokenizers" / tokenizer)))
    options = WindowOptions(max_tokens=64, size=size, stride=stride)
    english, chinese = real_documents(shared)
    # To t5-base most of a Chinese text is one unknown token, whose sentences cannot be told apart.
    for document, spans in [english] if tokenizer == "t5-base" else [english, chinese]:
        monkeypatch.setattr(windows, "_SECTION", 2**30)
        ((whole, cut),) = build_windows(document, spans, encoder, options)
        monkeypatch.setattr(windows, "_SECTION", section)
        runs = list(build_windows(document, spans, encoder, options))
        assert len(runs) > 1
        pieces = [window for run, _ in runs for window in run]
        assert [plain(window) for window in pieces] == [plain(window) for window in whole]
        assert sum(cut_in_run for _, cut_in_run in runs) == cut


@pytest.mark.parametrize("section", range(-3300, 0, 300))
def test_sentences_that_are_cut_as_one_lose_nothing_where_a_section_begins(
    shared: Path, section: int
) -> None:
    encoder = Encoder(load_tokenizer(str(shared / "tokenizers/bart-base")))
    # which the tokenizer may join with the next
    speech = '--"He was strong, strong and mad, not great!"'
    sentences = [f"It rained on day {day}. " if day % 9 else speech * 8 + "\n" for day in range(90)]
    text, ends = "".join(sentences), list(accumulate(map(len, sentences)))
    cuts = sorted({0, *ends, *(found.end() for found in re.finditer(re.escape(speech), text))})
    spans = np.array(
        [(a, a + len(text[a:b].rstrip())) for a, b in pairwise(cuts) if text[a:b].strip()]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "_SECTION", 2**30)
        ((whole, _),) = build_windows(
            Document("a", text), spans, encoder, WindowOptions(max_tokens=64)
        )
        patch.setattr(windows, "_SECTION", section)
        runs = list(
            build_windows(Document("a", text), spans, encoder, WindowOptions(max_tokens=64))
        )
    found = [window for run, _ in runs for window in run]
    assert "".join("".join(window.text for window in found).split()) == "".join(text.split())
    assert [plain(window) for window in found] == [plain(window) for window in whole]


def real_documents(shared: Path) -> Iterator[tuple[Document, Spans]]:
    for name, lang in (("en_books", "en"), ("zh_docs", "zh")):
        documents = read_documents(
            FilePart(str(shared / f"corpora/{name}.jsonl.gz")), ReadOptions()
        )
        document = next(
            found for found in documents if isinstance(found, Document) and len(found.text) > 12_000
        )
        text = document.text[:12_000]
        (spans,) = SentencexSegmenter(lang).segment([text], [None])
        yield replace(document, text=text), spans


def plain(window: Window) -> tuple[int, str, list[list[int]], dict[str, list[int]]]:
    fields = {name: values.tolist() for name, values in (window.fields or {}).items()}
    return window.index, window.text, window.sentences.tolist(), fields


@pytest.mark.slow
def test_memory_does_not_grow_with_a_text_without_sentence_ends(shared: Path) -> None:
    encoder = Encoder(load_tokenizer(str(shared / "tokenizers/bart-base")))
    text = "word " * 130_000
    tracemalloc.start()
    tokens = 0
    for run, _ in build_windows(
        Document("a", text), np.array([[0, len(text) - 1]]), encoder, WindowOptions()
    ):
        tokens += sum(len(window.fields["ids"]) - 2 for window in run if window.fields)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert tokens == 130_000
    assert peak < 40 * 2**20
