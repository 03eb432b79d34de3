"""Segmenters: texts are divided into sentence spans by sentencex, Stanza, lines, or a plugin.

    "It rains.  We stay."  ->  [[0, 9], [11, 19]]      int64 (sentences, 2), half-open

Spans are exact: they are in order, without white space around a sentence, and with nothing but
white space between sentences. Every result of every segmenter is checked. A new built-in segmenter
is its module, its name in `_NAMES` and its line in `_load`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from typing import Protocol, cast

from noisebeam.transforms.data.languages import language_code
from noisebeam.transforms.data.settings import setting
from noisebeam.transforms.data.spans import SegmenterError, Spans, find_broken_law, spans_between
from noisebeam.transforms.errors import did_you_mean
from noisebeam.transforms.plugins import SEGMENTERS, load_plugin, plugin_names, plugin_origin
from noisebeam.transforms.segmenters.cascade_segmenter import CascadeSegmenter
from noisebeam.transforms.segmenters.sentencex_segmenter import SentencexSegmenter, rules_for
from noisebeam.transforms.segmenters.stanza_files import load_stanza, prepare_stanza
from noisebeam.transforms.segmenters.stanza_segmenter import StanzaSegmenter

__all__ = [
    "LineSegmenter",
    "Segmenter",
    "SegmenterError",
    "SegmenterOptions",
    "Spans",
    "language_note",
    "load_segmenter",
    "prepare_segmenter",
]

_NAMES = ("sentencex", "stanza", "cascade", "lines")
_NEURAL = ("stanza", "cascade")
_DEVICES = r"cpu|cuda(:\d+)?"
_OWN_NAME = re.compile(r"[\w.]+:[\w.]+")
_LINE_END = re.compile(r"\r\n|\r|\n")


class Segmenter(Protocol):
    """Protocol of a segmenter, which finds the sentences of texts."""

    def segment(self, texts: Sequence[str], langs: Sequence[str | None]) -> list[Spans]:
        """Return the spans of each text: int64 (sentences, 2), half-open, in code points.

        `langs` has a language code such as "en" for each text, or None if it is unknown. The spans
        of a text must not depend on the other texts.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class SegmenterOptions:
    """Settings of the segmenter: which one is used, and for which language.

    `name` is "sentencex", "stanza", "cascade", "lines", "package.module:factory" (a function
    without arguments that returns a `Segmenter`), or the name of a plugin. `lang` is the language
    of texts that name none, and of Stanza's model: texts in other languages are segmented by
    sentencex, which uses the rules of English for languages it does not know. `stanza_dir` is the
    folder of Stanza's models; None means that of STANZA_RESOURCES_DIR, or else Stanza's own.
    `stanza_device` is "cpu", "cuda" or "cuda:1". Raises ValueError for values that are not valid.
    """

    name: str = setting(
        "sentencex, stanza, cascade, lines, or package.module:function of your own",
        "sentencex",
        name="segmenter",
    )
    lang: str = setting("language of documents that name none, as an ISO 639 code", "en")
    stanza_dir: str | None = setting(
        "folder of Stanza's models (else STANZA_RESOURCES_DIR)", None, metavar="DIR"
    )
    stanza_device: str = setting(
        "where Stanza's model runs: cpu, cuda or cuda:N", "cpu", metavar="NAME"
    )

    def __post_init__(self) -> None:
        if not _OWN_NAME.fullmatch(self.name) and self.name not in (
            known := (*_NAMES, *plugin_names(SEGMENTERS))
        ):
            raise ValueError(
                f"segmenter: expected {', '.join(known)} or package.module:factory, got "
                f"{self.name!r}" + did_you_mean(self.name, known)
            )
        if language_code(self.lang) is None:
            raise ValueError(
                f"lang: expected a language code such as 'en' or 'zh-hans', got {self.lang!r}"
            )
        for name, default in (("stanza_dir", None), ("stanza_device", "cpu")):
            if getattr(self, name) != default and self.name not in _NEURAL:
                raise ValueError(
                    f"{name}: expected only with segmenters stanza and cascade, "
                    f"got it with {self.name!r}"
                )
        if not re.fullmatch(_DEVICES, self.stanza_device):
            raise ValueError(
                f"stanza_device: expected cpu, cuda or cuda:N, got {self.stanza_device!r}"
            )
        if self.name == "cascade" and language_code(self.lang) != "en":
            raise ValueError(
                f"lang: segmenter 'cascade' has rules for English only, got {self.lang!r}; use "
                "stanza or sentencex"
            )

    def falls_back(self, lang: str | None) -> bool:
        """Return True if texts in a language are not segmented by the model or rules of that
        language, but by others.

        None as `lang` is the language of the settings.

        >>> SegmenterOptions().falls_back("tlh"), SegmenterOptions(name="stanza").falls_back("de")
        (True, True)
        """
        if self.name in _NEURAL:
            return language_code(lang or self.lang) != language_code(self.lang)
        return self.name == "sentencex" and rules_for(lang or self.lang) is None


