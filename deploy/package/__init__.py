"""Public names of Noisebeam, each imported from its module when it is first used.

`import noisebeam` imports neither PyTorch nor Beam. If the module of a name needs a package that is
not installed, ModuleNotFoundError is raised, with the extra to install.
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
    from noisebeam.pipeline.builder.build import build
    from noisebeam.pipeline.builder.options import BuildOptions, SettingsError
    from noisebeam.pipeline.builder.result import BuildResult
    from noisebeam.pipeline.dataset.map_style import SampleView
    from noisebeam.pipeline.dataset.mixture import Mixture
    from noisebeam.pipeline.dataset.shard_dataset import ShardDataset
    from noisebeam.pipeline.epoch.length_warmup import LengthWarmup
    from noisebeam.pipeline.epoch.shard_cache import ShardCache
    from noisebeam.pipeline.inspect.verify import verify
    from noisebeam.pipeline.trainer import StreamTrainer
    from noisebeam.transforms.noise.apply import apply_recipe
    from noisebeam.transforms.noise.recipes import Recipe, load_recipe
    from noisebeam.transforms.output.manifest import Manifest, read_manifest

    __version__: str

__all__ = [
    "BuildOptions",
    "BuildResult",
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
    "Recipe",
    "SampleView",
    "SettingsError",
    "ShardCache",
    "ShardDataset",
    "SpanCollator",
    "StreamTrainer",
    "__version__",
    "apply_recipe",
    "build",
    "load_recipe",
    "read_manifest",
    "verify",
]

_NAMES = {
    "pipeline.batching.collators": (
        "CausalCollator",
        "DenoisingCollator",
        "GlmCollator",
        "MlmCollator",
        "PrefixCollator",
        "SpanCollator",
    ),
    "pipeline.batching.packing": ("Pack",),
    "pipeline.batching.plan": ("GroupByLength", "OneByOne"),
    "pipeline.builder.build": ("build",),
    "pipeline.builder.options": ("BuildOptions", "SettingsError"),
    "pipeline.builder.result": ("BuildResult",),
    "pipeline.dataset.map_style": ("SampleView",),
    "pipeline.dataset.mixture": ("Mixture",),
    "pipeline.dataset.shard_dataset": ("ShardDataset",),
    "pipeline.epoch.length_warmup": ("LengthWarmup",),
    "pipeline.epoch.shard_cache": ("ShardCache",),
    "pipeline.inspect.verify": ("verify",),
    "pipeline.trainer": ("StreamTrainer",),
    "transforms.noise.apply": ("apply_recipe",),
    "transforms.noise.recipes": ("Recipe", "load_recipe"),
    "transforms.output.manifest": ("Manifest", "read_manifest"),
}
_MODULES = {name: f"noisebeam.{module}" for module, names in _NAMES.items() for name in names}
_EXTRAS = {"torch": "train", "transformers": "train", "accelerate": "train", "apache_beam": "beam"}


def __getattr__(name: str) -> Any:
    """Return a public name of this package, imported from its module at the first use.

    Raises ModuleNotFoundError, with the extra to install, if the module needs a missing package.
    """
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("noisebeam")
    elif name in _MODULES:
        try:
            value = getattr(import_module(_MODULES[name]), name)
        except ModuleNotFoundError as error:
            raise _missing_extra(name, error) from error
    else:
        raise AttributeError(f"module 'noisebeam' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names of this package, without importing them."""
    return sorted({*globals(), *__all__})


def _missing_extra(name: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """Return the error for a missing package with the extra to install; `error` itself if no extra
    has the package.
    """
    package = (error.name or "").partition(".")[0]
    if package not in _EXTRAS:
        return error
    return ModuleNotFoundError(
        f"noisebeam.{name}: expected the package {package}, got none; "
        f"do pip install 'noisebeam[{_EXTRAS[package]}]'",
        name=error.name,
        path=error.path,
    )
