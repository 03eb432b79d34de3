"""`docs/recipes.md` has every corruption, setting, default and objective, and no other."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import yaml

from noisebeam.transforms.noise.objectives import OBJECTIVES
from noisebeam.transforms.noise.registry import built_in_corruptions, read_corruption

PAGE = (Path(__file__).parents[3] / "docs/recipes.md").read_text(encoding="utf-8")


def rows(title: str) -> list[list[str]]:
    """Return the cells of the table of a section, without its two heading rows."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def settings_of_page() -> dict[str, dict[str, str]]:
    """Return the default of each setting as the page has it, by corruption."""
    found: dict[str, dict[str, str]] = {}
    name = ""
    for corruption, setting, default, _ in rows("Corruptions"):
        name = corruption.strip("`") or name
        found.setdefault(name, {})[setting.strip("`")] = default.strip("`")
    return found


def test_the_page_has_every_corruption_and_setting() -> None:
    expected = {
        name: [field.name for field in fields(kind)]
        for name, kind in built_in_corruptions().items()
    }
    assert {name: list(settings) for name, settings in settings_of_page().items()} == expected


def test_the_defaults_of_the_page_are_those_of_the_classes() -> None:
    for name, settings in settings_of_page().items():
        plain = {
            setting: yaml.safe_load(default)
            for setting, default in settings.items()
            if setting != "denoisers"
        }
        assert read_corruption({name: plain}) == built_in_corruptions()[name]()
    denoiser = {"share": 0.15, "mean_length": 3.0, "weight": 1.0, "mode": None}
    page = {"span-corruption": {"denoisers": [denoiser]}}
    assert read_corruption(page) == built_in_corruptions()["span-corruption"]()


def test_the_page_has_every_objective_with_its_corruptions() -> None:
    found = {
        name.strip("`"): re.findall(r"`([a-z-]+)`", with_) for name, with_, *_ in rows("Objectives")
    }
    assert found == {name: list(one.corruptions or ()) for name, one in OBJECTIVES.items()}
