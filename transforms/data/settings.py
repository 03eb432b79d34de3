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
    """A field of an option class, under the name by which users know it."""

    name: str  # of the setting: `window_sentences`
    field: str  # of the dataclass: `size`
    type: str  # its annotation: `int | None`
    default: Any  # MISSING if it has to be given
    help: str
    argument: dict[str, Any]  # keyword arguments of argparse beside type, default and help

    @property
    def kind(self) -> str:
        """Type without None: "bool", "int", "float", "str" or "tuple[str, ...]"."""
        return self.type.removesuffix(" | None")

    @property
    def is_optional(self) -> bool:
        """Whether None is a value of the setting."""
        return self.type.endswith(" | None")


def setting(
    help_text: str, default: Any = MISSING, *, name: str | None = None, **argument: Any
) -> Any:
    """Return a dataclass field that users set.

    `name` is the name of the setting, if it is not that of the field. `argument` are keyword
    arguments for argparse.
    """
    metadata = {"help": help_text, "name": name, "argument": argument}
    return field(default=default, metadata=metadata)


def settings_of(options: type) -> Iterator[Setting]:
    """Yield the settings of an option dataclass, in the order of its fields."""
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
    """Return the values of the settings of an option object, by name.

    >>> @dataclass
    ... class Options:
    ...     size: int = setting("number of sentences", 3, name="window_sentences")
    >>> values_of(Options())
    {'window_sentences': 3}
    """
    return {one.name: getattr(options, one.field) for one in settings_of(type(options))}


def options_from(options: Any, values: dict[str, Any]) -> Any:
    """Return an object of an option class, with its settings that are in `values`.

    Values of other settings are ignored.
    """
    given = {one.field: values[one.name] for one in settings_of(options) if one.name in values}
    return options(**given)
