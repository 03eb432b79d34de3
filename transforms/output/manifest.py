"""The manifest of a finished build: how it was made, and its shards.

It is written last: a folder without one is an unfinished build.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import Any

import numpy as np

from noisebeam.transforms.io.safe_yaml import load_yaml
from noisebeam.transforms.io.storage import TooLargeError, join, publish, read_bytes
from noisebeam.transforms.printable import printable
from noisebeam.transforms.shards.info import SAMPLES_PER_MEMBER, ShardInfo

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"

_MOST_BYTES = 2**29  # more than the manifest of 999,999 shards has
_SHA256 = re.compile(r"[0-9a-f]{64}")
_INTEGERS = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}


class ManifestError(ValueError):
    """Error: a folder has no finished build, or its manifest cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Manifest of a build: how it was made, and its shards.

    `settings` are those of the build, `tokenizer` the tokenizer's name and fingerprint,
    `vocabulary` the result of `Vocabulary.to_json`. `fields` has the dtype of each array that
    shards may contain, by name. `max_tokens` is the length of the longest possible sample; a shard
    has `samples_per_member` samples in each block. `baked` is True if noise was applied at build
    time, and `recipe` is then its YAML text, else None. `plugins` are the packages of plugins by
    entry point, `counts` the numbers of documents, samples, tokens, dead letters and others.
    """

    seed: int
    settings: Mapping[str, Any]  # those of the build
    tokenizer: Mapping[str, Any]  # its name and fingerprint
    vocabulary: Mapping[str, Any]  # as `Vocabulary.to_json` gives it
    fields: Mapping[str, str]  # the dtype of each array that shards may have, by name
    max_tokens: int
    samples_per_member: int = SAMPLES_PER_MEMBER
    baked: bool = False  # noise was applied when the shards were written
    recipe: str | None = None  # its text, in YAML
    # entry points of other packages: who they are
    plugins: Mapping[str, str] = field(default_factory=dict)
    shards: tuple[ShardInfo, ...] = ()
    # documents, samples, tokens, dead letters, ...
    counts: Mapping[str, int] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    @property
    def dtypes(self) -> dict[str, np.dtype[np.generic]]:
        """Dtype of each array that the shards of this build may contain, by name."""
        return {name: np.dtype(dtype) for name, dtype in self.fields.items()}

    @property
    def recipe_name(self) -> str | None:
        """Name of the recipe of baked noise; None for clean samples."""
        return None if self.recipe is None else load_yaml(self.recipe).get("name")

    @property
    def samples(self) -> int:
        """Number of samples in all shards of this build."""
        return sum(shard.samples for shard in self.shards)

    @property
    def tokens(self) -> int:
        """Number of tokens in all shards of this build."""
        return sum(shard.tokens for shard in self.shards)

    @property
    def digest(self) -> str:
        """Hash of the shards of this build, sixteen hex digits, which differs for other shards or
        other samples.
        """
        shards = "".join(f"{shard.sha256} {shard.samples}\n" for shard in self.shards)
        return sha256(f"{self.samples_per_member}\n{shards}".encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Return the manifest as the text of its file, which is the same whenever and wherever the
        build runs.
        """
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        values["shards"] = [shard.to_json() for shard in self.shards]
        return json.dumps(values, indent=1, sort_keys=True, ensure_ascii=True) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Return the manifest whose file has this text; raise ManifestError, with what is wrong, if
        it is not valid.
        """
        values = _object(text)
        version = values.get("format_version")
        if version != FORMAT_VERSION:
            raise ManifestError(
                f"expected format_version {FORMAT_VERSION}, got {version!r}; "
                "read it with the version of Noisebeam that wrote it, or build again"
            )
        try:
            values["shards"] = tuple(ShardInfo.from_json(shard) for shard in values["shards"])
            manifest = cls(**values)
            _check_types(manifest)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ManifestError(
                f"expected the entries of a manifest, got others: {error}; build again"
            ) from error
        for shard in manifest.shards:
            _check_shard(shard)
        return manifest


def _check_types(manifest: Manifest) -> None:
    """Raise ValueError if the manifest has dtypes that are not integers, or a recipe that is not a
    mapping.
    """
    if unknown := [dtype for dtype in manifest.fields.values() if dtype not in _INTEGERS]:
        raise ValueError(f"fields of dtype {unknown[0]!r}")
    if manifest.recipe is not None and not isinstance(load_yaml(manifest.recipe), Mapping):
        raise ValueError("a recipe that is not a mapping")


def _check_shard(shard: ShardInfo) -> None:
    """Raise ManifestError unless the names, checksums and counts of a shard are valid."""
    for name, value in shard.to_json().items():
        if name in ("name", "index_name"):
            check_name(value)
        elif name in ("sha256", "index_sha256"):
            if not (isinstance(value, str) and _SHA256.fullmatch(value)):
                raise ManifestError(
                    f"expected 64 hex digits as {name} of {shard.name}, got {value!r:.80}; build "
                    "again"
                )
        elif name == "held_out":
            if not isinstance(value, bool):
                raise ManifestError(
                    f"expected true or false as held_out of {shard.name}, got {value!r:.80}"
                )
        elif not (type(value) is int and 0 <= value < 2**63):
            raise ManifestError(
                f"expected a count as {name} of {shard.name}, got {value!r:.80}; build again"
            )


def check_name(name: str) -> None:
    """Raise ManifestError unless `name` is the name of a file directly in the folder, without any
    path.

    >>> check_name("shard-00000-of-00016.tar")
    """
    plain = isinstance(name, str) and name == printable(name)
    if not plain or not name or name.startswith(".") or set(name) & set("/\\:\t\n"):
        raise ManifestError(f"expected the name of a file beside the manifest, got {name!r}")


def write_manifest(url: str, manifest: Manifest) -> None:
    """Write the manifest into the folder `url`; from then on the build there is finished."""
    publish(join(url, MANIFEST_NAME), manifest.to_json().encode())


def read_manifest(url: str, read: Callable[[str, int], bytes] = read_bytes) -> Manifest:
    """Return the manifest of the finished build in the folder `url`.

    `read(url, most)` returns the content of a file of at most `most` bytes, and raises the errors
    of `read_bytes`. Raises ManifestError, with the folder and what is wrong.
    """
    try:
        data = read(join(url, MANIFEST_NAME), _MOST_BYTES)
    except TooLargeError as error:
        raise ManifestError(
            f"cannot read {join(url, MANIFEST_NAME)}: {error}; build again"
        ) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ManifestError(
            f"{url} has no {MANIFEST_NAME}: it is no data set, or an unfinished build; run the "
            "build (again) to its end"
        ) from error
    try:
        return Manifest.from_json(data)
    except ManifestError as error:
        raise ManifestError(f"cannot read {join(url, MANIFEST_NAME)}: {error}") from error


def _object(text: str | bytes) -> dict[str, Any]:
    """Return the JSON object in a text; raise ManifestError if there is none."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise ManifestError(f"expected JSON, got something else: {error}; build again") from error
    except RecursionError as error:
        raise ManifestError("expected JSON, got too many nested brackets; build again") from error
    if not isinstance(values, dict):
        raise ManifestError(f"expected a JSON object, got {type(values).__name__}; build again")
    return values
