"""Sentences by Stanza's neural tokenizer: the most accurate segmenter here, and by far the slowest.

Many short texts go through the model at once, since a call costs far more than a short text. A text's sentences do
not depend on which texts come with it: a text with a long paragraph (which Stanza cuts differently in company) goes
alone, and a paragraph in which a prediction is a near tie, so that rounding could decide it, is predicted again, alone
and in double precision.

Loading limits torch to one thread in the process: Beam keeps every core busy with a process of its own.
"""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from noisebeam.transforms.spans import SegmenterError, Spans, piecewise_ends, spans_between

_LONG_PARAGRAPH = 999  # characters; Stanza predicts paragraphs of up to 1000 units, one of them padding, in one go
_PIECE = 50_000  # characters of a text at a time: a character takes several hundred bytes
_CALL = 100_000  # characters of short texts in a call
_NEAR_TIE = 1e-3  # difference of log probabilities; rounding in single precision changes them by about 1e-6
_NOT_INSTALLED = "segmenter 'stanza': the package stanza is not installed; pip install 'noisebeam[stanza]'"
_BLANK_LINE = re.compile(r"\n\s*\n")
_AS_SPACE = dict.fromkeys(range(0x80, 0xA0), " ")  # control characters that Stanza drops as white space


class StanzaSegmenter:
    """Sentence spans by a Stanza pipeline that has a tokenizer; the languages of single texts are not looked at."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        _settle_near_ties(pipeline.processors["tokenize"].trainer)

    def segment(self, texts: Sequence[str], langs: Sequence[str | None]) -> list[Spans]:
        """The spans of each text."""
        spaced = [text.translate(_AS_SPACE) for text in texts]
        trimmed = [text.strip() for text in spaced]  # Stanza takes blank lines around a text for part of its neighbours
        ends: dict[int, list[int]] = {}
        for group in _groups(trimmed):
            ends.update(zip(group, self._sentence_ends([trimmed[i] for i in group]), strict=True))
        return [
            spans_between(text, [len(whole) - len(whole.lstrip()) + end for end in ends.get(i, ())])
            for i, (text, whole) in enumerate(zip(texts, spaced, strict=True))
        ]

    def _sentence_ends(self, texts: Sequence[str]) -> list[list[int]]:
        if len(texts) == 1:
            return [piecewise_ends(texts[0], self._ends_of_piece, _PIECE)]
        return [_ends(document) for document in self._pipeline.bulk_process(texts, processors="tokenize")]

    def _ends_of_piece(self, text: str) -> list[int]:
        return _ends(self._pipeline.process(text, processors="tokenize")) if text.strip() else []


def _ends(document: Any) -> list[int]:
    return [sentence.tokens[-1].end_char for sentence in document.sentences]


def _groups(texts: Sequence[str]) -> Iterator[list[int]]:
    """The indices of texts that go through the model together; empty texts are left out."""
    group: list[int] = []
    size = 0
    for index, text in enumerate(texts):
        if any(len(paragraph) > _LONG_PARAGRAPH for paragraph in _BLANK_LINE.split(text)) or len(text) > _PIECE:
            yield [index]
        elif text:
            group.append(index)
            size += len(text)
            if size >= _CALL:
                yield group
                group, size = [], 0
    if group:
        yield group


def _settle_near_ties(trainer: Any) -> None:
    """Makes a tokenizer's predictions independent of the paragraphs that are predicted together."""
    exact_model = copy.deepcopy(trainer.model).double().eval()
    predict = trainer.predict

    def predict_independently(batch: Any) -> Any:
        units, _, features, paragraphs = batch
        scores = predict(batch)  # (paragraphs, units, classes), log probabilities
        best = np.partition(scores, -2, axis=-1)[..., -2:]
        for row in np.flatnonzero((best[..., 1] - best[..., 0] < _NEAR_TIE).any(axis=1)).tolist():
            length = len(paragraphs[row])
            alone = exact_model(
                units[row : row + 1, :length],
                features[row : row + 1, :length].double(),
                [length],
                [paragraphs[row]],
            )
            scores[row, :length] = alone[0].numpy()
        return scores

    trainer.predict = predict_independently


def load_stanza(lang: str, folder: str | None) -> StanzaSegmenter:
    """The segmenter with the model in the folder (see `prepare_stanza`); nothing is fetched."""
    try:
        import stanza
        import torch
    except ImportError as error:
        raise SegmenterError(_NOT_INSTALLED) from error
    torch.set_num_threads(1)
    place = _model_folder(folder)
    try:
        pipeline = stanza.Pipeline(
            lang,
            dir=str(place),
            processors="tokenize",  # Stanza adds the processor of multi-word tokens where the model needs it
            download_method=None,
            use_gpu=False,
            verbose=False,
        )
    except Exception as error:
        raise SegmenterError(_how_to_get(lang, place, error)) from error
    return StanzaSegmenter(pipeline)


def prepare_stanza(lang: str, folder: str | None) -> None:
    """Makes sure that Stanza's model for a language is in the folder; it is fetched if it is not.

    The folder is the one given, else that of the environment variable STANZA_RESOURCES_DIR, else Stanza's own.
    """
    if find_spec("stanza") is None:
        raise SegmenterError(_NOT_INSTALLED)
    place = _model_folder(folder)
    if _has_model(lang, place):
        return
    import stanza

    try:
        stanza.download(lang, model_dir=str(place), processors="tokenize", verbose=False)
    except Exception as error:
        raise SegmenterError(_how_to_get(lang, place, error)) from error


def _model_folder(folder: str | None) -> Path:
    if folder or (folder := os.environ.get("STANZA_RESOURCES_DIR")):
        return Path(folder)
    from stanza.resources.common import DEFAULT_MODEL_DIR

    return Path(DEFAULT_MODEL_DIR)


def _has_model(lang: str, folder: Path) -> bool:
    try:
        resources = json.loads((folder / "resources.json").read_text(encoding="utf-8"))
        lang = resources[lang.lower()].get("alias", lang.lower())
        packages = resources[lang]["packages"]["default"]
    except (OSError, ValueError, KeyError):
        return False
    needed = [folder / lang / name / f"{packages[name]}.pt" for name in ("tokenize", "mwt") if name in packages]
    return bool(needed) and all(path.is_file() for path in needed)


def _how_to_get(lang: str, folder: Path, error: Exception) -> str:
    return (
        f"segmenter 'stanza': no usable model for {lang!r} in {str(folder)!r} ({' '.join(str(error).split())}); "
        f"""where there is a network, run python -c "import stanza; stanza.download({lang!r}, {str(folder)!r}, """
        """processors='tokenize')" and name the folder with --stanza-dir"""
    )
