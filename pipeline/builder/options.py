"""The options of a build, composed of the options of its steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields
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
from noisebeam.transforms.noise.options import NoiseOptions
from noisebeam.transforms.output.options import OutputOptions
from noisebeam.transforms.segmenters.segmenters import SegmenterOptions
from noisebeam.transforms.tokenization.options import TokenizerOptions, WindowOptions

AUTO = "auto"  # the `lang` of a build that detects the language of each document
_DEFAULT_LANG = "en"  # of documents whose language cannot be detected


class SettingsError(ValueError):
    """A setting is unknown, missing or out of range."""


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """Options of a build: those of each step, and the settings that several steps share.

    `BuildOptions.of` makes them of flat settings: `max_tokens` there is `windows.max_tokens` here,
    and the flag `--max-tokens`. Raises SettingsError for values out of range.
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
    read: ReadOptions = field(metadata={"group": "documents"})
    cleaning: CleaningOptions = field(metadata={"group": "cleaning"})
    segmentation: SegmenterOptions = field(metadata={"group": "sentences and windows"})
    windows: WindowOptions = field(metadata={"group": "sentences and windows"})
    tokenizer: TokenizerOptions = field(metadata={"group": "samples and noise"})
    noise: NoiseOptions = field(metadata={"group": "samples and noise"})
    output: OutputOptions = field(metadata={"group": "output"})

    def __post_init__(self) -> None:
        for name, valid, expected, value in (
            ("input", bool(self.input), "at least one path or URL", self.input),
            ("max_bad_fraction", 0 <= self.max_bad_fraction <= 1, "0 to 1", self.max_bad_fraction),
        ):
            if not valid:
                raise SettingsError(f"{name}: expected {expected}, got {value!r}")

    @classmethod
    def of(cls, **values: Any) -> BuildOptions:
        """Return the options made of flat settings, by name; settings that are not given have their
        defaults.

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
        """True if the language of documents without a language field is detected from their text
        (`lang` is `auto`).
        """
        return self.lang == AUTO

    def flat(self) -> dict[str, Any]:
        """Return the values of all settings in one dict, by name, as `of` takes them."""
        steps = (values_of(getattr(self, name)) for name in _step_classes())
        return {
            name: value for values in (*steps, values_of(self)) for name, value in values.items()
        }


def _step_fields() -> Iterator[Field[Any]]:
    """Return the fields of `BuildOptions` that hold the options of a step."""
    return (entry for entry in fields(BuildOptions) if "group" in entry.metadata)


def _step_classes() -> dict[str, Any]:
    """Return the option class of each step, by the name of its field in `BuildOptions`."""
    hints = get_type_hints(BuildOptions)
    return {entry.name: hints[entry.name] for entry in _step_fields()}


_OWN_GROUPS = {
    "input": "documents",
    "max_bad_fraction": "documents",
    "lang": "sentences and windows",
}


def build_settings() -> dict[str, tuple[Setting, str]]:
    """Return every setting of a build by name, each with the title of its group in help texts."""
    own = {one.name: (one, _OWN_GROUPS[one.name]) for one in settings_of(BuildOptions)}
    found: dict[str, tuple[Setting, str]] = {"input": own["input"]}
    for entry in _step_fields():
        for one in settings_of(_step_classes()[entry.name]):
            found[one.name] = own.get(one.name) or (one, entry.metadata["group"])
    return {**found, **own}


def flag_of(name: str) -> str:
    """Return the command-line flag of a setting: `--max-tokens` for `max_tokens`."""
    return "--" + name.replace("_", "-")
