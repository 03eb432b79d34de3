"""Corruptions of other packages: what they have to be, and what is checked of them."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any, ClassVar, Protocol, cast

import numpy as np

from noisebeam.transforms.data.keys import text_key
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.plugins import CORRUPTIONS, PluginError, load_plugin, plugin_origin


class CorruptionPlugin(Protocol):
    """A frozen dataclass, whose fields are the settings of the corruption in recipes: plain values
    with defaults.

    It goes with the objective `denoising`. Its random numbers have to come from `draws`, with
    streams of `stream_keys(seed, epoch, batch.keys, purpose_of("my-package: what for"))`, and the
    result of a sample must not depend on the other samples of the batch. Then it is the same in
    Beam and in the data set.
    """

    name: ClassVar[str]  # that of the entry point

    def check(self, vocabulary: Vocabulary) -> None:
        """ValueError if the vocabulary lacks what these settings need."""
        ...

    def apply(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> FlatBatch:
        """The batch after the corruption: the same samples in the same order, and special tokens
        untouched.
        """
        ...


def purpose_of(name: str) -> int:
    """The purpose of a stream of draws, for `stream_keys`: never that of a corruption of Noisebeam.

    >>> purpose_of("my-package: places") >= 2**63
    True
    """
    return text_key(name) | 1 << 63


def load_corruption(name: str) -> type[Any]:
    """The class of settings that a package offers under this name; PluginError if it is none."""
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
    return cast(type[Any], kind)


def apply_plugin(
    corruption: CorruptionPlugin, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
) -> FlatBatch:
    """The batch after a corruption of another package; PluginError if what it gives is no such
    batch.
    """
    after = corruption.apply(batch, vocabulary, seed=seed, epoch=epoch)
    problem = _find_problem(batch, after, vocabulary)
    if problem:
        origin = plugin_origin(CORRUPTIONS, corruption.name)
        raise PluginError(f"corruption {corruption.name!r} of {origin}: {problem}")
    return after


def _find_problem(before: FlatBatch, after: FlatBatch, vocabulary: Vocabulary) -> str | None:
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
        return f"expected ids from 0 to {vocabulary.size - 1}, got {after.ids.min()} to {after.ids.max()}"
    return None
