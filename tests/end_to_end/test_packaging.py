"""A wheel in an empty environment works from any folder, also one with the user's own transforms.py
and pipeline.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
USERS_OWN = "raise SystemExit('the user\\'s own module was imported')\n"


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed, in a clean environment."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(
        PROJECT,
        source,
        ignore=shutil.ignore_patterns(".venv", ".git", "build", "demo", "*.egg-info"),
    )
    run(
        sys.executable,
        "-m",
        "uv",
        "build",
        "--quiet",
        "--wheel",
        "--out-dir",
        folder,
        source,
        cwd=folder,
    )
    return next(folder.glob("*.whl"))


def test_the_commands_need_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None\n"
    code += "from noisebeam.pipeline import cli; from noisebeam.pipeline.builder import build, summary; from noisebeam.pipeline.inspect import inspect, stats, verify"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_wheel_with_the_beam_extra_builds_beside_the_users_own_modules(
    wheel: Path, tmp_path: Path, corpus: Path, tokenizer: str
) -> None:
    bin_folder = install(wheel, "beam", tmp_path)
    (tmp_path / "transforms.py").write_text(USERS_OWN)
    (tmp_path / "pipeline.py").write_text(USERS_OWN)
    settings = ("--tokenizer", tokenizer, "--max-tokens", "128", "--recipe", "bart")
    two = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    inputs = ("--input", corpus / "corpus.jsonl", "--output", "out")
    assert "wrote out" in run(
        bin_folder / "noisebeam", "build", *inputs, *settings, *two, cwd=tmp_path
    )
    assert "no difference" in run(bin_folder / "noisebeam", "verify", "out", cwd=tmp_path)
    assert "<mask>" in run(bin_folder / "noisebeam", "inspect", "out", cwd=tmp_path)
    without_torch = "import importlib.util; assert importlib.util.find_spec('torch') is None"
    run(bin_folder / "python", "-c", without_torch, cwd=tmp_path)


@pytest.mark.slow
def test_a_wheel_alone_reads_and_verifies_without_beam(wheel: Path, tmp_path: Path) -> None:
    bin_folder = install(wheel, None, tmp_path)
    code = (
        "import importlib.util, noisebeam.pipeline, noisebeam.transforms.noise as noise\n"
        "assert importlib.util.find_spec('apache_beam') is None\n"
        "print(noise.load_recipe('bart').text)\n"
    )
    assert "text-infilling" in run(bin_folder / "python", "-c", code, cwd=tmp_path)


def install(wheel: Path, extra: str | None, folder: Path) -> Path:
    """Install the wheel into an empty environment; the folder of its commands."""
    environment = folder / "environment"
    uv = (sys.executable, "-m", "uv")
    run(*uv, "venv", "--quiet", "--python", sys.executable, environment, cwd=folder)
    requirement = (
        f"noisebeam[{extra}] @ {wheel.as_uri()}" if extra else f"noisebeam @ {wheel.as_uri()}"
    )
    pinned = ("-c", PROJECT / "deploy/constraints.txt")
    run(
        *uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        environment / "bin/python",
        *pinned,
        requirement,
        cwd=folder,
    )
    return environment / "bin"
