"""How a build is assembled, and how its result is consumed.

Public names are `ShardDataset`, its batchings `OneByOne`, `GroupByLength` and `Pack`,
`LengthWarmup`, `Mixture`, `SampleView`, `ShardCache`, `read_manifest`, `Manifest`, and the
collators for data sets of your own. They are loaded when they are first used: to import this
package imports neither PyTorch nor Beam.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noisebeam.pipeline.batching.collators import (
        CausalCollator,
        DenoisingCollator,
        GlmCollator,
        MlmCollator,
        PrefixCollator,
        SpanCollator,
    )
    from noisebeam.pipeline.batching.packing import Pack
    from noisebeam.pipeline.batching.plan import GroupByLength, OneByOne
    from noisebeam.pipeline.dataset.map_style import SampleView
    from noisebeam.pipeline.dataset.mixture import Mixture
    from noisebeam.pipeline.dataset.shard_dataset import ShardDataset
    from noisebeam.pipeline.epoch.length_warmup import LengthWarmup
    from noisebeam.pipeline.epoch.shard_cache import ShardCache
    from noisebeam.transforms.output.manifest import Manifest, read_manifest

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
    "CausalCollator": "noisebeam.pipeline.batching.collators",
    "DenoisingCollator": "noisebeam.pipeline.batching.collators",
    "GlmCollator": "noisebeam.pipeline.batching.collators",
    "MlmCollator": "noisebeam.pipeline.batching.collators",
    "PrefixCollator": "noisebeam.pipeline.batching.collators",
    "SpanCollator": "noisebeam.pipeline.batching.collators",
    "GroupByLength": "noisebeam.pipeline.batching.plan",
    "LengthWarmup": "noisebeam.pipeline.epoch.length_warmup",
    "Manifest": "noisebeam.transforms.output.manifest",
    "Mixture": "noisebeam.pipeline.dataset.mixture",
    "OneByOne": "noisebeam.pipeline.batching.plan",
    "Pack": "noisebeam.pipeline.batching.packing",
    "SampleView": "noisebeam.pipeline.dataset.map_style",
    "ShardCache": "noisebeam.pipeline.epoch.shard_cache",
    "ShardDataset": "noisebeam.pipeline.dataset.shard_dataset",
    "read_manifest": "noisebeam.transforms.output.manifest",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
