"""Text of strangers on a terminal: it controls nothing and keeps its order."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.printable import printable

HOSTILE = "a\x1b]8;;http://x\x1b\\b\x07\x9b31m\u202ec\u2066d\x7f\ud800\r\u2028"


@given(st.text(st.characters(), max_size=60))
def test_no_control_character_is_left(text: str) -> None:
    shown = printable(text)
    kinds = {
        unicodedata.category(character) for character in shown.replace("\n", "").replace("\t", "")
    }
    assert not kinds & {"Cc", "Cs", "Zl", "Zp"}
    assert not any(unicodedata.bidirectional(character) in _MARKS for character in shown)
    shown.encode()


_MARKS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp"))))
def test_other_text_is_unchanged(text: str) -> None:
    assert printable(text) == text


def test_what_is_escaped_can_be_read() -> None:
    assert printable(HOSTILE) == (
        "a\\x1b]8;;http://x\\x1b\\b\\x07\\x9b31m\\u202ec\\u2066d\\x7f\\ud800\\x0d\\u2028"
    )
