"""Sentences to token ids: a window's ids are those of its text in one piece, and so are a permuted
window's.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.bart_example import FIRST, SECOND, THIRD

from noisebeam.transforms.data.ragged import offsets_of
from noisebeam.transforms.data.spans import Spans
from noisebeam.transforms.segmenters.segmenters import SegmenterOptions, load_segmenter
from noisebeam.transforms.tokenization.encoded_sentences import EncodedSentences
from noisebeam.transforms.tokenization.sentence_encoder import Encoder
from noisebeam.transforms.tokenization.tokenizer import load_tokenizer

TOKENIZERS = ["bart-base", "gpt2", "bert-base-uncased", "bert-base-chinese", "t5-base"]
ABSTRACT = [
    "Huntington's disease is a neurodegenerative autosomal disease results due to expansion of "
    "polymorphic CAG repeats "
    "in the huntingtin gene.",
    "Phosphorylation of the translation initiation factor 4E-BP results in the alteration of the "
    "translation control "
    "leading to unwanted protein synthesis and neuronal function.",
    "Consequences of mutant huntington (mhtt) gene transcription are not well known.",
]


@pytest.fixture(scope="module", params=TOKENIZERS)
def encoder(request: pytest.FixtureRequest, shared: Path) -> Encoder:
    return Encoder(load_tokenizer(str(shared / "tokenizers" / request.param)))


@pytest.fixture(scope="module")
def bart(shared: Path) -> Encoder:
    return Encoder(load_tokenizer(str(shared / "tokenizers/bart-base")))


def spans_of(sentences: list[str], gaps: list[str] | None = None) -> tuple[str, Spans]:
    """A text of these sentences with these gaps between them (single spaces if None), and their
    spans.
    """
    gaps = gaps if gaps is not None else [" "] * (len(sentences) - 1)
    text = "".join(part for pair in zip(sentences, [*gaps, ""], strict=True) for part in pair)
    starts, at = [], 0
    for sentence, gap in zip(sentences, [*gaps, ""], strict=True):
        starts.append(at)
        at += len(sentence) + len(gap)
    return text, np.array(
        [(start, start + len(s)) for start, s in zip(starts, sentences, strict=True)]
    )


def load_ids(encoder: Encoder, text: str) -> list[int]:
    ids: list[int] = encoder._tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def permuted(fields: dict[str, np.ndarray], order: list[int], prefix: int) -> list[int]:
    """The content ids of a sample with its sentences in this order, by the rule of `Sample`."""
    bounds = offsets_of(fields["sentence_lengths"]) + prefix
    rows = [fields["ids"][bounds[i] : bounds[i + 1]].tolist() for i in range(len(bounds) - 1)]
    if "alternatives" in fields:
        others = offsets_of(fields["alternative_lengths"])
        for place, i in enumerate(order):
            if (place == 0) != (i == 0):
                alternative = fields["alternatives"][others[i] : others[i + 1]].tolist()
                rows[i] = alternative + rows[i][int(fields["head_lengths"][i]) :]
    return [id_ for i in order for id_ in rows[i]]


def permuted_text(
    text: str, encoded: EncodedSentences, units: list[int], last: int, order: list[int]
) -> str:
    """The text of units in this order; each brings the white space before it, a text's first that
    of its second.
    """
    spans = encoded.spans[:last]
    ends = [*units[1:], last]
    parts = []
    for place, i in enumerate(order):
        before = max(units[i], 1)
        gap = (
            text[int(spans[before - 1, 1]) : int(spans[before, 0])]
            if place and len(spans) > 1
            else ""
        )
        parts.append(gap + text[int(spans[units[i], 0]) : int(spans[ends[i] - 1, 1])])
    return "".join(parts)


def documents(shared: Path) -> Iterator[tuple[str, Spans]]:
    for name, lang in (("en_books.jsonl.gz", "en"), ("zh_docs.jsonl.gz", "zh")):
        segmenter = load_segmenter(SegmenterOptions(lang=lang))
        with gzip.open(shared / "corpora" / name, "rt", encoding="utf-8") as lines:
            texts = [
                json.loads(line)["text"][:6000] for _, line in zip(range(12), lines, strict=False)
            ]
        for text in texts:
            yield text, segmenter.segment([text], [lang])[0]
    for name in ("en_ewt_dev.jsonl", "zh_gsdsimp_dev.jsonl"):
        for line in (shared / "segmentation" / name).read_text(encoding="utf-8").splitlines()[:25]:
            document = json.loads(line)
            yield document["text"], np.array(document["sentences"])


def test_published_ids_of_the_first_sentence(bart: Encoder) -> None:
    text, spans = spans_of(ABSTRACT[:1])
    assert bart.join(bart.encode(text, spans), 0, 1)["ids"].tolist() == [0, *FIRST, 2]


def test_published_ids_of_the_window_and_of_its_permutation(bart: Encoder) -> None:
    text, spans = spans_of(ABSTRACT)
    fields = bart.join(bart.encode(text, spans), 0, 3)
    assert fields["ids"].tolist() == [0, *FIRST, *SECOND, *THIRD, 2]
    assert fields["sentence_lengths"].tolist() == [len(FIRST), len(SECOND), len(THIRD)]
    assert permuted(fields, [0, 2, 1], prefix=1) == [*FIRST, *THIRD, *SECOND]


def test_a_sentence_that_comes_first_is_encoded_as_a_text_begins(bart: Encoder) -> None:
    text, spans = spans_of(ABSTRACT)
    fields = bart.join(bart.encode(text, spans), 0, 3)
    expected = load_ids(bart, " ".join(ABSTRACT[i] for i in (2, 0, 1)))
    assert permuted(fields, [2, 0, 1], prefix=1) == expected


def test_any_window_equals_its_text_in_one_piece(encoder: Encoder, shared: Path) -> None:
    prefix, suffix = encoder.vocabulary.prefix, encoder.vocabulary.suffix
    draw = random.Random(3)
    for text, spans in documents(shared):
        encoded = encoder.encode(text, spans, budget=200)
        for _ in range(4):
            first = draw.randrange(len(encoded))
            last = min(len(encoded), first + draw.randint(1, 6))
            if encoded.opens[first + 1 : last].any():
                continue
            window = text[encoded.spans[first, 0] : encoded.spans[last - 1, 1]]
            ids = encoder.join(encoded, first, last)["ids"].tolist()
            assert ids == [*prefix, *load_ids(encoder, window), *suffix], window


def test_any_permutation_equals_the_permuted_text(encoder: Encoder, shared: Path) -> None:
    draw = random.Random(4)
    for text, spans in documents(shared):
        encoded = encoder.encode(text, spans, budget=200)
        first = draw.randrange(len(encoded))
        last = min(len(encoded), first + 6)
        if encoded.opens[first + 1 : last].any():
            continue
        fields = encoder.join(encoded, first, last)
        units = (first + encoder._movable(encoded, first, last)).tolist()
        order = list(range(len(units)))
        draw.shuffle(order)
        expected = load_ids(encoder, permuted_text(text, encoded, units, last, order))
        assert permuted(fields, order, len(encoder.vocabulary.prefix)) == expected, text[:200]


def test_a_sentence_over_the_budget_is_cut_between_words_and_loses_nothing(
    encoder: Encoder,
) -> None:
    text, spans = spans_of(
        ["Short one.", " ".join(f"word{i}" for i in range(300)) + ".", "Last one."]
    )
    encoded = encoder.encode(text, spans, budget=64)
    assert len(encoded.cut) == 1
    assert (encoded.first_lengths <= 64).all()
    pieces = [text[start:end] for start, end in encoded.spans.tolist()]
    assert " ".join(pieces) == text
    assert not encoded.opens.any()


def test_sentences_beside_one_that_is_cut_are_encoded_once(
    bart: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    encode = bart._words.encode
    monkeypatch.setattr(bart._words, "encode", lambda texts: encoded.extend(texts) or encode(texts))
    sentences = [f"The {i}th one is short." for i in range(20)]
    text, spans = spans_of([*sentences[:10], "word " * 99 + "end.", *sentences[10:]])
    assert len(bart.encode(text, spans, budget=64).cut) == 1
    assert [encoded.count(f" {sentence}") for sentence in sentences[1:]] == [1] * 19


def test_a_word_over_the_budget_is_cut_and_its_rest_opens_a_window(bart: Encoder) -> None:
    text, spans = spans_of(["Short one.", "abcdefghij" * 100, "Last one."])
    encoded = bart.encode(text, spans, budget=64)
    pieces = [text[start:end] for start, end in encoded.spans.tolist()]
    assert "".join(pieces) == text.replace("one. abc", "one.abc").replace("j Last", "jLast")
    assert encoded.opens.any()
    assert (encoded.first_lengths <= 64).all()


def test_an_emoji_is_never_cut_in_two(bart: Encoder) -> None:
    text, spans = spans_of(["👩‍🚀" * 200])
    encoded = bart.encode(text, spans, budget=32)
    assert "".join(text[start:end] for start, end in encoded.spans.tolist()) == text
    for i in range(len(encoded)):
        assert (
            bart._tokenizer.decode(bart.join(encoded, i, i + 1)["ids"][1:-1].tolist()).count(
                "\ufffd"
            )
            == 0
        )


def test_literal_special_tokens_in_a_text_stay_exact(bart: Encoder) -> None:
    text, spans = spans_of(["One here.", "<mask> stands first.", "<s> too.", "End."])
    fields = bart.join(bart.encode(text, spans), 0, 4)
    assert fields["ids"].tolist()[1:-1] == load_ids(bart, text)
    for order in ([1, 0, 2, 3], [2, 3, 1, 0]):
        sentences = [text[start:end] for start, end in spans.tolist()]
        assert permuted(fields, order, 1) == load_ids(bart, " ".join(sentences[i] for i in order))


def test_bert_needs_no_alternatives(shared: Path) -> None:
    encoder = Encoder(load_tokenizer(str(shared / "tokenizers/bert-base-uncased")))
    text, spans = spans_of(["One.", "Two."])
    assert sorted(encoder.join(encoder.encode(text, spans), 0, 2)) == ["ids", "sentence_lengths"]


def test_a_sentence_without_tokens_joins_its_neighbour(shared: Path) -> None:
    encoder = Encoder(load_tokenizer(str(shared / "tokenizers/bert-base-uncased")))
    text, spans = spans_of(["\u200b", "One.", "\u200b", "Two."])
    encoded = encoder.encode(text, spans)
    assert (encoded.lengths > 0).all()
    assert (
        encoder.join(encoded, 0, len(encoded))["ids"].tolist()
        == encoder._tokenizer.encode(text).ids
    )


def test_no_sentences_give_no_tokens(bart: Encoder) -> None:
    assert len(bart.encode("   ", np.empty((0, 2), np.int64))) == 0
