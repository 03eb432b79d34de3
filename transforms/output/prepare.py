"""The beginning of a build: the output is made ready, and the manifest written down as far as it
can be known.

`finish` is its counterpart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from noisebeam.transforms.io.storage import check_writable, exists, join, publish
from noisebeam.transforms.noise import Recipe
from noisebeam.transforms.output.finish import TOKENIZER_FOLDER, clear_verdict
from noisebeam.transforms.output.manifest import MANIFEST_NAME, Manifest
from noisebeam.transforms.shards.format import field_dtypes
from noisebeam.transforms.shards.writer import samples_per_block
from noisebeam.transforms.tokenization.tokenizer import CONFIG_FILE, TOKENIZER_FILE, LoadedTokenizer


def plan_manifest(
    tokenizer: LoadedTokenizer,
    recipe: Recipe | None = None,
    *,
    seed: int,
    max_tokens: int = 512,
    samples_per_member: int | None = None,
    settings: Mapping[str, Any] | None = None,
    plugins: Mapping[str, str] | None = None,
) -> Manifest:
    """The header that WriteShards wants: a manifest without shards and counts.

    `recipe` is the one that has been baked in, `samples_per_member` None what suits `max_tokens`.
    """
    dtypes = field_dtypes(
        tokenizer.vocabulary.size,
        max_tokens,
        labels_masked=recipe is not None and recipe.masks_labels,
    )
    return Manifest(
        settings=settings or {},
        recipe=recipe.text if recipe is not None else None,
        plugins=plugins or {},
        baked=recipe is not None,
        seed=seed,
        tokenizer={"name": tokenizer.name, "sha256": tokenizer.fingerprint},
        vocabulary=tokenizer.vocabulary.to_json(),
        fields={name: dtype.name for name, dtype in dtypes.items()},
        samples_per_member=samples_per_member or samples_per_block(max_tokens),
        max_tokens=max_tokens,
        shards=(),
        counts={},
    )


def check_replaceable(url: str, overwrite: bool) -> None:
    """ValueError if the folder `url` holds a finished build that is not to be replaced."""
    if exists(join(url, MANIFEST_NAME)) and not overwrite:
        raise ValueError(
            f"{url} holds a finished build: give another --output, or --overwrite to replace it"
        )


def start_output(
    url: str, tokenizer: LoadedTokenizer, *, overwrite: bool = False
) -> LoadedTokenizer:
    """Make the folder `url` ready for shards; the tokenizer, by the name under which every worker
    finds it there.

    From then on an older build in the folder is no finished one. ValueError if there is one that
    `overwrite` does not allow to be replaced, OSError if the folder cannot be written to.
    """
    check_replaceable(url, overwrite)
    check_writable(url)
    clear_verdict(url)
    folder = join(url, TOKENIZER_FOLDER)
    publish(join(folder, TOKENIZER_FILE), tokenizer.tokenizer_json.encode())
    publish(join(folder, CONFIG_FILE), tokenizer.config_json.encode())
    return replace(tokenizer, name=folder)
