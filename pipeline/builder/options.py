"""The options of a build, composed of the options of its steps; read from flags and YAML files.

flags, --config FILE -> values of settings by name -> BuildOptions -> options of each step
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from noisebeam.transforms.cleaning.cleaning import CleaningOptions
from noisebeam.transforms.data.settings import (
    Setting,
    options_from,
    setting,
    settings_of,
    values_of,
)
from noisebeam.transforms.formats.options import ReadOptions
from noisebeam.transforms.io.safe_yaml import load_yaml
from noisebeam.transforms.noise.options import NoiseOptions
from noisebeam.transforms.output.options import OutputOptions
from noisebeam.transforms.segmenters.segmenters import SegmenterOptions
from noisebeam.transforms.tokenization.tokenizer import TokenizerOptions
from noisebeam.transforms.tokenization.windows import WindowOptions

AUTO = "auto"  # the `lang` of a build that detects the language of each document
_DEFAULT_LANG = "en"  # of documents whose language cannot be detected


class SettingsError(ValueError):
    """A setting is unknown, missing or out of range."""


def _step(title: str) -> Any:
    """Return a field of `BuildOptions` for the options of a step; `title` is its group in help."""
    return field(metadata={"group": title})


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """Options of a build: those of its steps, and the settings that several steps share.

    `BuildOptions.of` makes one of flat settings: `max_tokens` is `windows.max_tokens` here, and the
    flag `--max-tokens`.
    """

    input: tuple[str, ...] = setting(
        "paths or fsspec URLs of the corpus, with globs", nargs="+", action="extend", metavar="GLOB"
    )
    max_bad_fraction: float = setting(
        "fail if more than this share of the records is bad", 0.01, metavar="F"
    )
    lang: str = setting(
        "language of the text, as an ISO 639 code, or auto: detected for each document (needs "
        "noisebeam[lang]); what cannot be told goes as English",
        _DEFAULT_LANG,
        metavar="CODE",
    )
    read: ReadOptions = _step("documents")
    cleaning: CleaningOptions = _step("cleaning")
    segmentation: SegmenterOptions = _step("sentences and windows")
    windows: WindowOptions = _step("sentences and windows")
    tokenizer: TokenizerOptions = _step("samples and noise")
    noise: NoiseOptions = _step("samples and noise")
    output: OutputOptions = _step("output")

    def __post_init__(self) -> None:
        for name, valid, expected, value in (
            ("input", bool(self.input), "at least one path or URL", self.input),
            ("max_bad_fraction", 0 <= self.max_bad_fraction <= 1, "0 to 1", self.max_bad_fraction),
        ):
            if not valid:
                raise SettingsError(f"{name}: expected {expected}, got {value!r}")

    @classmethod
    def of(cls, **values: Any) -> BuildOptions:
        """Return the options of flat settings; those that are not given have their defaults.

        Raises ValueError, in one line, if a value is out of range.

        >>> BuildOptions.of(input=("a.jsonl",), output="out", tokenizer="t", max_tokens=64).windows
        WindowOptions(max_tokens=64, size=None, stride=None, append_eos=False)
        """
        own = {one.name: values[one.name] for one in settings_of(cls) if one.name in values}
        lang = values.get("lang", _DEFAULT_LANG)
        values = {**values, "lang": _DEFAULT_LANG if lang == AUTO else lang}
        steps = {name: options_from(kind, values) for name, kind in _step_classes().items()}
        return cls(**own, **steps)

    @property
    def detects_languages(self) -> bool:
        """Whether the language of a document that names none is detected from its text."""
        return self.lang == AUTO

    def flat(self) -> dict[str, Any]:
        """Return the values of all settings by name, as `of` takes them."""
        steps = (values_of(getattr(self, name)) for name in _step_classes())
        return {
            name: value for values in (*steps, values_of(self)) for name, value in values.items()
        }


def _step_fields() -> Iterator[Field[Any]]:
    return (entry for entry in fields(BuildOptions) if "group" in entry.metadata)


def _step_classes() -> dict[str, Any]:
    """Return the option class of each step, by the name of its field."""
    hints = get_type_hints(BuildOptions)
    return {entry.name: hints[entry.name] for entry in _step_fields()}


_OWN_GROUPS = {
    "input": "documents",
    "max_bad_fraction": "documents",
    "lang": "sentences and windows",
}


def build_settings() -> dict[str, tuple[Setting, str]]:
    """Return each setting of a build, and the title of its group in help texts, by name."""
    own = {one.name: (one, _OWN_GROUPS[one.name]) for one in settings_of(BuildOptions)}
    found: dict[str, tuple[Setting, str]] = {"input": own["input"]}
    for entry in _step_fields():
        for one in settings_of(_step_classes()[entry.name]):
            found[one.name] = own.get(one.name) or (one, entry.metadata["group"])
    return {**found, **own}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting, in groups, and `--config` for a YAML file of settings."""
    parser.add_argument("--config", metavar="FILE", help="YAML file of settings; flags override it")
    titles = dict.fromkeys(title for _, title in build_settings().values())
    groups = {title: parser.add_argument_group(title) for title in titles}
    for one, title in build_settings().values():
        groups[title].add_argument(flag_of(one.name), dest=one.name, **_argument(one))


