"""How a build is assembled, and how its result is consumed.

Public names are `ShardDataset`, its batchings `OneByOne`, `GroupByLength` and `Pack`, `LengthWarmup`, `Mixture`,
`SampleView`, `ShardCache`, `read_manifest`, `Manifest`, and the collators for data sets of your own. They are loaded
when they are first used: to import this package imports neither PyTorch nor Beam.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noisebeam.pipeline.batching import GroupByLength, OneByOne
    from noisebeam.pipeline.cache import ShardCache
    from noisebeam.pipeline.collators import (
        CausalCollator,
        DenoisingCollator,
        GlmCollator,
        MlmCollator,
        PrefixCollator,
        SpanCollator,
    )
    from noisebeam.pipeline.dataset import ShardDataset
    from noisebeam.pipeline.mixture import Mixture
    from noisebeam.pipeline.packing import Pack
    from noisebeam.pipeline.view import SampleView
    from noisebeam.pipeline.warmup import LengthWarmup
    from noisebeam.transforms.manifest import Manifest, read_manifest

__all__ = [
    "CausalCollator",
    "DenoisingCollator",
    "GlmCollator",
    "GroupByLength",
    "LengthWarmup",
    "Manifest",
    "Mixture",
    "MlmCollator",
    "OneByOne",
    "Pack",
    "PrefixCollator",
    "SampleView",
    "ShardCache",
    "ShardDataset",
    "SpanCollator",
    "read_manifest",
]

_MODULES = {
    "CausalCollator": "noisebeam.pipeline.collators",
    "DenoisingCollator": "noisebeam.pipeline.collators",
    "GlmCollator": "noisebeam.pipeline.collators",
    "MlmCollator": "noisebeam.pipeline.collators",
    "PrefixCollator": "noisebeam.pipeline.collators",
    "SpanCollator": "noisebeam.pipeline.collators",
    "GroupByLength": "noisebeam.pipeline.batching",
    "LengthWarmup": "noisebeam.pipeline.warmup",
    "Manifest": "noisebeam.transforms.manifest",
    "Mixture": "noisebeam.pipeline.mixture",
    "OneByOne": "noisebeam.pipeline.batching",
    "Pack": "noisebeam.pipeline.packing",
    "SampleView": "noisebeam.pipeline.view",
    "ShardCache": "noisebeam.pipeline.cache",
    "ShardDataset": "noisebeam.pipeline.dataset",
    "read_manifest": "noisebeam.transforms.manifest",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
