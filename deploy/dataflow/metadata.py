"""Metadata of the Flex Template: a parameter for each setting of a build, with its help text.

    python -m noisebeam.deploy.dataflow.metadata > deploy/dataflow/metadata.json

Dataflow checks a job's parameters against the patterns before it starts the launcher.
"""

from __future__ import annotations

import json
from dataclasses import MISSING
from typing import Any

from noisebeam.pipeline.builder.options import build_settings
from noisebeam.transforms.data.settings import Setting

_URL = r"[A-Za-z][A-Za-z0-9+.-]*://\S+"
_BY_NAME = {
    "input": rf"^{_URL}(\s+{_URL})*$",
    "output": rf"^{_URL}$",
    "tokenizer": r"^\S+$",
    "format": r"^[\w.:-]+$",
    "segmenter": r"^[\w.:-]+$",
    "lang": r"^(auto|[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*)$",
}
_BY_TYPE = {
    "bool": ("BOOLEAN", r"^(true|false)$"),
    "int": ("NUMBER", r"^[0-9]+$"),
    "float": ("NUMBER", r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$"),
}
_TEXT = ("TEXT", r"^\S(.*\S)?$")


def template_metadata() -> dict[str, Any]:
    """Return the metadata of Noisebeam's Flex Template, as a dict for JSON: each setting of a build
    as a parameter.
    """
    return {
        "name": "Noisebeam",
        "description": "Turns a text corpus into denoising pre-training data: "
        "WebDataset shards and a manifest.",
        "parameters": [_parameter(setting) for setting, _ in build_settings().values()],
    }


def _parameter(setting: Setting) -> dict[str, Any]:
    """Return the metadata of one parameter of the template, which is a setting of a build."""
    kind, pattern = _BY_TYPE.get(setting.kind, _TEXT)
    several = "; several: with spaces between them" if setting.type == "tuple[str, ...]" else ""
    parameter = {
        "name": setting.name,
        "label": setting.name.replace("_", " ").capitalize(),
        "helpText": setting.help + several,
        "isOptional": setting.default is not MISSING,
        "regexes": [_BY_NAME.get(setting.name, pattern)],
        "paramType": kind,
    }
    if setting.default not in (MISSING, None):
        parameter["defaultValue"] = (
            str(setting.default).lower() if kind == "BOOLEAN" else str(setting.default)
        )
    return parameter


if __name__ == "__main__":
    print(json.dumps(template_metadata(), indent=2, ensure_ascii=False))
