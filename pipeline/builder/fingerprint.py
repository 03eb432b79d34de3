"""What makes two builds the same build: whatever its bytes may depend on."""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version

from fsspec.core import url_to_fs

from noisebeam.pipeline.builder.options import BuildOptions
from noisebeam.transforms.beam import ReadDocuments
from noisebeam.transforms.io.input_files import for_each
from noisebeam.transforms.io.storage import answered
from noisebeam.transforms.output.manifest import Manifest

_PACKAGES = ("noisebeam", "numpy", "py3langid", "sentencex", "stanza", "tokenizers")
_NO_MATTER = ("output", "overwrite", "max_bad_fraction")


def identity(options: BuildOptions, header: Manifest, read: ReadDocuments) -> str:
    """Hex digits that other settings, another tokenizer, other packages or other input change.

    Input files are known by what their storage says of them: size, time of change, etag. They are
    not read.
    """
    files = sorted({part.url for part in read.parts})
    known = {
        "options": {
            name: value for name, value in asdict(options).items() if name not in _NO_MATTER
        },
        "header": header.to_json(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "parts": [asdict(part) for part in read.parts],
        "files": dict(zip(files, for_each(files, _state), strict=True)),
    }
    return sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _state(url: str) -> str:
    fs, path = url_to_fs(url)
    return str(answered(fs, lambda: fs.ukey(path)))
