"""Cleaning of documents, one at a time; every step is off by default.

A document that a filter drops is counted by reason and written nowhere: it is not a bad record, so
it does not become a dead letter.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace

from noisebeam.transforms.data.documents import Document
from noisebeam.transforms.data.languages import language_code
from noisebeam.transforms.data.settings import setting

NORMALIZED, WITHOUT_CONTROLS = "normalized_documents", "documents_without_controls"
TOO_SHORT, TOO_LONG, OTHER_LANGUAGE = "dropped_short", "dropped_long", "dropped_languages"
DUPLICATES, NEAR_DUPLICATES = "dropped_duplicates", "dropped_near_duplicates"

_CONTROLS = re.compile("[\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_OTHER_LINE_ENDS = re.compile("[\x0b\x0c\x85]")


@dataclass(frozen=True, kw_only=True)
class CleaningOptions:
    """Settings of the cleaning of documents, in the order in which they are applied.

    `min_chars` and `max_chars` are inclusive bounds of the text's length, in characters. A document
    without a language has that of the corpus (`keep_langs`). `drop_duplicates` keeps one of the
    documents with the same text. `near_duplicates` keeps one of the documents whose sets of word
    5-grams have at least this Jaccard similarity (0.5 to 1). Raises ValueError for values out of
    range.
    """

    normalize: bool = setting("Unicode normalisation, to NFC", False)
    remove_controls: bool = setting("remove control characters but tabs and line ends", False)
    min_chars: int | None = setting("drop documents of fewer characters", None, metavar="N")
    max_chars: int | None = setting("drop documents of more characters", None, metavar="N")
    keep_langs: tuple[str, ...] = setting(
        "drop documents in other languages", (), nargs="+", action="extend", metavar="CODE"
    )
    drop_duplicates: bool = setting("of documents with the same text keep one", False)
    near_duplicates: float | None = setting(
        "of documents at least this similar keep one "
        "(0.5 to 1: shared word 5-grams; needs noisebeam[dedup])",
        None,
        metavar="F",
    )

    def __post_init__(self) -> None:
        _check(
            "min_chars", self.min_chars is None or self.min_chars >= 1, "at least 1", self.min_chars
        )
        least = self.min_chars or 1
        _check(
            "max_chars",
            self.max_chars is None or self.max_chars >= least,
            f"at least {least}",
            self.max_chars,
        )
        near = self.near_duplicates
        _check(
            "near_duplicates", near is None or 0.5 <= near <= 1, "a similarity from 0.5 to 1", near
        )
        is_right = all(language_code(code) == code for code in self.keep_langs)
        _check("keep_langs", is_right, "codes of languages such as 'en' or 'zh'", self.keep_langs)

    @property
    def drops(self) -> bool:
        """True if these settings can drop a document."""
        return (
            self.compares
            or bool(self.keep_langs)
            or (self.min_chars, self.max_chars) != (None, None)
        )

    @property
    def compares(self) -> bool:
        """True if these settings compare documents with each other, to find duplicates."""
        return self.drop_duplicates or self.near_duplicates is not None


def _check(name: str, right: bool, expected: str, value: object) -> None:
    """Raise ValueError for aliases, and for values nested too deeply."""
    if not right:
        raise ValueError(f"{name}: expected {expected}, got {value!r}")


def remove_controls(text: str) -> str:
    """Return a text without C0 and C1 control characters, except tabs and line ends.

    Line ends of other kinds become "\\n". Format characters (joiners, direction marks) are no
    control characters: some scripts need them.

    >>> remove_controls("a\\x00b\\tc\\x0cd\\x85e\\r\\n\\u200d")
    'ab\\tc\\nd\\ne\\r\\n\\u200d'
    """
    return _OTHER_LINE_ENDS.sub("\n", _CONTROLS.sub("", text))


def clean_document(
    document: Document, options: CleaningOptions, lang: str = "en"
) -> tuple[Document | None, list[str]]:
    """Return two values: the cleaned document, or None if it is dropped, and the names of the
    counters to add one to.

    `lang` is the language of a document that names none. The id of the document is unchanged.

    >>> options = CleaningOptions(normalize=True, remove_controls=True)
    >>> clean_document(Document("a", "\\x07Caf" + "e\\u0301"), options)
    (Document(id='a', text='Café', ...), ['normalized_documents', 'documents_without_controls'])
    >>> clean_document(Document("a", "Hm."), CleaningOptions(min_chars=20))
    (None, ['dropped_short'])
    """
    text, done = document.text, []
    if options.normalize and not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
        done.append(NORMALIZED)
    if options.remove_controls and (without := remove_controls(text)) != text:
        text = without
        done.append(WITHOUT_CONTROLS)
    reason = _reason_to_drop(text, language_code(document.lang or lang), options)
    if reason:
        return None, [*done, reason]
    return (replace(document, text=text) if done else document), done


def _reason_to_drop(text: str, lang: str | None, options: CleaningOptions) -> str:
    """Return the name of the counter of the reason to drop a text; "" if it is kept."""
    if len(text) < (options.min_chars or 1) or text.isspace():
        return TOO_SHORT
    if options.max_chars is not None and len(text) > options.max_chars:
        return TOO_LONG
    if options.keep_langs and lang not in options.keep_langs:
        return OTHER_LANGUAGE
    return ""
