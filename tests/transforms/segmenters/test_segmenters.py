from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.data.spans import find_broken_law
from noisebeam.transforms.segmenters.segmenters import (
    CheckedSegmenter,
    LineSegmenter,
    OneLanguageSegmenter,
    Segmenter,
    SegmenterError,
    SegmenterOptions,
    Spans,
    language_note,
    load_segmenter,
    prepare_segmenter,
)


def sentences(segmenter: Segmenter, text: str) -> list[str]:
    return [text[start:end] for start, end in segmenter.segment([text], [None])[0].tolist()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One.\nTwo, three.\n", ["One.", "Two, three."]),
        ("One.\r\n\r\n  Two. \rThree", ["One.", "Two.", "Three"]),
        ("One.\u2028Still one.\x0bStill.", ["One.\u2028Still one.\x0bStill."]),
        (" \n\t\n", []),
        ("", []),
    ],
)
def test_lines_are_sentences(text: str, expected: list[str]) -> None:
    assert sentences(LineSegmenter(), text) == expected


@pytest.mark.parametrize("name", ["sentencex", "lines"])
def test_a_segmenter_is_loaded_by_name(name: str) -> None:
    options = SegmenterOptions(name=name)
    prepare_segmenter(options)
    assert sentences(load_segmenter(options), " It rains.\nWe stay. ") == ["It rains.", "We stay."]


@pytest.mark.parametrize("name", ["sentencex", "lines"])
@given(texts=st.lists(st.text(), max_size=5))
def test_spans_obey_the_laws_and_do_not_depend_on_company(name: str, texts: list[str]) -> None:
    segmenter = load_segmenter(SegmenterOptions(name=name))
    together = segmenter.segment(texts, [None] * len(texts))
    for text, spans in zip(texts, together, strict=True):
        assert find_broken_law(text, spans) is None
        assert spans.tolist() == segmenter.segment([text], [None])[0].tolist()


class HalfSegmenter:
    """Cuts each text in the middle, wherever that is; not a good idea."""

    def segment(self, texts: Sequence[str], langs: Sequence[str | None]) -> list[Spans]:
        return [np.array([[0, len(text) // 2], [len(text) // 2, len(text)]]) for text in texts]


class ForgetfulSegmenter:
    def segment(self, texts: Sequence[str], langs: Sequence[str | None]) -> list[Spans]:
        return []


@pytest.fixture
def own_module(monkeypatch: pytest.MonkeyPatch) -> str:
    name = "module_of_a_user"
    module: Any = type(sys)(name)
    module.half, module.nothing, module.Space = (
        HalfSegmenter,
        dict,
        type("Space", (), {"half": HalfSegmenter}),
    )
    module.constant = 3
    monkeypatch.setitem(sys.modules, name, module)
    return name


@pytest.mark.parametrize("factory", ["half", "Space.half"])
def test_your_own_segmenter_is_loaded_and_checked(own_module: str, factory: str) -> None:
    options = SegmenterOptions(name=f"{own_module}:{factory}")
    prepare_segmenter(options)
    segmenter = load_segmenter(options)
    assert sentences(segmenter, "It rains.We stay..") == ["It rains.", "We stay.."]
    with pytest.raises(
        SegmenterError,
        match=(
            rf"^segmenter '{own_module}:{factory}': expected sentences without white space .*, "
            r"got 'Ab ' at 0$"
        ),
    ):
        segmenter.segment(["Ab cde"], [None])


def test_a_segmenter_that_forgets_texts_is_named() -> None:
    with pytest.raises(
        SegmenterError, match=r"^segmenter 'own': expected spans of 2 texts, got 0$"
    ):
        CheckedSegmenter("own", ForgetfulSegmenter()).segment(["a", "b"], [None, None])


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (
            "missing",
            "'module_of_a_user:missing': cannot be imported (.*'missing'.*); expected "
            "package.module:factory",
        ),
        (
            "constant",
            "'module_of_a_user:constant': expected a callable that returns a segmenter, got 3",
        ),
        (
            "nothing",
            "'module_of_a_user:nothing': expected an object with segment(texts, langs), got {}",
        ),
    ],
)
def test_a_segmenter_that_cannot_be_made_is_an_error(
    own_module: str, factory: str, message: str
) -> None:
    with pytest.raises(SegmenterError, match=message.replace("(", r"\(").replace(")", r"\)")):
        load_segmenter(SegmenterOptions(name=f"{own_module}:{factory}"))


def test_a_module_that_is_not_there_is_an_error_before_the_build() -> None:
    with pytest.raises(
        SegmenterError,
        match=r"^segmenter 'not_there:f': cannot be imported \(No module named 'not_there'\)",
    ):
        prepare_segmenter(SegmenterOptions(name="not_there:f"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"name": "spacy"},
            "^segmenter: expected sentencex, stanza, cascade, lines or package.module:factory, got "
            "'spacy'$",
        ),
        ({"lang": ""}, "^lang: expected a language code such as 'en' or 'zh-hans', got ''$"),
        (
            {"lang": "klingon"},
            "^lang: expected a language code such as 'en' or 'zh-hans', got 'klingon'$",
        ),
        ({"lang": "jp"}, "^lang: expected a language code such as 'en' or 'zh-hans', got 'jp'$"),
        (
            {"lang": "en us"},
            "^lang: expected a language code such as 'en' or 'zh-hans', got 'en us'$",
        ),
        (
            {"stanza_dir": "x"},
            "^stanza_dir: expected only with segmenters stanza and cascade, got it with 's",
        ),
        (
            {"name": "stanza", "stanza_device": "gpu"},
            "^stanza_device: expected cpu, cuda or cuda:N, got 'gpu'$",
        ),
        (
            {"stanza_device": "cuda"},
            "^stanza_device: expected only with segmenters stanza and cascade, got it with",
        ),
        (
            {"name": "cascade", "lang": "de"},
            "^lang: segmenter 'cascade' has rules for English only, got 'de'; use stanza or "
            "sentencex$",
        ),
    ],
)
def test_nonsensical_options_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SegmenterOptions(**settings)


