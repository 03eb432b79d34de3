"""Recipes: which corruptions are applied, in which order, and how labels are made.

A recipe is a preset's name, a YAML file or a mapping:

    name: mine
    objective: denoising        # denoising (default), mlm, spans, causal, prefix or glm
    corruptions:
      - sentence-permutation
      - text-infilling: {share: 0.3, lengths: {poisson: 3}, replace_length: 1}

`docs/recipes.md` lists all corruptions with their settings. Settings that a recipe does not have
are the defaults of the corruption's class, such as `TokenMasking`. No corruption may occur twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.errors import did_you_mean
from noisebeam.transforms.io.safe_yaml import load_yaml
from noisebeam.transforms.noise.checks import check_keys
from noisebeam.transforms.noise.corruption import Corruption
from noisebeam.transforms.noise.objectives import OBJECTIVES, Objective
from noisebeam.transforms.noise.registry import read_corruption, write_corruption

_PRESET_FOLDER = Path(__file__).parent / "presets"
PRESETS: tuple[str, ...] = tuple(sorted(path.stem for path in _PRESET_FOLDER.glob("*.yaml")))


@dataclass(frozen=True)
class Recipe:
    """Recipe of noise: corruptions in the order in which they are applied, and the objective.

    Raises ValueError, in one line, if they do not go together.
    """

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
        for corruption in self.corruptions[1:]:
            if getattr(corruption, "needs_sentences", False):
                raise ValueError(
                    self._error(
                        f"corruptions are {', '.join(names)}; "
                        f"expected {corruption.name} to come first"
                    )
                )
        self._check_objective(names)

    def _check_objective(self, names: list[str]) -> None:
        """Raise ValueError if the corruptions, whose names are given, do not go with the
        objective.
        """
        wanted = self.row.corruptions
        if wanted is not None and names != [*wanted]:
            text = f"{wanted[0]} alone" if wanted else "no corruption"
            raise ValueError(
                self._error(
                    f"objective {self.objective} goes with {text}; corruptions are "
                    f"{names or 'none'}"
                )
            )
        for corruption in self.corruptions:
            needed = getattr(corruption, "objective", self.objective)
            if needed != self.objective:
                raise ValueError(
                    self._error(
                        f"{corruption.name} needs objective {needed}; it is {self.objective!r}"
                    )
                )

    @property
    def row(self) -> Objective:
        """Entry of this recipe's objective in the table of objectives."""
        return OBJECTIVES[self.objective]

    @property
    def closes_documents(self) -> bool:
        """True if each document must end with the end-of-text token, which the build option
        `append_eos` adds.
        """
        return self.row.closes_documents

    @property
    def masks_labels(self) -> bool:
        """True if the labels of some tokens of a sample are -100, which the loss ignores."""
        return self.row.masks_labels

    @property
    def needs_sentences(self) -> bool:
        """True if a corruption of this recipe needs the sentences of the samples."""
        return any(getattr(step, "needs_sentences", False) for step in self.corruptions)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe with the values of all settings as a dict for JSON or YAML;
        `load_recipe` reads it.
        """
        corruptions = [{step.name: write_corruption(step)} for step in self.corruptions]
        return {"name": self.name, "objective": self.objective, "corruptions": corruptions}

    @cached_property
    def text(self) -> str:
        """YAML text of `to_dict`, with all settings.

        The manifest stores it, so that later changes of defaults do not affect an existing build.
        """
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=1000)

    def _error(self, text: str) -> str:
        """Return an error text that begins with the name of the recipe."""
        return f"recipe {self.name!r}: {text}"


def load_recipe(recipe: str | Path | Mapping[str, Any] | Recipe) -> Recipe:
    """Return a recipe, given the name of a preset, the path of a YAML file, or a mapping; a Recipe
    is returned unchanged.

    Raises ValueError, in one line with the key, the value and what is allowed.

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
    known = did_you_mean(recipe, PRESETS) or f"; presets are {', '.join(PRESETS)}"
    raise ValueError(
        f"recipe {str(recipe)!r}: expected a preset or a YAML file, got neither{known}"
    )


def check_recipe(recipe: Recipe, vocabulary: Vocabulary) -> None:
    """Raise ValueError, in one line, if a corruption or the objective needs a token that the
    vocabulary lacks.
    """
    if recipe.closes_documents and vocabulary.eos_id is None:
        raise ValueError(
            f"recipe {recipe.name!r}: objective {recipe.objective} needs an end-of-text token, "
            "and the tokenizer has none; name one as eos_token in its tokenizer_config.json"
        )
    for corruption in recipe.corruptions:
        try:
            corruption.check(vocabulary)
        except ValueError as error:
            raise ValueError(f"recipe {recipe.name!r}: {error}") from error


def _from_file(path: Path) -> Recipe:
    """Return the recipe in a YAML file; raise ValueError if the file cannot be read or has no
    recipe.
    """
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
    """Return the recipe that a mapping describes; `name` is the name of the recipe if the mapping
    has none.
    """
    where = f"recipe {name!r}"
    check_keys(where, values, ("name", "objective", "corruptions"))
    objective = values.get("objective", "denoising")
    listed = values.get("corruptions", [] if objective == "causal" else None)
    if not _is_list(listed):
        raise ValueError(
            f"{where}: corruptions is {listed!r}; "
            "expected a list, as in [token-deletion: {share: 0.1}]"
        )
    try:
        corruptions = tuple(read_corruption(entry) for entry in listed or ())
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return Recipe(values.get("name", name), corruptions, objective)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
