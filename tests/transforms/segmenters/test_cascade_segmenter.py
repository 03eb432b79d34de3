from __future__ import annotations

import gzip
import json
import random
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from noisebeam.transforms.segmenters import cascade_segmenter
from noisebeam.transforms.segmenters.segmenters import (
    Segmenter,
    SegmenterOptions,
    load_segmenter,
    prepare_segmenter,
)

pytestmark = pytest.mark.skipif(find_spec("stanza") is None, reason="needs noisebeam[stanza]")


def load(shared: Path, name: str) -> Segmenter:
    options = SegmenterOptions(name=name, stanza_dir=str(shared / "stanza_resources"))
    prepare_segmenter(options)
    return load_segmenter(options)


@pytest.fixture(scope="module")
def segmenter(shared: Path) -> Segmenter:
    return load(shared, "cascade")


def spans_of(segmenter: Segmenter, texts: list[str], size: int) -> list[list[list[int]]]:
    batches = [texts[i : i + size] for i in range(0, len(texts), size)]
    return [
        spans.tolist()
        for batch in batches
        for spans in segmenter.segment(batch, [None] * len(batch))
    ]


def sentences(segmenter: Segmenter, text: str) -> list[str]:
    return [text[start:end] for start, end in spans_of(segmenter, [text], 1)[0]]


def treebank(shared: Path) -> list[dict[str, Any]]:
    lines = (shared / "segmentation/en_ewt_dev.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    "expected",
    [
        ["It rains now.", "We stay 😀.", "Do we?", "Yes."],
        ["Mr. Fox met Dr. Low in St. Paul.", "J. R. Moss was there too."],
        ["He bought apples, pears, etc. for the U.S. Army.", "Then he left."],
        ["“Go away.”", "“Why should I?” asked Mary.", "“Never!”"],
        ["See www.example.com/a?b=C for more.", "Write to joe@example.com today."],
        ["", ""],
    ],
)
def test_sentences(segmenter: Segmenter, expected: list[str]) -> None:
    assert sentences(segmenter, " ".join(expected)) == [
        sentence for sentence in expected if sentence
    ]


def test_chinese_among_english_goes_to_sentencex(segmenter: Segmenter) -> None:
    texts = ["今天下雨。2020年也下雨。", "Mr. Fox stays. It rains."]
    spans = [found.tolist() for found in segmenter.segment(texts, ["zh", None])]
    assert spans == [[[0, 5], [5, 14]], [[0, 14], [15, 24]]]


def test_what_is_plain_needs_no_model(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Any] = []
    model = segmenter.segmenter.segmenter._model  # type: ignore[attr-defined]
    ends = model.ends
    monkeypatch.setattr(model, "ends", lambda given: rows.extend(given) or ends(given))
    assert sentences(segmenter, "It rains here. Mr. Fox, who is old, stays.") == [
        "It rains here.",
        "Mr. Fox, who is old, stays.",
    ]
    assert rows == []
    sentences(segmenter, "It rains. " * 500 + "No. 5 is alive. " + "It rains. " * 500)
    assert sum(map(len, rows)) < 100


def test_spans_do_not_depend_on_the_batch_nor_on_other_paragraphs(
    segmenter: Segmenter, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [document["text"] for document in treebank(shared)[::9]] + [
        "",
        " \n",
        "\x80\x81",
        "word " * 900,
    ]
    draw = random.Random(5)
    alphabet = "abc.A ?!\n\r\t\u00a0\u3000。\x80\x85😀e\u0301“”'-0@/"
    texts += ["".join(draw.choices(alphabet, k=draw.randint(0, 60))) for _ in range(60)]
    alone = spans_of(segmenter, texts, 1)  # lawful too: load_segmenter checks
    assert spans_of(segmenter, texts, 200) == alone
    monkeypatch.setattr(cascade_segmenter, "_GROUP", 3)
    assert spans_of(segmenter, texts, 200) == alone
    paragraphs = [text.strip() for text in texts[:30]]
    joined = "\n\n".join(paragraphs)
    begins = [sum(len(text) + 2 for text in paragraphs[:i]) for i in range(len(paragraphs))]
    expected = [
        [begin + start, begin + end]
        for begin, spans in zip(begins, spans_of(segmenter, paragraphs, 7), strict=True)
        for start, end in spans
    ]
    assert spans_of(segmenter, [joined], 1) == [expected]


@pytest.mark.slow
def test_as_good_as_stanza_on_the_treebank_and_like_it_on_books(
    segmenter: Segmenter, shared: Path
) -> None:
    stanza = load(shared, "stanza")
    # chosen on the other half, though the rules began from counts over both
    documents = treebank(shared)[1::2]
    texts, gold = (
        [document["text"] for document in documents],
        [document["sentences"] for document in documents],
    )
    assert (
        f1(spans_of(segmenter, texts, 400), gold) > f1(spans_of(stanza, texts, 400), gold) - 0.005
    )
    with gzip.open(shared / "corpora/en_books.jsonl.gz") as file:
        books = [
            json.loads(line)["text"][:5000] for number, line in enumerate(file) if number % 100 == 0
        ]
    assert f1(spans_of(segmenter, books, 99), spans_of(stanza, books, 99)) > 0.99


def f1(found: list[list[list[int]]], gold: list[list[list[int]]]) -> float:
    left = {(i, *span) for i, spans in enumerate(found) for span in spans}
    right = {(i, *span) for i, spans in enumerate(gold) for span in spans}
    return 2 * len(left & right) / (len(left) + len(right))
