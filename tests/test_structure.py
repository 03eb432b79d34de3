"""What import-linter has no contract for: chains of imports, sizes of folders, names of tests."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import grimp
import pytest

PROJECT = Path(__file__).parents[1]
MOST_MODULES_IN_A_CHAIN = 10
MOST_MODULES_IN_A_FOLDER = 16
MOST_MODULES_AT_A_TOP = 4  # of transforms/ and pipeline/


@cache
def graph() -> grimp.ImportGraph:
    """Return the imports between the project's modules, without those for type checkers."""
    return grimp.build_graph("noisebeam", exclude_type_checking_imports=True, cache_dir=None)


@cache
def longest_chain(module: str) -> tuple[str, ...]:
    """Return the longest chain of imports from a module on; a cycle ends in RecursionError."""
    chains = map(longest_chain, sorted(graph().find_modules_directly_imported_by(module)))
    return (module, *max(chains, key=len, default=()))


def modules_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.py") if path.name != "__init__.py")


def test_chains_of_imports_are_short() -> None:
    longest = max(map(longest_chain, sorted(graph().modules)), key=len)
    assert len(longest) <= MOST_MODULES_IN_A_CHAIN, " -> ".join(longest)


@pytest.mark.parametrize("top", ["transforms", "pipeline", "deploy"])
def test_a_folder_has_few_modules(top: str) -> None:
    for folder in (path.parent for path in (PROJECT / top).rglob("__init__.py")):
        found = modules_in(folder)
        assert len(found) <= MOST_MODULES_IN_A_FOLDER, f"{folder}: {', '.join(found)}"


@pytest.mark.parametrize("top", ["transforms", "pipeline"])
def test_few_modules_stand_outside_a_folder(top: str) -> None:
    found = modules_in(PROJECT / top)
    assert len(found) <= MOST_MODULES_AT_A_TOP, ", ".join(found)


def test_imports_keep_their_contracts() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command, "--no-cache"], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_module_is_in_the_graph() -> None:
    files = {
        ".".join(("noisebeam", *path.relative_to(PROJECT).with_suffix("").parts))
        for top in ("transforms", "pipeline", "deploy")
        for path in (PROJECT / top).rglob("*.py")
        if "package" not in path.parts
    }
    missing = {name.removesuffix(".__init__") for name in files} - set(graph().modules)
    assert not missing, "add their folder to packages in pyproject.toml, and run make setup"


def test_a_test_file_is_named_after_the_module_that_it_tests() -> None:
    """`tests/a/test_b.py` and `tests/a/test_b_more.py` test `a/b.py`."""
    for top in ("transforms", "pipeline", "deploy"):
        for path in sorted((PROJECT / "tests" / top).rglob("test_*.py")):
            folder = PROJECT / path.parent.relative_to(PROJECT / "tests")
            modules = [name.removesuffix(".py") for name in modules_in(folder)]
            tested = f"{path.stem.removeprefix('test_')}_"
            named = any(tested.startswith(f"{module}_") for module in modules)
            assert named, f"{path}: expected the name of a module in {folder} after test_"
