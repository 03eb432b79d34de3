"""Arguments of the Beam YAML transforms, generated from the settings of option classes.

Beam YAML reads the signature of a transform and the `Args` of its docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import MISSING
from inspect import Parameter, Signature
from typing import Any, TypeVar

from noisebeam.transforms.data.settings import Setting

Class = TypeVar("Class", bound=type)

_TYPES: dict[str, Any] = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "tuple[str, ...]": list[str],
}


def argument(name: str, kind: str, help_text: str, default: Any = MISSING) -> Setting:
    """Return the description of an argument of a transform that is not a setting of an option
    class.

    `kind` is its type: "str", "int", "float" or "tuple[str, ...]".
    """
    return Setting(name, name, kind, default, help_text, {})


def takes(*arguments: Setting | Iterable[Setting]) -> Callable[[Class], Class]:
    """Return a class decorator that gives a PTransform these arguments: in the signature that Beam
    YAML reads, and in the docstring.

    The `__init__` of the class gets all of them by keyword, lists as tuples.
    """
    flat = [
        one for given in arguments for one in ([given] if isinstance(given, Setting) else given)
    ]
    flat.sort(key=lambda one: one.default is not MISSING)  # required arguments come first

    def decorate(transform: Class) -> Class:
        self_parameter = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
        signature = Signature([self_parameter, *map(_parameter, flat)])
        initialise = transform.__init__  # type: ignore[misc]

        def initialise_with(self: Any, *values: Any, **named: Any) -> None:
            bound = signature.bind(self, *values, **named)
            bound.apply_defaults()
            given = {name: value for name, value in bound.arguments.items() if name != "self"}
            for one in flat:
                if one.kind == "tuple[str, ...]":
                    given[one.name] = tuple(given[one.name] or ())
            initialise(self, **given)

        initialise_with.__signature__ = signature  # type: ignore[attr-defined]
        lines = [f"      {one.name}: {one.help}." for one in flat]
        transform.__init__ = initialise_with  # type: ignore[misc]
        transform.__doc__ = "\n".join([transform.__doc__ or "", "", "    Args:", *lines])
        return transform

    return decorate


def _parameter(one: Setting) -> Parameter:
    """Return the description of an argument as a parameter of a Python signature."""
    is_list = one.kind == "tuple[str, ...]"
    kind = _TYPES[one.kind]
    if one.default is MISSING:
        return Parameter(one.name, Parameter.POSITIONAL_OR_KEYWORD, annotation=kind)
    annotation = kind | None if one.is_optional or is_list else kind
    default = None if is_list else one.default
    return Parameter(
        one.name, Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation, default=default
    )
