"""Plugins: what other packages add, found by entry points.

A package declares them in its pyproject.toml, under the name that settings and recipes then use:

    [project.entry-points."noisebeam.segmenters"]
    clauses = "my_package.clauses:ClauseSegmenter"     # called without arguments: a Segmenter

    [project.entry-points."noisebeam.formats"]
    csv = "my_package.tables:read_csv"                 # read_csv(part, options)

    [project.entry-points."noisebeam.corruptions"]
    word-swap = "my_package.noise:WordSwap"            # a Corruption

    [project.entry-points."noisebeam.runners"]
    MyRunner = "my_package.runner:MyRunner"            # called without arguments: a Runner

The package has to be installed here and on every worker. A built-in name wins over a plugin's.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from noisebeam.transforms.errors import one_line

SEGMENTERS = "noisebeam.segmenters"
FORMATS = "noisebeam.formats"
CORRUPTIONS = "noisebeam.corruptions"


class PluginError(ValueError):
    """Error: an entry point cannot be used; the text names it and its package."""


@cache
def plugin_names(group: str) -> tuple[str, ...]:
    """Return the names of all entry points in a group, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=group)}))


@cache
def load_plugin(group: str, name: str) -> Any:
    """Return the object that the entry point `name` in a group points to.

    Raises PluginError if no package has this entry point, if two packages have it, or if it cannot
    be loaded.
    """
    found = tuple(entry_points(group=group, name=name))
    if not found:
        raise PluginError(
            f"{name!r}: no installed package offers it (entry points of group {group}); "
            "install the package that does, here and on every worker"
        )
    if len({entry.value for entry in found}) > 1:
        both = ", ".join(sorted(map(describe, found)))
        raise PluginError(
            f"{name!r}: expected one package to offer it, got {both}; uninstall all but one"
        )
    try:
        return found[0].load()
    except Exception as error:  # a module of theirs may raise anything
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise PluginError(
            f"{describe(found[0])} cannot be loaded ({reason}); mend or uninstall the package"
        ) from error


@cache
def plugin_origin(group: str, name: str) -> str:
    """Return name and version of the package that has the entry point `name`, as "my-package 1.0";
    "" if there is none.
    """
    return next((_package(entry) for entry in entry_points(group=group, name=name)), "")


def describe(entry: EntryPoint) -> str:
    """Return an entry point and its package in words, for error texts."""
    return f"entry point {entry.group}: {entry.name} = {entry.value} of package {_package(entry)}"


def _package(entry: EntryPoint) -> str:
    """Return name and version of the package of an entry point."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown"