def test_texts_in_other_languages_than_the_model_s_go_to_sentencex() -> None:
    options = SegmenterOptions(name="stanza", lang="zh-hans")
    segmenter = OneLanguageSegmenter(options, HalfSegmenter())
    texts, langs = ["One. Two.", "一。二。", "Ein. Zwei.", "三。四。"], ["en", "zh", "de", None]
    spans = [found.tolist() for found in segmenter.segment(texts, langs)]
    assert spans == [[[0, 4], [5, 9]], [[0, 2], [2, 4]], [[0, 4], [5, 10]], [[0, 2], [2, 4]]]
    assert [options.falls_back(lang) for lang in langs] == [True, False, True, False]


@pytest.mark.parametrize(
    ("name", "lang", "fallen"),
    [
        ("sentencex", ["tlh", "sv", "und"], True),
        ("sentencex", ["en", "zh-Hant", "bar", "eng_Latn", None], False),
        ("cascade", ["de", "zh", "und"], True),
        ("cascade", ["en-GB", None], False),
        ("lines", ["tlh", None], False),
    ],
)
def test_what_falls_back(name: str, lang: list[str | None], fallen: bool) -> None:
    options = SegmenterOptions(name=name)
    assert {options.falls_back(code) for code in lang} == {fallen}


@pytest.mark.parametrize(
    ("name", "lang", "note"),
    [
        ("sentencex", "en", None),
        ("sentencex", "zh-Hans", None),
        (
            "sentencex",
            "bar",
            "lang: sentencex has no rules of its own for 'bar'; it uses those of 'de'",
        ),
        (
            "sentencex",
            "tlh",
            "lang: sentencex has no rules of its own for 'tlh'; it uses those of 'en'",
        ),
        ("lines", "tlh", None),
    ],
)
def test_what_is_used_for_a_language_without_rules_is_told(
    name: str, lang: str, note: str | None
) -> None:
    assert language_note(SegmenterOptions(name=name, lang=lang)) == note


def test_options_travel_to_workers() -> None:
    options = SegmenterOptions(name="stanza", lang="zh-hans", stanza_dir="/models")
    assert pickle.loads(pickle.dumps(options)) == options


def test_neither_stanza_nor_torch_nor_beam_is_imported_before_it_is_needed() -> None:
    program = """
import sys
from noisebeam.transforms.data import documents
from noisebeam.transforms.segmenters import segmenters
segmenters.load_segmenter(segmenters.SegmenterOptions()).segment(["It rains."], [None])
print([name for name in ("stanza", "torch", "apache_beam") if name in sys.modules])
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"
