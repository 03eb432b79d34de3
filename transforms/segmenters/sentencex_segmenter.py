"""Sentences by the rules of sentencex: no model to download, tens of megabytes a second.

sentencex knows abbreviations, quotations and brackets in about 30 languages; 140 others are treated
as a related one, and all the rest as English (`rules_for`). If it misses the end of a Chinese or
Japanese sentence (before a digit, or after a Latin word followed by one character), the full-width
stop decides, whatever the language. In a paragraph of more than 10,000 characters, a longer
quotation may be divided.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import sentencex

from noisebeam.transforms.data.languages import language_code
from noisebeam.transforms.data.spans import Spans, piecewise_ends, spans_between

# sentencex takes quadratic time for a paragraph of many quotations that are not closed, or of many
# list items.
_PIECE = 10_000  # characters
_STOPS = "。！？｡"
_AFTER_STOP = re.compile(f"[{_STOPS}]++[”’」』）】》〉\"']*+(?![{_STOPS}，、；：,.;:!?…～])")

# The languages that sentencex has rules for (Chinese by its stops), and those it treats as one of
# them.
_RULES = {
    **dict.fromkeys(["am", "bg", "en", "gu", "ja", "ml", "mr", "pa", "ta", "te"], ""),
    "ar": "acm aeb apc arq ary arz",
    "bn": "bpy",
    "ca": "oc",
    "da": "jut kl",
    "de": "bar dsb frr gsw hrx hsb ksh lb nds pdc pdt pfl rm sli stq vmf",
    "el": "pnt",
    "es": "an arn ast ay ext gn guc lad nah qu qug",
    "fi": "fit krl olo smn vot",
    "fr": "atj avk bci bm dua fon frc frp gcf gcr ht kab kbp ln lua mg pcd ses sg shy ty wa wls wo",
    "hi": "anp awa mag mai sa",
    "hy": "hyw",
    "it": "aae co egl eml fur lij lld lmo nap pms rgn scn sdc sro vec",
    "kk": "kaa",
    "kn": "tcy",
    "my": "blk kjp ksw mnw",
    "nl": "li srn vls",
    "pl": "csb szl",
    "pt": "gl kea mwl tet vmw",
    "ru": (
        "ab alt av ba bxr ce cv gld inh kjh koi krc kum kv lbe lez mdf mhr mrj myv os sah "
        "sjd sty tt tyv udm xal"
    ),
    "sk": "cs",
    "uk": "rue",
    "zh": "cdo cpx gan hak hsn lzh nan wuu yue",
}
_RULES_FOR = {
    lang: rules for rules, related in _RULES.items() for lang in (rules, *related.split())
}


def rules_for(lang: str) -> str | None:
    """Return the language whose rules sentencex uses for texts in `lang`; None if it uses those of
    English as a last resort.

    >>> rules_for("de-AT"), rules_for("bar"), rules_for("sv")
    ('de', 'de', None)
    """
    return _RULES_FOR.get(language_code(lang) or lang)


@dataclass(frozen=True, slots=True)
class SentencexSegmenter:
    """Segmenter by the rules of sentencex; `lang` is the language of texts that name none."""

    lang: str = "en"

    def segment(self, texts: Sequence[str], langs: Sequence[str | None]) -> list[Spans]:
        """Return the sentence spans of each text: (sentences, 2); `langs` has the language of each
        text, or None.
        """
        return [_segment(text, lang or self.lang) for text, lang in zip(texts, langs, strict=True)]


def _segment(text: str, lang: str) -> Spans:
    """Return the sentence spans of one text in a language: (sentences, 2).

    >>> _segment("今天下雨。2020年也下雨。", "zh").tolist()
    [[0, 5], [5, 14]]
    """
    code = language_code(lang) or lang

    def find_ends(piece: str) -> list[int]:
        return [
            boundary["end_index"] for boundary in sentencex.get_sentence_boundaries(code, piece)
        ]

    ends = piecewise_ends(text, find_ends, _PIECE)
    if any(stop in text for stop in _STOPS):
        ends = sorted({*ends, *(match.end() for match in _AFTER_STOP.finditer(text))})
    return spans_between(text, ends)
