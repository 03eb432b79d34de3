"""Registry of corruptions: those that recipes know by name.

They are the classes in the modules of `corruptions/`, and those of other packages' entry points. A
class in a module of `corruptions/` needs no other registration.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import numpy as np

from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.errors import did_you_mean
from noisebeam.transforms.noise import corruptions
from noisebeam.transforms.noise.checks import check_keys
from noisebeam.transforms.plugins import (
    CORRUPTIONS,
    PluginError,
    load_plugin,
    plugin_names,
    plugin_origin,
)

if TYPE_CHECKING:
    from noisebeam.transforms.noise.corruption import Corruption


@cache
def built_in_corruptions() -> Mapping[str, type[Corruption]]:
    """Return the corruption classes of this package by name, in the order of their modules."""
    modules = sorted(module.name for module in pkgutil.iter_modules(corruptions.__path__))
    found = (
        kind
        for module in modules
        for kind in vars(import_module(f"{corruptions.__name__}.{module}")).values()
        if is_corruption(kind) and kind.__module__ == f"{corruptions.__name__}.{module}"
    )
    return {kind.name: kind for kind in found}


def is_corruption(kind: object) -> TypeGuard[type[Corruption]]:
    """Return True if `kind` is a class with `name`, `check` and `apply`, as the protocol
    `Corruption` has.
    """
    return isinstance(kind, type) and all(
        hasattr(kind, member) for member in ("name", "check", "apply")
    )


def corruption_class(name: object) -> type[Corruption]:
    """Return the corruption class with this name, of this package or of an installed plugin.

    Raises ValueError if there is none, and PluginError if the plugin's class is not a corruption.
    """
    built_in = built_in_corruptions()
    added = plugin_names(CORRUPTIONS) if name not in built_in else ()
    if name in added:
        return _plugin_class(str(name))
    if name not in built_in:
        raise ValueError(
            f"corruption {name!r}: expected one of {', '.join((*built_in, *added))}, or the name "
            "of one that an installed package adds" + did_you_mean(name, (*built_in, *added))
        )
    return built_in[str(name)]


def _plugin_class(name: str) -> type[Corruption]:
    """Return the class that an installed plugin offers under this name; raise PluginError if it is
    not a corruption.
    """
    kind: object = load_plugin(CORRUPTIONS, name)
    problem = None
    if not (isinstance(kind, type) and is_dataclass(kind)):
        problem = f"expected a dataclass, got {kind!r:.80}"
    elif getattr(kind, "name", None) != name:
        problem = f"expected its name to be {name!r}, got {getattr(kind, 'name', None)!r}"
    elif missing := [
        method for method in ("check", "apply") if not callable(getattr(kind, method, None))
    ]:
        problem = f"expected a method {missing[0]}"
    if problem:
        raise PluginError(f"corruption {name!r} of {plugin_origin(CORRUPTIONS, name)}: {problem}")
    return cast("type[Corruption]", kind)


def read_corruption(entry: Any) -> Corruption:
    """Return the corruption that an entry of a recipe describes: a name, or a mapping of one name
    to its settings.

    Raises ValueError, in one line with the corruption and the key.
    """
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise ValueError(f"corruption {entry!r}: expected a name, or one name with its settings")
    name, settings = next(iter(entry.items()))
    kind = corruption_class(name)
    settings = {} if settings is None else settings
    if not isinstance(settings, Mapping):
        raise ValueError(
            f"{name}: settings are {settings!r}; expected a mapping, as in {{probability: 1}}"
        )
    known = {field.name: field for field in fields(cast(Any, kind))}
    check_keys(name, settings, tuple(known))
    readers = {key: known[key].metadata.get("read") for key in settings}
    return kind(
        **{
            key: value if (read := readers[key]) is None else read(name, value)
            for key, value in settings.items()
        }
    )


def write_corruption(corruption: Corruption) -> dict[str, Any]:
    """Return the settings of a corruption as a dict for JSON or YAML, the inverse of
    `read_corruption`.
    """
    settings = asdict(cast(Any, corruption))
    for field in fields(cast(Any, corruption)):
        if (write := field.metadata.get("write")) is not None:
            settings[field.name] = write(getattr(corruption, field.name))
    return settings


def apply_corruption(
    corruption: Corruption, batch: FlatBatch, vocabulary: Vocabulary, seed: int, epoch: int
) -> FlatBatch:
    """Return a flat batch after one corruption.

    Raises PluginError if the corruption is of another package and its result is not a valid batch.
    """
    after = corruption.apply(batch, vocabulary, seed=seed, epoch=epoch)
    is_built_in = corruption.name in built_in_corruptions()
    if not is_built_in and (problem := find_problem(batch, after, vocabulary)):
        origin = plugin_origin(CORRUPTIONS, corruption.name)
        raise PluginError(f"corruption {corruption.name!r} of {origin}: {problem}")
    return after


def find_problem(before: FlatBatch, after: object, vocabulary: Vocabulary) -> str | None:
    """Return in words what is wrong with the result `after` of a corruption; None if it is a valid
    batch with the samples of `before`.
    """
    if not isinstance(after, FlatBatch):
        return f"expected a FlatBatch, got {type(after).__name__}"
    if not np.array_equal(before.keys, after.keys):
        return f"expected the same {len(before)} samples, got {len(after)} or in another order"
    offsets, size = after.offsets, len(after.ids)
    if (
        len(offsets) != len(after) + 1
        or offsets[0] != 0
        or offsets[-1] != size
        or (offsets[1:] < offsets[:-1]).any()
    ):
        return f"expected offsets of {len(after)} samples, from 0 up to {size} ids"
    if size and not 0 <= after.ids.min() <= after.ids.max() < vocabulary.size:
        least, most = after.ids.min(), after.ids.max()
        return f"expected ids from 0 to {vocabulary.size - 1}, got {least} to {most}"
    return None
