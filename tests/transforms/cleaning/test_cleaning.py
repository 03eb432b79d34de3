from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.cleaning.cleaning import CleaningOptions, clean_document, remove_controls
from noisebeam.transforms.data.documents import Document

texts = st.text(
    st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=40
)
KEPT_CONTROLS = "\t\n\r"


def clean(text: str, lang: str | None = None, **options: Any) -> tuple[str | None, list[str]]:
    document, done = clean_document(Document("a", text, lang), CleaningOptions(**options))
    return (None if document is None else document.text), done


@given(texts.filter(lambda text: not text.isspace()))
def test_nothing_is_done_unless_asked_for(text: str) -> None:
    assert clean(text) == (text, [])


@given(texts)
def test_no_control_character_is_left_but_tabs_and_line_ends(text: str) -> None:
    left = remove_controls(text)
    assert {character for character in left if unicodedata.category(character) == "Cc"} <= set(
        KEPT_CONTROLS
    )
    assert remove_controls(left) == left
    kept = [character for character in text if unicodedata.category(character) != "Cc"]
    assert [character for character in left if unicodedata.category(character) != "Cc"] == kept


@pytest.mark.parametrize(
    ("text", "options", "left", "done"),
    [
        ("e\u0301", {"normalize": True}, "é", ["normalized_documents"]),
        ("é", {"normalize": True}, "é", []),
        ("\u1112\u1161\u11ab", {"normalize": True}, "한", ["normalized_documents"]),
        ("ﬁ", {"normalize": True}, "ﬁ", []),  # compatibility characters are other characters
        ("a\x1b[0mb", {"remove_controls": True}, "a[0mb", ["documents_without_controls"]),
        ("क्‍ष \u200e", {"remove_controls": True}, "क्‍ष \u200e", []),
        (
            "\x01\x02",
            {"remove_controls": True},
            None,
            ["documents_without_controls", "dropped_short"],
        ),
        ("abc", {"min_chars": 3}, "abc", []),
        ("ab", {"min_chars": 3}, None, ["dropped_short"]),
        (
            "e\u0301e\u0301",
            {"min_chars": 3, "normalize": True},
            None,
            ["normalized_documents", "dropped_short"],
        ),
        ("abc", {"max_chars": 3}, "abc", []),
        ("abcd", {"max_chars": 3}, None, ["dropped_long"]),
    ],
)
def test_what_is_done_to_a_text(
    text: str, options: dict[str, Any], left: str | None, done: list[str]
) -> None:
    assert clean(text, **options) == (left, done)


@pytest.mark.parametrize(
    ("lang", "kept"),
    [("de", True), ("fr-CA", True), ("zh", False), ("klingon", False), (None, False)],
    ids=lambda value: str(value),
)
def test_only_the_languages_asked_for_are_kept(lang: str | None, kept: bool) -> None:
    text, done = clean("Text.", lang, keep_langs=("de", "fr"))
    assert (text is not None, done) == (kept, [] if kept else ["dropped_languages"])


def test_a_document_that_names_no_language_has_that_of_the_corpus() -> None:
    document = Document("a", "Text.")
    assert clean_document(document, CleaningOptions(keep_langs=("de",)), lang="de") == (
        document,
        [],
    )


def test_a_cleaned_document_keeps_its_id_language_and_place() -> None:
    document = Document("a", "\x07Text.", "de", "a.jsonl", 5, 30)
    cleaned, _ = clean_document(document, CleaningOptions(remove_controls=True))
    assert cleaned is not None
    assert (cleaned.id, cleaned.lang, cleaned.source, cleaned.position, cleaned.size) == (
        "a",
        "de",
        "a.jsonl",
        5,
        30,
    )


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"min_chars": 0}, "^min_chars: expected at least 1, got 0$"),
        ({"min_chars": 10, "max_chars": 9}, "^max_chars: expected at least 10, got 9$"),
        (
            {"near_duplicates": 0.4},
            "^near_duplicates: expected a similarity from 0.5 to 1, got 0.4$",
        ),
        ({"near_duplicates": 80}, "^near_duplicates: expected a similarity from 0.5 to 1, got 80$"),
        (
            {"keep_langs": ("",)},
            r"^keep_langs: expected codes of languages such as 'en' or 'zh', got \(''",
        ),
        ({"keep_langs": ("en", "zh-Hans")}, r"^keep_langs: .* got \('en', 'zh-Hans'\)$"),
    ],
)
def test_nonsensical_options_are_refused(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        CleaningOptions(**options)
