"""The settings of a build: one dataclass, from which the command line and YAML files are read."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from noisebeam.transforms.cleaning.cleaning import CleaningOptions
from noisebeam.transforms.formats import ReadOptions
from noisebeam.transforms.io.safe_yaml import load_yaml
from noisebeam.transforms.segmenters.segmenters import SegmenterOptions
from noisebeam.transforms.tokenization.windows import WindowOptions

_GROUPS = {
    "documents": (
        "input",
        "format",
        "encoding",
        "text_field",
        "id_field",
        "lang_field",
        "max_bad_fraction",
    ),
    "cleaning": (
        "normalize",
        "remove_controls",
        "min_chars",
        "max_chars",
        "keep_langs",
        "drop_duplicates",
        "near_duplicates",
    ),
    "sentences and windows": (
        "segmenter",
        "lang",
        "stanza_dir",
        "stanza_device",
        "max_tokens",
        "window_sentences",
        "stride",
    ),
    "samples and noise": ("tokenizer", "add_tokens", "append_eos", "recipe", "seed"),
    "output": ("output", "num_shards", "held_out", "samples_per_member", "overwrite"),
}
_OTHERS = "more settings"


class SettingsError(ValueError):
    """A setting is unknown, missing or out of range."""


def _setting(help_text: str, default: Any = MISSING, **argument: Any) -> Any:
    return field(default=default, metadata={"help": help_text, "argument": argument})


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What to build, and from what. Every setting is also a flag: `max_tokens` is
    `--max-tokens`.
    """

    input: tuple[str, ...] = _setting(
        "paths or fsspec URLs of the corpus, with globs", nargs="+", action="extend", metavar="GLOB"
    )
    output: str = _setting("folder or fsspec URL to write to", metavar="URL")
    tokenizer: str = _setting(
        "Hugging Face tokenizer: a folder, a URL or a hub name", metavar="NAME"
    )
    format: str = _setting(
        "jsonl, text (a file a document), paragraphs, parquet, warc, or auto: by file name", "auto"
    )
    text_field: str = _setting("field or column that holds the text", "text", metavar="NAME")
    id_field: str = _setting(
        "field or column of the id; without one it comes from the text", "id", metavar="NAME"
    )
    lang_field: str | None = _setting(
        "field, column or WARC header of the language's code; --lang where it has none",
        None,
        metavar="NAME",
    )
    encoding: str = _setting("encoding of text and JSON", "utf-8", metavar="NAME")
    normalize: bool = _setting("Unicode normalisation, to NFC", False)
    remove_controls: bool = _setting("remove control characters but tabs and line ends", False)
    min_chars: int | None = _setting("drop documents of fewer characters", None, metavar="N")
    max_chars: int | None = _setting("drop documents of more characters", None, metavar="N")
    keep_langs: tuple[str, ...] = _setting(
        "drop documents in other languages", (), nargs="+", action="extend", metavar="CODE"
    )
    drop_duplicates: bool = _setting("of documents with the same text keep one", False)
    near_duplicates: float | None = _setting(
        "of documents at least this similar keep one (0.5 to 1: shared word 5-grams; needs noisebeam[dedup])",
        None,
        metavar="F",
    )
    segmenter: str = _setting(
        "sentencex, stanza, cascade, lines, or package.module:function of your own", "sentencex"
    )
    lang: str = _setting(
        "language of the text, as an ISO 639 code, or auto: detected for each document (needs noisebeam[lang]); "
        "what cannot be told goes as English",
        "en",
        metavar="CODE",
    )
    stanza_dir: str | None = _setting(
        "folder of Stanza's models (else STANZA_RESOURCES_DIR)", None, metavar="DIR"
    )
    stanza_device: str = _setting(
        "where Stanza's model runs: cpu, cuda or cuda:N", "cpu", metavar="NAME"
    )
    max_tokens: int = _setting("largest window, in tokens, special ones counted", 512, metavar="N")
    window_sentences: int | None = _setting(
        "slide windows of N sentences instead of filling them", None, metavar="N"
    )
    stride: int | None = _setting(
        "sentences from one window to the next (default: window size)", None, metavar="N"
    )
    append_eos: bool = _setting(
        "put the end of text at the end of each document alone (a causal or prefix recipe does so by itself)",
        False,
    )
    add_tokens: tuple[str, ...] = _setting(
        "special tokens to add to the tokenizer where it lacks them",
        (),
        nargs="+",
        action="extend",
        metavar="TOKEN",
    )
    recipe: str | None = _setting(
        "noise to bake in: a preset or a YAML file (default: none)", None, metavar="NAME"
    )
    seed: int = _setting("seed of the shuffle and the noise", 0, metavar="N")
    num_shards: int | None = _setting(
        "number of shards (default: one for 64 million tokens)", None, metavar="N"
    )
    held_out: float = _setting(
        "share of the documents, by hashes of their ids, that goes to shards of its own",
        0.0,
        metavar="F",
    )
    samples_per_member: int | None = _setting(
        "samples stored together; 1 is the classic WebDataset form (default: about half a million tokens)",
        None,
        metavar="N",
    )
    max_bad_fraction: float = _setting(
        "fail if more than this share of the records is bad", 0.01, metavar="F"
    )
    overwrite: bool = _setting("replace a finished build", False)

    def __post_init__(self) -> None:
        _check("input", bool(self.input), "at least one path or URL", self.input)
        _check("output", bool(self.output.strip()), "a folder or URL", self.output)
        _check("seed", 0 <= self.seed < 2**63, "0 to 2**63 - 1", self.seed)
        _check(
            "num_shards",
            self.num_shards is None or 0 < self.num_shards < 10**6,
            "1 to 999999",
            self.num_shards,
        )
        _check("held_out", 0 <= self.held_out < 1, "0 to less than 1", self.held_out)
        members = self.samples_per_member
        _check("samples_per_member", members is None or 0 < members <= 65536, "1 to 65536", members)
        _check("max_bad_fraction", 0 <= self.max_bad_fraction <= 1, "0 to 1", self.max_bad_fraction)
        _ = self.read_options, self.cleaning_options, self.segmenter_options, self.window_options

    @property
    def read_options(self) -> ReadOptions:
        """How files are read."""
        return ReadOptions(
            format=self.format,
            text_field=self.text_field,
            id_field=self.id_field,
            lang_field=self.lang_field,
            encoding=self.encoding,
        )

    @property
    def detects_languages(self) -> bool:
        """Whether the language of a document that names none is to be told from its text."""
        return self.lang == "auto"

    @property
    def cleaning_options(self) -> CleaningOptions:
        """How documents are cleaned."""
        return CleaningOptions(
            **{entry.name: getattr(self, entry.name) for entry in fields(CleaningOptions)}
        )

    @property
    def segmenter_options(self) -> SegmenterOptions:
        """How sentences are found."""
        return SegmenterOptions(
            name=self.segmenter,
            lang="en" if self.detects_languages else self.lang,
            stanza_dir=self.stanza_dir,
            stanza_device=self.stanza_device,
        )

    @property
    def window_options(self) -> WindowOptions:
        """How windows are chosen."""
        return WindowOptions(
            max_tokens=self.max_tokens,
            size=self.window_sentences,
            stride=self.stride,
            append_eos=self.append_eos,
        )


