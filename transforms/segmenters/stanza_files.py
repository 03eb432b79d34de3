"""Stanza's models on disk: find, fetch and load them.

Loading limits torch to one thread in the process, since Beam keeps every core busy with a process.
"""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from noisebeam.transforms.data.spans import SegmenterError
from noisebeam.transforms.errors import one_line

if TYPE_CHECKING:
    from noisebeam.transforms.segmenters.stanza_model import TokenizerModel

_NOT_INSTALLED = (
    "segmenter 'stanza': the package stanza is not installed; pip install 'noisebeam[stanza]'"
)


def load_stanza(lang: str, folder: str | None, device: str = "cpu") -> TokenizerModel:
    """Load the tokenizer model of a language from a folder to a torch device; nothing is
    fetched.
    """
    try:
        import stanza
        import torch
    except ImportError as error:
        raise SegmenterError(_NOT_INSTALLED) from error
    from noisebeam.transforms.segmenters.stanza_model import TokenizerModel

    torch.set_num_threads(1)
    if device != "cpu" and not torch.cuda.is_available():
        raise SegmenterError(
            f"stanza_device: expected a GPU that torch {torch.__version__} can use for {device!r}, "
            "found none on this "
            "machine; use --stanza-device cpu"
        )
    place = _model_folder(folder)
    try:
        pipeline = stanza.Pipeline(
            lang,
            dir=str(place),
            # Stanza adds the processor of multi-word tokens where the model needs it
            processors="tokenize",
            download_method=None,
            use_gpu=False,
            verbose=False,
        )
    except Exception as error:
        raise SegmenterError(_how_to_get(lang, place, error)) from error
    return TokenizerModel(pipeline.processors["tokenize"].trainer, device)


def prepare_stanza(lang: str, folder: str | None) -> None:
    """Fetch Stanza's model for a language into the folder if it is not there.

    Without `folder`, that of the environment variable STANZA_RESOURCES_DIR is used, or else
    Stanza's own.
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
    needed = [
        folder / lang / name / f"{packages[name]}.pt"
        for name in ("tokenize", "mwt")
        if name in packages
    ]
    return bool(needed) and all(path.is_file() for path in needed)


def _how_to_get(lang: str, folder: Path, error: Exception) -> str:
    return (
        f"segmenter 'stanza': no usable model for {lang!r} in {str(folder)!r} ({one_line(error)}); "
        f"""where there is a network, run python -c "import stanza; """
        f"""stanza.download({lang!r}, {str(folder)!r}, """
        """processors='tokenize')" and name the folder with --stanza-dir"""
    )
