"""Recipes: which corruptions are applied, in which order, and what the labels are.

A recipe is a preset's name, a YAML file or a mapping:

    name: mine
    objective: denoising        # denoising (default), mlm, spans, causal, prefix or glm
    corruptions:
      - sentence-permutation
      - text-infilling: {share: 0.3, lengths: {poisson: 3}, replace_length: 1}

| corruption | settings |
|---|---|
| `token-masking` | `share`, `mask`, `random`, `whole_words`, `probability` |
| `token-deletion` | `share`, `probability` |
| `token-insertion` | `share`, `random`, `probability` |
| `text-infilling` | `share`, `lengths`, `replace_length`, `probability` |
| `sentence-permutation` | `probability`; comes first, for it needs the clean text |
| `document-rotation` | `probability` |
| `span-corruption` | `denoisers`, each with `share`, `mean_length`, `weight`, `mode` |
| `prefix-split` | `smallest`, `largest` |
| `blank-infilling` | `share`, `lengths`, `mask`, `start`, `end` |

Settings that are left out have the defaults of the corruption's class, such as `TokenMasking`. No
corruption comes twice. Some objectives go with one corruption alone: `mlm` with token masking,
`spans` with span corruption, `prefix` with prefix split, `glm` with blank infilling; `causal` with
none; `denoising` with any that is in none of these pairs but the first. `causal` and `prefix` want
documents that end in an end of text: shards built with `append_eos`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.io.safe_yaml import load_yaml
from noisebeam.transforms.noise.corruptions.blank_infilling import BlankInfilling
from noisebeam.transforms.noise.corruptions.deletion import TokenDeletion
from noisebeam.transforms.noise.corruptions.insertion import TokenInsertion
from noisebeam.transforms.noise.corruptions.masking import TokenMasking
from noisebeam.transforms.noise.corruptions.permutation import SentencePermutation
from noisebeam.transforms.noise.corruptions.prefix_split import PrefixSplit
from noisebeam.transforms.noise.corruptions.rotation import DocumentRotation
from noisebeam.transforms.noise.corruptions.span_corruption import Denoiser, SpanCorruption
from noisebeam.transforms.noise.corruptions.text_infilling import TextInfilling
from noisebeam.transforms.noise.plugins import load_corruption
from noisebeam.transforms.noise.span_lengths import SpanLengths
from noisebeam.transforms.plugins import CORRUPTIONS as CORRUPTION_PLUGINS
from noisebeam.transforms.plugins import plugin_names

Corruption = (
    TokenMasking
    | TokenDeletion
    | TokenInsertion
    | TextInfilling
    | SentencePermutation
    | DocumentRotation
    | SpanCorruption
    | PrefixSplit
    | BlankInfilling
)

CORRUPTIONS: Mapping[str, type[Corruption]] = {
    kind.name: kind
    for kind in (
        TokenMasking,
        TokenDeletion,
        TokenInsertion,
        TextInfilling,
        SentencePermutation,
        DocumentRotation,
        SpanCorruption,
        PrefixSplit,
        BlankInfilling,
    )
}
_ALONE: Mapping[str, tuple[str, ...]] = {  # what these objectives go with
    "mlm": (TokenMasking.name,),
    "spans": (SpanCorruption.name,),
    "causal": (),
    "prefix": (PrefixSplit.name,),
    "glm": (BlankInfilling.name,),
}
OBJECTIVES = ("denoising", *_ALONE)
_MASKED = ("mlm", "prefix", "glm")  # labels are -100 at some tokens
_CLOSED = ("causal", "prefix")  # documents end in an end of text

_PRESET_FOLDER = Path(__file__).parent / "presets"
PRESETS: tuple[str, ...] = tuple(sorted(path.stem for path in _PRESET_FOLDER.glob("*.yaml")))


@dataclass(frozen=True)
class Recipe:
    """Ordered corruptions and an objective."""

    name: str
    corruptions: tuple[Corruption, ...]
    objective: str = "denoising"

    def __post_init__(self) -> None:
        names = [corruption.name for corruption in self.corruptions]
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"recipe: name is {self.name!r}; expected some text")
        if self.objective not in OBJECTIVES:
            raise ValueError(
                self._error(
                    f"objective is {self.objective!r}; expected one of {', '.join(OBJECTIVES)}"
                )
            )
        if len(set(names)) < len(names):
            raise ValueError(
                self._error(f"corruptions are {', '.join(names)}; expected each at most once")
            )
        if SentencePermutation.name in names[1:]:
            raise ValueError(
                self._error(
                    f"corruptions are {', '.join(names)}; expected {SentencePermutation.name} to come first"
                )
            )
        self._check_objective(names)

    def _check_objective(self, names: list[str]) -> None:
        alone = _ALONE.get(self.objective)
        if alone is not None and names != [*alone]:
            wanted = f"{alone[0]} alone" if alone else "no corruption"
            raise ValueError(
                self._error(
                    f"objective {self.objective} goes with {wanted}; corruptions are {names or 'none'}"
                )
            )
        for objective in () if alone is not None else ("spans", "prefix", "glm"):
            if _ALONE[objective][0] in names:
                raise ValueError(
                    self._error(
                        f"{_ALONE[objective][0]} needs objective {objective}; it is {self.objective!r}"
                    )
                )

    @property
    def closes_documents(self) -> bool:
        """Whether documents are to end in an end of text, as the build setting `append_eos` gives
        it.
        """
        return self.objective in _CLOSED

    @property
    def masks_labels(self) -> bool:
        """Whether labels are -100 at some of the sample's own tokens."""
        return self.objective in _MASKED

    def to_dict(self) -> dict[str, Any]:
        """Plain values with every setting spelled out; `load_recipe` takes them back."""
        corruptions = [{corruption.name: _settings(corruption)} for corruption in self.corruptions]
        return {"name": self.name, "objective": self.objective, "corruptions": corruptions}

    @cached_property
    def text(self) -> str:
        """The same as YAML: what a manifest stores, so that later defaults change nothing."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=1000)

    def _error(self, text: str) -> str:
        return f"recipe {self.name!r}: {text}"


def load_recipe(recipe: str | Path | Mapping[str, Any] | Recipe) -> Recipe:
    """The recipe of this preset name, YAML file or mapping; a Recipe comes back as it is.

    Raises ValueError, in one line that names the key, the value and what is allowed.

    >>> load_recipe("bart").corruptions[0]
    SentencePermutation(probability=1.0)
    """
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, Mapping):
        return _from_mapping(recipe, str(recipe.get("name") or "unnamed"))
    if not isinstance(recipe, str | Path):
        raise ValueError(
            f"recipe {recipe!r}: expected a preset's name, a YAML file, a mapping or a Recipe"
        )
    if recipe in PRESETS:
        return _from_file(_PRESET_FOLDER / f"{recipe}.yaml")
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return _from_file(path)
    raise ValueError(f"recipe {str(recipe)!r}: expected a YAML file or one of {', '.join(PRESETS)}")


def check_recipe(recipe: Recipe, vocabulary: Vocabulary) -> None:
    """ValueError, in one line, if the recipe needs something that the vocabulary lacks."""
    if recipe.closes_documents and vocabulary.eos_id is None:
        raise ValueError(
            f"recipe {recipe.name!r}: objective {recipe.objective} needs an end-of-text token, and the tokenizer has "
            "none; name one as eos_token in its tokenizer_config.json"
        )
    for corruption in recipe.corruptions:
        try:
            corruption.check(vocabulary)
        except ValueError as error:
            raise ValueError(f"recipe {recipe.name!r}: {error}") from error


def _settings(corruption: Corruption) -> dict[str, Any]:
    settings = asdict(corruption)
    if isinstance(corruption, TextInfilling | BlankInfilling):
        settings["lengths"] = corruption.lengths.to_mapping()
    if isinstance(corruption, SpanCorruption):
        settings["denoisers"] = [asdict(denoiser) for denoiser in corruption.denoisers]
    return settings


def _from_file(path: Path) -> Recipe:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"recipe {str(path)!r} cannot be read: {error}") from error
    try:
        values = load_yaml(text)
    except ValueError as error:
        raise ValueError(f"recipe {str(path)!r} is not YAML: {error}") from error
    if not isinstance(values, Mapping):
        raise ValueError(
            f"recipe {str(path)!r}: expected a mapping with the key corruptions, not {values!r:.60}"
        )
    return _from_mapping(values, path.stem)


def _from_mapping(values: Mapping[str, Any], name: str) -> Recipe:
    where = f"recipe {name!r}"
    _check_keys(where, values, ("name", "objective", "corruptions"))
    objective = values.get("objective", "denoising")
    listed = values.get("corruptions", [] if objective == "causal" else None)
    if not _is_list(listed):
        raise ValueError(
            f"{where}: corruptions is {listed!r}; expected a list, as in [token-deletion: {{share: 0.1}}]"
        )
    try:
        corruptions = tuple(_corruption(entry) for entry in listed or ())
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return Recipe(values.get("name", name), corruptions, objective)


def _corruption(entry: Any) -> Corruption:
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise ValueError(f"corruption {entry!r}: expected a name, or one name with its settings")
    name, settings = next(iter(entry.items()))
    kind = _kind(name)
    settings = {} if settings is None else settings
    if not isinstance(settings, Mapping):
        raise ValueError(
            f"{name}: settings are {settings!r}; expected a mapping, as in {{probability: 1}}"
        )
    _check_keys(name, settings, tuple(field.name for field in fields(kind)))
    return kind(**{key: _value(name, key, value) for key, value in settings.items()})


def _kind(name: Any) -> type[Corruption]:
    added = plugin_names(CORRUPTION_PLUGINS) if name not in CORRUPTIONS else ()
    if name in added:
        return load_corruption(name)
    if name not in CORRUPTIONS:
        raise ValueError(
            f"corruption {name!r}: expected one of {', '.join((*CORRUPTIONS, *added))}, or the name of one that an "
            "installed package adds"
        )
    return CORRUPTIONS[name]


def _value(corruption: str, key: str, value: Any) -> Any:
    if key == "lengths":
        if not isinstance(value, Mapping):
            raise ValueError(
                f"{corruption}: lengths is {value!r}; expected a mapping, as in {{poisson: 3}}"
            )
        try:
            return SpanLengths.from_mapping(value)
        except ValueError as error:
            raise ValueError(f"{corruption}: {error}") from error
    if key == "denoisers":
        if not _is_list(value) or not all(isinstance(entry, Mapping) for entry in value):
            raise ValueError(
                f"{corruption}: denoisers is {value!r}; expected a list of mappings, as in [{{share: 0.15}}]"
            )
        for entry in value:
            _check_keys(
                f"{corruption}: denoisers", entry, tuple(field.name for field in fields(Denoiser))
            )
        return tuple(Denoiser(**entry) for entry in value)
    return value


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _check_keys(where: str, values: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    unknown = [key for key in values if key not in allowed]
    if unknown:
        raise ValueError(f"{where}: unknown key {unknown[0]!r}; expected {', '.join(allowed)}")
