"""The manifest of a build before it runs, without shards and counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from noisebeam.transforms.noise.recipes import Recipe
from noisebeam.transforms.output.manifest import Manifest
from noisebeam.transforms.shards.format import field_dtypes
from noisebeam.transforms.shards.info import samples_per_block
from noisebeam.transforms.tokenization.tokenizer import LoadedTokenizer


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
    """Return the manifest of a planned build, without shards and counts, as `WriteShards` takes it.

    `recipe` is the noise that is baked in, None for none. `settings` are stored as they are,
    `plugins` are the packages of plugins by entry point. With None as `samples_per_member`, a block
    has about half a million tokens.
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
