"""Settings: fields of option dataclasses that users set, with their help texts.

    class WindowOptions:
        max_tokens: int = setting("largest window, in tokens", 512, metavar="N")

The command line, YAML files, the arguments of Beam YAML transforms and the metadata of a Dataflow
template are generated from these fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Setting:
    """Description of one setting that users can set: a field of an option class.

    `name` is the name that users see, such as `window_sentences`; `field` that of the dataclass
    field, such as `size`. `type` is its annotation as text, `default` is MISSING if a value is
    required, and `argument` has further keyword arguments for argparse.
    """

    name: str  # of the setting: `window_sentences`
    field: str  # of the dataclass: `size`
    type: str  # its annotation: `int | None`
    default: Any  # MISSING if it has to be given
    help: str
    argument: dict[str, Any]  # keyword arguments of argparse beside type, default and help

    @property
    def kind(self) -> str:
        """Type of the setting without None: "bool", "int", "float", "str" or "tuple[str, ...]"."""
        return self.type.removesuffix(" | None")

    @property
    def is_optional(self) -> bool:
        """True if None is a valid value of the setting."""
        return self.type.endswith(" | None")


def setting(
    help_text: str, default: Any = MISSING, *, name: str | None = None, **argument: Any
) -> Any:
    """Return a dataclass field for a setting that users can set.

    `name` is the name that users see, if it differs from that of the field. `argument` are keyword
    arguments for argparse. Without a default the setting is required.
    """
    metadata = {"help": help_text, "name": name, "argument": argument}
    return field(default=default, metadata=metadata)


def settings_of(options: type) -> Iterator[Setting]:
    """Yield a description of each setting of an option class, in the order of its fields."""
    for entry in fields(options):
        if "help" in entry.metadata:
            yield Setting(
                entry.metadata["name"] or entry.name,
                entry.name,
                str(entry.type),
                entry.default,
                entry.metadata["help"],
                entry.metadata["argument"],
            )


def values_of(options: Any) -> dict[str, Any]:
    """Return the values of the settings of an option object, by the names that users see.

    >>> @dataclass
    ... class Options:
    ...     size: int = setting("number of sentences", 3, name="window_sentences")
    >>> values_of(Options())
    {'window_sentences': 3}
    """
    return {one.name: getattr(options, one.field) for one in settings_of(type(options))}


def options_from(options: Any, values: dict[str, Any]) -> Any:
    """Return an object of the option class `options`, made from `values`, by the names that users
    see.

    Values that are not settings of this class are ignored.
    """
    given = {one.field: values[one.name] for one in settings_of(options) if one.name in values}
    return options(**given)
