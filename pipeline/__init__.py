"""How a build is assembled, and how its result is consumed.

Public names are `ShardDataset`, its batchings `OneByOne`, `GroupByLength` and `Pack`,
`LengthWarmup`, `Mixture`, `SampleView`, `ShardCache`, `read_manifest`, `Manifest`, and the
collators for data sets of your own. They are loaded when they are first used: to import this
package imports neither PyTorch nor Beam.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import noisebeam

if TYPE_CHECKING:
    from noisebeam import (
        CausalCollator,
        DenoisingCollator,
        GlmCollator,
        GroupByLength,
        LengthWarmup,
        Manifest,
        Mixture,
        MlmCollator,
        OneByOne,
        Pack,
        PrefixCollator,
        SampleView,
        ShardCache,
        ShardDataset,
        SpanCollator,
        read_manifest,
    )

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


def __getattr__(name: str) -> Any:
    """Return a public name; the module `noisebeam` knows where each is."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(noisebeam, name)
