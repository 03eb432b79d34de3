from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.data.languages import language_code


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en", "en"),
        ("EN-us", "en"),
        ("pt_BR", "pt"),
        ("zh-Hans-CN", "zh"),
        ("cmn_Hans", "zh"),
        ("deu_Latn", "de"),
        ("ger", "de"),
        ("arb", "ar"),
        ("als", "sq"),  # Tosk Albanian
        ("yue", "yue"),
        ("tlh", "tlh"),  # Klingon
        ("und", "und"),
        ("klingon", None),
        ("english", None),
        ("jp", None),  # Japanese is ja
        ("cn", None),  # Chinese is zh
        ("e", None),
        ("", None),
        ("en us", None),
        ("en-", None),
        ("en\n", None),
        ("ｅｎ", None),
    ],
)
def test_a_tag_names_a_language_or_nothing(tag: str, code: str | None) -> None:
    assert language_code(tag) == code


@given(
    st.one_of(
        st.text(max_size=6), st.from_regex(r"[A-Za-z]{2,3}([-_][A-Za-z]{2,4})?", fullmatch=True)
    )
)
def test_the_code_of_a_code_is_itself(tag: str) -> None:
    code = language_code(tag)
    assert code is None or language_code(code) == code
