"""Public names of the package, and wheels in empty environments beside the user's own modules."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import noisebeam
import noisebeam.pipeline

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


def test_the_commands_need_no_torch(tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None\n"
    code += "from noisebeam.pipeline import cli\n"
    code += "from noisebeam.pipeline.builder import build, summary\n"
    code += "from noisebeam.pipeline.inspect import inspect, stats, verify\n"
    run(sys.executable, "-c", code, cwd=tmp_path)


def test_public_names_are_imported_when_they_are_used(tmp_path: Path) -> None:
    code = (
        "import sys, noisebeam, noisebeam.pipeline\n"
        "assert set(noisebeam.__all__) <= set(dir(noisebeam))\n"
        "noisebeam.read_manifest, noisebeam.load_recipe, noisebeam.verify, noisebeam.__version__\n"
        "assert not {'torch', 'apache_beam'} & set(sys.modules)\n"
        "noisebeam.ShardDataset\n"
        "assert 'apache_beam' not in sys.modules\n"
    )
    run(sys.executable, "-c", code, cwd=tmp_path)


@pytest.mark.parametrize("name", noisebeam.__all__)
def test_a_public_name_exists(name: str) -> None:
    assert getattr(noisebeam, name) is getattr(noisebeam, name)


@pytest.mark.parametrize("name", noisebeam.pipeline.__all__)
def test_a_name_of_the_pipeline_is_the_same_object(name: str) -> None:
    assert getattr(noisebeam.pipeline, name) is getattr(noisebeam, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    for module in (noisebeam, noisebeam.pipeline):
        with pytest.raises(AttributeError, match=f"'{module.__name__}' has no attribute 'Absent'"):
            getattr(module, "Absent")  # noqa: B009


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['apache_beam'] = None\n"
        "import noisebeam.pipeline\n"
        "for module, name in ((noisebeam.pipeline, 'ShardDataset'), (noisebeam, 'build')):\n"
        "    try: getattr(module, name)\n"
        "    except ImportError as error: print(error)\n"
    )
    assert run(sys.executable, "-c", code, cwd=tmp_path).splitlines() == [
        "noisebeam.ShardDataset: expected the package torch, got none; "
        "do pip install 'noisebeam[train]'",
        "noisebeam.build: expected the package apache_beam, got none; "
        "do pip install 'noisebeam[beam]'",
    ]


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
    code = (
        "import importlib.util, noisebeam, noisebeam.deploy.spark.submit\n"
        "assert importlib.util.find_spec('torch') is None\n"
        "assert noisebeam.build and noisebeam.BuildOptions and noisebeam.__version__\n"
        "print(noisebeam.read_manifest('out').recipe)\n"
        "try: noisebeam.ShardDataset\n"
        "except ImportError as error: print(error)\n"
    )
    printed = run(bin_folder / "python", "-c", code, cwd=tmp_path)
    assert "bart" in printed
    assert "pip install 'noisebeam[train]'" in printed


@pytest.mark.slow
def test_a_wheel_alone_reads_and_verifies_without_beam(wheel: Path, tmp_path: Path) -> None:
    bin_folder = install(wheel, None, tmp_path)
    code = (
        "import importlib.util, noisebeam.pipeline, noisebeam.transforms.noise as noise\n"
        "assert importlib.util.find_spec('apache_beam') is None\n"
        "print(noise.load_recipe('bart').text)\n"
        "import noisebeam\n"
        "try: noisebeam.build\n"
        "except ImportError as error: print(error)\n"
    )
    printed = run(bin_folder / "python", "-c", code, cwd=tmp_path)
    assert "text-infilling" in printed
    assert "pip install 'noisebeam[beam]'" in printed


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