def _check(name: str, right: bool, expected: str, value: object) -> None:
    if not right:
        raise SettingsError(f"{name}: expected {expected}, got {value!r}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` a flag for each setting, in groups, and `--config` for a YAML file of them."""
    parser.add_argument("--config", metavar="FILE", help="YAML file of settings; flags override it")
    groups = {title: parser.add_argument_group(title) for title in (*_GROUPS, _OTHERS)}
    titles = {name: title for title, names in _GROUPS.items() for name in names}
    for setting in fields(BuildOptions):
        group = groups[titles.get(setting.name, _OTHERS)]
        group.add_argument(flag_of(setting.name), dest=setting.name, **_argument(setting))


def flag_of(name: str) -> str:
    """The flag of a setting: `--max-tokens` of `max_tokens`."""
    return "--" + name.replace("_", "-")


def _argument(setting: Field[Any]) -> dict[str, Any]:
    shown = (
        ""
        if setting.default in (MISSING, None, ()) or setting.default is False
        else f" (default: {setting.default})"
    )
    argument: dict[str, Any] = {"help": setting.metadata["help"] + shown, "default": None}
    if setting.type == "bool":
        return {**argument, "action": "store_true"}
    if setting.type != "tuple[str, ...]":
        argument["type"] = {"int": int, "float": float, "str": str}[
            str(setting.type).removesuffix(" | None")
        ]
        argument.setdefault("metavar", "X")
    return {**argument, **setting.metadata["argument"]}


def read_options(arguments: argparse.Namespace) -> BuildOptions:
    """The settings of a command line; those it does not give come from its `--config` file, then
    from the defaults.
    """
    values = _read_config(arguments.config) if arguments.config else {}
    for setting in fields(BuildOptions):
        given = getattr(arguments, setting.name)
        if given is not None:
            values[setting.name] = given
    required = [setting.name for setting in fields(BuildOptions) if setting.default is MISSING]
    if missing := [flag_of(name) for name in required if name not in values]:
        raise SettingsError(
            f"{', '.join(missing)}: missing; give it as a flag or in the --config file"
        )
    for name in {"input", "add_tokens", "keep_langs"} & values.keys():
        values[name] = (values[name],) if isinstance(values[name], str) else tuple(values[name])
    return BuildOptions(**values)


def _read_config(path: str) -> dict[str, Any]:
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
    settings = {setting.name: setting for setting in fields(BuildOptions)}
    for name, value in values.items():
        if name not in settings:
            raise SettingsError(
                f"--config {path}: unknown setting {name!r}{_suggest(str(name), settings)}"
            )
        _check_type(path, settings[name], value)
    return dict(values)


def _check_type(path: str, setting: Field[Any], value: object) -> None:
    kind = str(setting.type).removesuffix(" | None")
    allowed: dict[str, tuple[type, ...]] = {
        "int": (int,),
        "float": (int, float),
        "bool": (bool,),
        "str": (str,),
    }
    right = (
        (value is None and str(setting.type).endswith("None"))
        or (
            kind in allowed
            and isinstance(value, allowed[kind])
            and (kind == "bool" or not isinstance(value, bool))
        )
        or (kind not in allowed and (isinstance(value, str) or _is_list_of_strings(value)))
    )
    if not right:
        raise SettingsError(f"--config {path}: {setting.name}: expected {kind}, got {value!r}")


def _is_list_of_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _suggest(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


def check_beam_flags(unknown_to_beam: Sequence[str], known_to_beam: Sequence[str]) -> None:
    """Other flags than ours go to Beam; SettingsError for the first that Beam does not know
    either.
    """
    known = [flag_of(setting.name) for setting in fields(BuildOptions)] + [
        "--config",
        *known_to_beam,
    ]
    for flag in unknown_to_beam:
        name = flag.split("=")[0]
        if not name.startswith("-"):
            raise SettingsError(f"unexpected argument {flag!r}: see noisebeam build --help")
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        raise SettingsError(
            f"unknown flag {name}: "
            + (f"did you mean {close[0]}?" if close else "see noisebeam build --help")
        )
