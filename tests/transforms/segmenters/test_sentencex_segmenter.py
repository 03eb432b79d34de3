from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.data.spans import find_broken_law
from noisebeam.transforms.segmenters.sentencex_segmenter import (
    _RULES_FOR,
    SentencexSegmenter,
    rules_for,
)

languages = st.sampled_from(
    ["en", "zh", "ja", "ar", "th", "hi", "de", "xx", "zh-Hans", "pt_BR", ""]
)
pieces = st.sampled_from(
    [
        "Hi.",
        "Dr. ",
        "e.g.",
        " ",
        "\r\n",
        "\n\n",
        "\t",
        "。",
        "3",
        "？”",
        "“",
        '"',
        "(",
        "😀",
        "é",
        "e\u0301",
        "\u200b",
        "…",
        "A",
    ]
)
texts = st.one_of(st.text(), st.lists(pieces).map("".join))


def sentences(text: str, lang: str | None = "en") -> list[str]:
    (spans,) = SentencexSegmenter().segment([text], [lang])
    return [text[start:end] for start, end in spans.tolist()]


# Abbreviations that tell the rules of any two languages apart, but for three pairs.
ABBREVIATIONS = "ا.د б.р дм d.å o.ä ff sq বি al ca co gr Δρ બી बी ಬಿ ഡോ ਬੀ బి r.-v"
ALIKE = {"zh": "en", "mr": "hi", "my": "ja"}


def rules(lang: str) -> list[int]:
    text = "\n\n".join(f"Xy {word}. Qq zz" for word in ABBREVIATIONS.split()) + "\n\nA։ B"
    (spans,) = SentencexSegmenter().segment([text], [lang])
    return [start for start, _ in spans.tolist()]


def test_related_languages_are_those_of_sentencex() -> None:
    found = {lang: rules(lang) for lang in _RULES_FOR}
    assert [lang for lang in found if found[lang] != rules(_RULES_FOR[lang])] == []
    own = sorted(set(_RULES_FOR.values()))
    alike = [(a, b) for a in own for b in own if a < b and found[a] == found[b]]
    assert sorted(alike) == sorted((min(pair), max(pair)) for pair in ALIKE.items())


@pytest.mark.parametrize("lang", ["sv", "ko", "th", "tr", "tlh", "und"])
def test_a_language_without_rules_or_relatives_has_those_of_english(lang: str) -> None:
    assert rules_for(lang) is None
    assert rules(lang) == rules("en")


@given(texts, languages)
def test_spans_obey_the_laws(text: str, lang: str) -> None:
    (spans,) = SentencexSegmenter().segment([text], [lang])
    assert find_broken_law(text, spans) is None


@pytest.mark.parametrize(
    ("lang", "expected"),
    [
        (
            "en",
            [
                "Dr. Smith paid $3.50 to J. R. Jones.",
                '"Really?" he asked.',
                "See e.g. Fig. 2.",
                "👩‍👩‍👧 left!",
                "Ok.",
            ],
        ),
        ("ru", ["Идёт дождь.", "Мы остались дома?", "Да."]),
        ("el", ["Βρέχει.", "Πού είσαι;", "Εδώ."]),
        ("ka", ["წვიმს.", "ჩვენ სახლში ვართ."]),
        ("hy", ["Անձրև է գալիս։", "Մենք տանն ենք։"]),
        ("ar", ["نزل المطر.", "أين أنت؟", "هنا."]),
        ("ur", ["بارش ہو رہی ہے۔", "ہم گھر پر ہیں۔"]),
        ("he", ["יורד גשם.", "איפה אתה?", "כאן."]),
        ("hi", ["बारिश हो रही है।", "तुम कहाँ हो?", "यहाँ।"]),
        ("my", ["မိုးရွာနေသည်။", "အိမ်မှာနေသည်။"]),
        ("am", ["ዝናብ እየዘነበ ነው።", "ቤት ነን።"]),
        ("ko", ["비가 온다.", "집에 있자!"]),
        ("th", ["ฝนตก เราอยู่บ้าน"]),  # without a mark of its own; a space may or may not be an end
        ("vi", ["Trời mưa.", "Chúng tôi ở nhà."]),
    ],
)
def test_sentences_are_found_in_many_scripts(lang: str, expected: list[str]) -> None:
    assert sentences(" ".join(expected), lang) == expected
    assert sentences("\r\n\r\n".join(expected), lang) == expected


@pytest.mark.parametrize("lang", ["zh", "ja", "en", None])
@pytest.mark.parametrize(
    "expected",
    [
        ["今天下雨。", "2020年也下雨！", "去A处。", "好的？！", "“真的吗？”", "他问。"],
        ["雨です。", "「本当？」", "3時に会う。", "（はい。）", "TiDBを見る。", "これ｡", "あれ。"],
    ],
)
def test_full_width_stops_end_sentences_without_white_space(
    expected: list[str], lang: str | None
) -> None:
    assert sentences("".join(expected), lang) == expected


def test_no_sentence_begins_with_punctuation_after_a_stop() -> None:
    assert sentences("他问：“真的吗？”。是的！！！好。", "zh") == [
        "他问：“真的吗？”。",
        "是的！！！",
        "好。",
    ]


def test_an_unknown_language_is_treated_as_english() -> None:
    text = "Dr. Smith came. He left."
    assert sentences(text, "qq") == sentences(text, "en") == ["Dr. Smith came.", "He left."]


