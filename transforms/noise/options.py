"""Settings of the noise that a build applies."""

from __future__ import annotations

from dataclasses import dataclass

from noisebeam.transforms.data.settings import setting


@dataclass(frozen=True, kw_only=True)
class NoiseOptions:
    """Settings of the noise that is baked into the shards of a build; None as `recipe` bakes in
    none.
    """

    recipe: str | None = setting(
        "noise to bake in: a preset or a YAML file (default: none)", None, metavar="NAME"
    )
    seed: int = setting("seed of the shuffle and the noise", 0, metavar="N")

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed: expected 0 to 2**63 - 1, got {self.seed!r}")