@dataclass(frozen=True, slots=True)
class LineSegmenter:
    """Segmenter that takes each line as a sentence; lines end in "\\n", "\\r\\n" or "\\r"."""

    def segment(self, texts: Sequence[str], langs: Sequence[str | None]) -> list[Spans]:
        """Return the span of each line of each text: (lines, 2); languages are ignored."""
        return [
            spans_between(text, (match.end() for match in _LINE_END.finditer(text)))
            for text in texts
        ]


@dataclass(frozen=True, slots=True)
class OneLanguageSegmenter:
    """Segmenter that uses `segmenter` for texts in its own language, and sentencex for texts in
    others.
    """

    options: SegmenterOptions
    segmenter: Segmenter

    def segment(self, texts: Sequence[str], langs: Sequence[str | None]) -> list[Spans]:
        """Return the sentence spans of each text: (sentences, 2); `langs` has the language of each
        text, or None.
        """
        results: dict[int, Spans] = {}
        for is_other, segmenter in ((False, self.segmenter), (True, SentencexSegmenter())):
            chosen = [
                i for i, lang in enumerate(langs) if self.options.falls_back(lang) == is_other
            ]
            found = segmenter.segment([texts[i] for i in chosen], [langs[i] for i in chosen])
            results.update(zip(chosen, found, strict=True))
        return [results[i] for i in range(len(texts))]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class CheckedSegmenter:
    """Segmenter that checks the spans of another segmenter; raises SegmenterError if they are not
    valid.
    """

    name: str
    segmenter: Segmenter

    def segment(self, texts: Sequence[str], langs: Sequence[str | None]) -> list[Spans]:
        """Return the checked sentence spans of each text: (sentences, 2); `langs` has the language
        of each text, or None.
        """
        results = self.segmenter.segment(texts, langs)
        if len(results) != len(texts):
            raise SegmenterError(
                f"segmenter {self.name!r}: expected spans of {len(texts)} texts, got {len(results)}"
            )
        for text, spans in zip(texts, results, strict=True):
            if problem := find_broken_law(text, spans):
                raise SegmenterError(f"segmenter {self.name!r}: {problem}")
        return results


def load_segmenter(options: SegmenterOptions) -> Segmenter:
    """Return the segmenter that the settings name, loaded; its spans are checked.

    Loading a Stanza model takes seconds: do it once in a process. Raises SegmenterError if it
    cannot be loaded.
    """
    return CheckedSegmenter(options.name, _load(options))


def _load(options: SegmenterOptions) -> Segmenter:
    """Return the segmenter that the settings name, loaded, without checks of its spans."""
    if options.name == "sentencex":
        return SentencexSegmenter(options.lang)
    if options.name == "lines":
        return LineSegmenter()
    if options.name in _NEURAL:
        model = load_stanza(_model_lang(options), options.stanza_dir, options.stanza_device)
        return OneLanguageSegmenter(
            options, StanzaSegmenter(model) if options.name == "stanza" else CascadeSegmenter(model)
        )
    factory = (
        _own_factory(options.name) if ":" in options.name else load_plugin(SEGMENTERS, options.name)
    )
    name = f"segmenter {options.name!r}" + (
        f" of {origin}" if (origin := plugin_origin(SEGMENTERS, options.name)) else ""
    )
    if not callable(factory):
        raise SegmenterError(
            f"{name}: expected a callable that returns a segmenter, got {factory!r}"
        )
    try:
        segmenter = factory()
    except Exception as error:  # code of others may raise anything
        raise SegmenterError(f"{name}: cannot be made: {type(error).__name__}: {error}") from error
    if not callable(getattr(segmenter, "segment", None)):
        raise SegmenterError(
            f"{name}: expected an object with segment(texts, langs), got {segmenter!r}"
        )
    return cast(Segmenter, segmenter)


def _model_lang(options: SegmenterOptions) -> str:
    """Return Stanza's name of the language of the model, which may contain a script, such as
    "zh-hans".
    """
    return "en" if options.name == "cascade" else options.lang


def _own_factory(name: str) -> object:
    """Return the object that "package.module:name" means; raise SegmenterError if it cannot be
    imported.
    """
    module, _, path = name.partition(":")
    try:
        return reduce(getattr, path.split("."), import_module(module))
    except (ImportError, AttributeError) as error:
        raise SegmenterError(
            f"segmenter {name!r}: cannot be imported ({error}); "
            "expected package.module:factory, importable here and on every worker"
        ) from error


def prepare_segmenter(options: SegmenterOptions) -> None:
    """Check that workers can load the segmenter, and download a missing Stanza model into its
    folder.

    Raises SegmenterError if they cannot.
    """
    if options.name in _NEURAL:
        prepare_stanza(_model_lang(options), options.stanza_dir)
    elif options.name not in _NAMES:
        load_segmenter(options)


def language_note(options: SegmenterOptions) -> str | None:
    """Return a line that says which rules sentencex uses for a language without rules of its own;
    None if it has rules.

    >>> language_note(SegmenterOptions(lang="sv"))
    "lang: sentencex has no rules of its own for 'sv'; it uses those of 'en'"
    """
    rules = rules_for(options.lang) or "en"
    if options.name != "sentencex" or rules == language_code(options.lang):
        return None
    return (
        f"lang: sentencex has no rules of its own for {options.lang!r}; it uses those of {rules!r}"
    )