def test_texts_without_a_language_use_the_given_one() -> None:
    text = "Das ist z. B. gut. Ja."
    segmenter = SentencexSegmenter("de")
    assert np.array_equal(
        segmenter.segment([text], [None])[0], segmenter.segment([text], ["de"])[0]
    )


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("word " * 2_000_000, 1),
        ("x" * 10_000_000, 1),
        (" " * 10_000_000, 0),
        ("It rains here. We stay at home.\n\n" * 100_000, 200_000),
        ("“Hi there. " * 50_000, None),  # quotations that are never closed
        ("1. Hi\n" * 100_000, None),
        ("“好。" * 30_000, None),
    ],
    ids=["words", "one word", "spaces", "paragraphs", "quotations", "list", "chinese quotations"],
)
def test_large_texts_take_linear_time(text: str, count: int | None) -> None:
    began = time.monotonic()
    (spans,) = SentencexSegmenter().segment([text], [None])
    assert time.monotonic() - began < 5
    assert count is None or len(spans) == count


def test_a_long_text_has_the_sentences_of_its_paragraphs() -> None:
    paragraph = 'Mr. Hill said "It rains. We stay." and left. It did rain.\nAnd so on (see Fig. 2).'
    expected = sentences(paragraph)
    assert len(expected) == 3
    assert sentences("\n\n".join([paragraph] * 400)) == expected * 400
    assert sentences("\r\n\r\n".join([paragraph] * 400)) == expected * 400


def f1(gold_file: Path, lang: str) -> float:
    documents = [json.loads(line) for line in gold_file.read_text(encoding="utf-8").splitlines()]
    spans = SentencexSegmenter(lang).segment(
        [document["text"] for document in documents], [None] * len(documents)
    )
    found = {(i, *span) for i, rows in enumerate(spans) for span in rows.tolist()}
    gold = {(i, *span) for i, document in enumerate(documents) for span in document["sentences"]}
    return 2 * len(found & gold) / (len(found) + len(gold))


@pytest.mark.parametrize(
    ("name", "lang", "least"),
    [("en_ewt_dev.jsonl", "en", 0.83), ("zh_gsdsimp_dev.jsonl", "zh", 0.99)],
)
def test_treebank_sentences_are_found(shared: Path, name: str, lang: str, least: float) -> None:
    assert f1(shared / "segmentation" / name, lang) >= least


def test_real_documents_obey_the_laws(shared: Path) -> None:
    with gzip.open(shared / "corpora/zh_docs.jsonl.gz") as file:
        documents = [json.loads(line)["text"] for _, line in zip(range(100), file, strict=False)]
    spans = SentencexSegmenter("zh").segment(documents, [None] * len(documents))
    assert [find_broken_law(text, rows) for text, rows in zip(documents, spans, strict=True)] == [
        None
    ] * len(documents)


SCRIPTS = [
    ("en", "Latin", ["Dr. Low came.", "He left!"]),
    ("ru", "Cyrillic", ["Он пришёл.", "Потом ушёл!", "Правда?"]),
    ("el", "Greek", ["Ήρθε χθες.", "Πού πήγε;", "Έφυγε."]),
    ("ar", "Arabic, right to left", ["جاء الرجل.", "هل رحل؟", "نعم!"]),
    ("ur", "Urdu", ["وہ آیا۔", "کیا وہ گیا؟", "ہاں۔"]),
    ("he", "Hebrew, right to left", ["הוא בא.", "האם הלך?", "כן!"]),
    ("hi", "Devanagari", ["वह आया।", "क्या वह गया?", "हाँ।"]),
    ("ta", "Tamil", ["அவன் வந்தான்.", "போனானா?", "ஆம்."]),
    ("th", "Thai: nothing marks a sentence's end", ["เขามาแล้ว เขาไปแล้วหรือ ใช่"]),
    ("my", "Burmese", ["သူလာသည်။", "သူသွားသည်။"]),
    ("zh", "Chinese", ["他来了。", "他走了吗？", "是的！"]),
    ("ja", "Japanese", ["彼は来た。", "もう帰った？", "はい。"]),
    ("ko", "Korean", ["그가 왔다.", "그는 갔습니까?", "네."]),
    ("hy", "Armenian", ["Նա եկավ։", "Նա գնաց։"]),
    ("ka", "Georgian", ["ის მოვიდა.", "ის წავიდა?", "დიახ."]),
    ("am", "Ethiopic", ["እሱ መጣ።", "ሄደ?", "አዎ።"]),
    ("en", "emoji", ["Hi 👩‍👩‍👧!", "Bye 🇫🇷.", "Café!", "Oh!️", "👍🏽"]),
]


@pytest.mark.parametrize(
    ("lang", "script", "expected"), SCRIPTS, ids=[script for _, script, _ in SCRIPTS]
)
def test_sentences_in_every_script(lang: str, script: str, expected: list[str]) -> None:
    assert sentences(" ".join(expected), lang) == expected


alphabets = st.sampled_from([" ".join(expected) for _, _, expected in SCRIPTS])


@given(
    st.lists(alphabets.flatmap(lambda text: st.text(alphabet=text, max_size=30))).map("".join),
    languages,
)
def test_no_sentence_ends_within_a_grapheme_cluster(text: str, lang: str) -> None:
    regex = pytest.importorskip("regex")
    (spans,) = SentencexSegmenter().segment([text], [lang])
    assert find_broken_law(text, spans) is None
    clusters = [match.span() for match in regex.finditer(r"\X", text)]
    for position in spans.ravel().tolist():
        inside = [text[start:end] for start, end in clusters if start < position < end]
        # a mark on white space, which is trimmed, or on what is no letter, which `regex` joins to
        # the letter after it
        assert not any(cluster[0].isalpha() for cluster in inside)
