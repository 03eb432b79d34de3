"""Language detection with py3langid: 139 languages, by a model inside that package.

The beginning of a text decides. A few words, numbers or markup have no detectable language.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from noisebeam.transforms.data.languages import UNDETERMINED, language_code

_CHARACTERS = 2000
_LEAST_CONFIDENCE = 0.2
# no language; Wu, which is seldom written, but often found in Chinese
_READ_AS = {
    "zxx": UNDETERMINED,
    "wuu": "zh",
}


def detect_language(text: str) -> str:
    """Return the language code of a text, detected from its first 2,000 characters; "und" if it is
    uncertain.

    The first call in a process loads the model: a second, and about 50 MB.
    """
    lang, _ = _load_identifier().classify(text[:_CHARACTERS])
    return _READ_AS.get(lang) or language_code(lang) or UNDETERMINED


def check_detector() -> None:
    """Raise ValueError, with what to install, if the package py3langid is missing."""
    if find_spec("py3langid") is None:
        raise ValueError("lang: 'auto' needs the package py3langid; pip install 'noisebeam[lang]'")


@cache
def _load_identifier() -> Any:
    """Return the language identifier of py3langid, loaded at the first call."""
    check_detector()
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    class Identifier(LanguageIdentifier):  # type: ignore[misc]
        """Identifier that adds in double precision: in single precision, processors differ in
        digits that can decide.
        """

        def _sparse_score(self, visits: Mapping[int, int], table: Any) -> Any:
            counts = np.fromiter(visits.values(), np.float64, len(visits))
            return np.log1p(counts) @ table[list(visits)].astype(np.float64) + self.nb_pc

    return Identifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=_LEAST_CONFIDENCE)