def flag_of(name: str) -> str:
    """Return the flag of a setting: `--max-tokens` for `max_tokens`."""
    return "--" + name.replace("_", "-")


def _argument(one: Setting) -> dict[str, Any]:
    """Return the keyword arguments of argparse for a setting."""
    hidden = one.default in (MISSING, None, ()) or one.default is False
    shown = "" if hidden else f" (default: {one.default})"
    argument: dict[str, Any] = {"help": one.help + shown, "default": None}
    if one.type == "bool":
        return {**argument, "action": "store_true"}
    if one.type != "tuple[str, ...]":
        argument["type"] = {"int": int, "float": float, "str": str}[one.kind]
        argument.setdefault("metavar", "X")
    return {**argument, **one.argument}


def read_options(arguments: argparse.Namespace) -> BuildOptions:
    """Return the options of a command line.

    Settings without a flag are those of the `--config` file, and else the defaults.
    """
    values = _read_config(arguments.config) if arguments.config else {}
    known = [one for one, _ in build_settings().values()]
    for one in known:
        given = getattr(arguments, one.name)
        if given is not None:
            values[one.name] = given
    required = [one.name for one in known if one.default is MISSING]
    if missing := [flag_of(name) for name in required if name not in values]:
        raise SettingsError(
            f"{', '.join(missing)}: missing; give it as a flag or in the --config file"
        )
    for one in known:
        if one.kind == "tuple[str, ...]" and one.name in values:
            value = values[one.name]
            values[one.name] = (value,) if isinstance(value, str) else tuple(value)
    return BuildOptions.of(**values)


def _read_config(path: str) -> dict[str, Any]:
    """Return the settings of a YAML file; SettingsError if they are not as expected."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--config {path}: cannot be read: {error}") from error
    try:
        values = load_yaml(text)
    except ValueError as error:
        raise SettingsError(f"--config {path}: not YAML: {error}") from error
    if not isinstance(values, Mapping):
        raise SettingsError(
            f"--config {path}: expected settings by name, got {type(values).__name__}"
        )
    settings = {name: one for name, (one, _) in build_settings().items()}
    for name, value in values.items():
        if name not in settings:
            raise SettingsError(
                f"--config {path}: unknown setting {name!r}{_suggest(str(name), settings)}"
            )
        _check_type(path, settings[name], value)
    return dict(values)


def _check_type(path: str, one: Setting, value: object) -> None:
    """Raise SettingsError if a value of a YAML file has not the type of its setting."""
    allowed: dict[str, tuple[type, ...]] = {
        "int": (int,),
        "float": (int, float),
        "bool": (bool,),
        "str": (str,),
    }
    kind = one.kind
    valid = (
        (value is None and one.is_optional)
        or (
            kind in allowed
            and isinstance(value, allowed[kind])
            and (kind == "bool" or not isinstance(value, bool))
        )
        or (kind not in allowed and (isinstance(value, str) or _is_list_of_strings(value)))
    )
    if not valid:
        raise SettingsError(f"--config {path}: {one.name}: expected {kind}, got {value!r}")


def _is_list_of_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _suggest(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """Return a suggestion for an unknown name: the closest known one, or all of them."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


def check_beam_flags(unknown_to_beam: Sequence[str], known_to_beam: Sequence[str]) -> None:
    """Other flags than ours go to Beam; SettingsError for the first that Beam does not know
    either.
    """
    known = [*map(flag_of, build_settings()), "--config", *known_to_beam]
    for flag in unknown_to_beam:
        name = flag.split("=")[0]
        if not name.startswith("-"):
            raise SettingsError(f"unexpected argument {flag!r}: see noisebeam build --help")
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        raise SettingsError(
            f"unknown flag {name}: "
            + (f"did you mean {close[0]}?" if close else "see noisebeam build --help")
        )
