"""The options of a build, read from the command line and from YAML files.

flags, --config FILE -> values of settings by name -> BuildOptions -> options of each step
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from noisebeam.pipeline.builder.options import BuildOptions, SettingsError, build_settings, flag_of
from noisebeam.transforms.data.settings import Setting
from noisebeam.transforms.errors import did_you_mean
from noisebeam.transforms.io.safe_yaml import load_yaml


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting of a build to a parser, in groups, and `--config` for a YAML file
    of settings.
    """
    parser.add_argument("--config", metavar="FILE", help="YAML file of settings; flags override it")
    titles = dict.fromkeys(title for _, title in build_settings().values())
    groups = {title: parser.add_argument_group(title) for title in titles}
    for one, title in build_settings().values():
        groups[title].add_argument(flag_of(one.name), dest=one.name, **_argument(one))


def _argument(one: Setting) -> dict[str, Any]:
    """Return the keyword arguments for `ArgumentParser.add_argument` that describe a setting."""
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
    """Return the options of a build from the parsed command line.

    A setting without a flag has its value from the `--config` file, else its default. Raises
    SettingsError if a required setting is missing.
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
    """Return the settings in a YAML file, by name; raise SettingsError if it is not a mapping of
    known settings.
    """
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
    """Raise SettingsError unless `value`, from the YAML file at `path`, has the type of the setting
    `one`.
    """
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
    """Return a suggestion for an unknown name: the closest known name, or all known names."""
    return did_you_mean(name, known) or f"; known are {', '.join(known)}"


def check_beam_flags(unknown_to_beam: Sequence[str], known_to_beam: Sequence[str]) -> None:
    """Raise SettingsError for the first flag in `unknown_to_beam`, with the closest known flag.

    `known_to_beam` are the flags of Beam.
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


def read_build(known: argparse.Namespace, beam_flags: Sequence[str]) -> BuildOptions:
    """Return the options of `noisebeam build` from parsed flags; raise SettingsError for a flag
    that Beam does not know.

    `known` has Noisebeam's flags, `beam_flags` are the others.
    """
    try:
        options = read_options(known)
    except SettingsError:
        _check_flags(beam_flags)  # an unknown flag may be the wrong spelling of a missing one
        raise
    _check_flags(beam_flags)
    return options


def _check_flags(beam_flags: Sequence[str]) -> None:
    """Raise SettingsError if Beam does not know one of these flags."""
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = _beam_parser(PipelineOptions)
    known_flags = [flag for action in parser._actions for flag in action.option_strings]
    check_beam_flags(parser.parse_known_args(list(beam_flags))[1], known_flags)


def _beam_parser(options: type) -> argparse.ArgumentParser:
    """Return a parser of all flags of Beam's option classes."""
    parser = argparse.ArgumentParser(
        "noisebeam build", add_help=False, conflict_handler="resolve", allow_abbrev=False
    )
    for group in [options, *options.__subclasses__()]:
        group._add_argparse_args(parser)  # type: ignore[attr-defined]
    return parser
