"""Stanza's model files: find, download and load them.

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
    """Return Stanza's tokenizer model of a language, loaded from a folder onto a torch device;
    nothing is downloaded.

    None as `folder` is the folder of STANZA_RESOURCES_DIR, or else Stanza's own. Raises
    SegmenterError if the model or a package is missing.
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
    folder_path = _model_folder(folder)
    try:
        pipeline = stanza.Pipeline(
            lang,
            dir=str(folder_path),
            # Stanza adds the processor of multi-word tokens where the model needs it
            processors="tokenize",
            download_method=None,
            use_gpu=False,
            verbose=False,
        )
    except Exception as error:
        raise SegmenterError(_how_to_get(lang, folder_path, error)) from error
    return TokenizerModel(pipeline.processors["tokenize"].trainer, device)


def prepare_stanza(lang: str, folder: str | None) -> None:
    """Download Stanza's model of a language into a folder, if it is not there.

    None as `folder` is the folder of STANZA_RESOURCES_DIR, or else Stanza's own. Raises
    SegmenterError if that fails.
    """
    if find_spec("stanza") is None:
        raise SegmenterError(_NOT_INSTALLED)
    folder_path = _model_folder(folder)
    if _has_model(lang, folder_path):
        return
    import stanza

    try:
        stanza.download(lang, model_dir=str(folder_path), processors="tokenize", verbose=False)
    except Exception as error:
        raise SegmenterError(_how_to_get(lang, folder_path, error)) from error


def _model_folder(folder: str | None) -> Path:
    """Return the folder of Stanza's models: the given one, that of STANZA_RESOURCES_DIR, or
    Stanza's own.
    """
    if folder or (folder := os.environ.get("STANZA_RESOURCES_DIR")):
        return Path(folder)
    from stanza.resources.common import DEFAULT_MODEL_DIR

    return Path(DEFAULT_MODEL_DIR)


def _has_model(lang: str, folder: Path) -> bool:
    """Return True if a folder has all model files that Stanza needs to segment a language."""
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
    """Return an error text that says how to download the model of a language."""
    return (
        f"segmenter 'stanza': no usable model for {lang!r} in {str(folder)!r} ({one_line(error)}); "
        f"""where there is a network, run python -c "import stanza; """
        f"""stanza.download({lang!r}, {str(folder)!r}, """
        """processors='tokenize')" and name the folder with --stanza-dir"""
    )
