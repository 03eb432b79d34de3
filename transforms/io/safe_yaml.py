"""YAML from strangers: read as plain values only, with bounded depth and size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from noisebeam.transforms.errors import one_line

_MOST_DEPTH = 50  # the time that reading takes grows with its square


def load_yaml(text: str) -> Any:
    """Return the values of a YAML text (dicts, lists, strings, numbers, ...); raise ValueError, in
    one line, if it is not valid.

    Tags of objects are refused, and so are aliases, with which a short text can mean unbounded
    values.

    >>> load_yaml("name: bart")
    {'name': 'bart'}
    """
    try:
        _check(yaml.parse(text, Loader=yaml.SafeLoader))
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(one_line(error)) from error


def _check(events: Iterable[yaml.Event]) -> None:
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(
            event, yaml.CollectionEndEvent
        )
        if depth > _MOST_DEPTH:
            raise ValueError(f"expected at most {_MOST_DEPTH} nested lists and mappings, got more")
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases such as *name are not taken; write the value out")
