"""Fingerprint of a build: a hash of everything on which the bytes of its shards may depend."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version

from fsspec.core import url_to_fs

from noisebeam.pipeline.builder.options import BuildOptions
from noisebeam.transforms.io.input_files import FilePart, for_each
from noisebeam.transforms.io.timeouts import call_store
from noisebeam.transforms.output.manifest import Manifest

_PACKAGES = ("noisebeam", "numpy", "py3langid", "sentencex", "stanza", "tokenizers")
_IGNORED = ("output", "overwrite", "max_bad_fraction")


def fingerprint(options: BuildOptions, header: Manifest, parts: Sequence[FilePart]) -> str:
    """Return a hash, in hex digits, of the settings, the tokenizer, the versions of packages, and
    the state of the input files.

    A rerun with the same fingerprint can reuse finished shards. Input files are not read: the file
    system reports size, time of change or etag of each. `header` is the manifest without shards,
    `parts` are the parts of the input.
    """
    files = sorted({part.url for part in parts})
    known = {
        "options": {name: value for name, value in options.flat().items() if name not in _IGNORED},
        "header": header.to_json(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "parts": [asdict(part) for part in parts],
        "files": dict(zip(files, for_each(files, _state), strict=True)),
    }
    return sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _version(package: str) -> str | None:
    """Return the version of an installed package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _state(url: str) -> str:
    """Return what the file system reports of a file (size, time of change, etag), which changes
    with its content.
    """
    fs, path = url_to_fs(url)
    return str(call_store(fs, lambda: fs.ukey(path)))
