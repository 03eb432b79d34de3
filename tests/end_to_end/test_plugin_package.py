"""A package that adds a segmenter, a format and a corruption: built, installed, used, and taken
away again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from noisebeam.testing import check_corruption, check_format, check_segmenter

PACKAGE = Path(__file__).parent / "extras_package"
FORTUNES = (
    "Once upon a time, there was a queen; she had a mirror.\n%\nDRAFT\n%\nEvery morning, she "
    "asked it. It answered.\n"
)
ORIGIN = "noisebeam-extras 1.5"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package is installed."""
    folder = tmp_path_factory.mktemp("installed")
    source = shutil.copytree(PACKAGE, tmp_path_factory.mktemp("source") / "package")
    install = (
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--python",
        sys.executable,
    )
    subprocess.run([*install, "--target", str(folder), str(source)], check=True)
    return folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, tokenizer: str) -> tuple[str, ...]:
    """Flags of a build that uses all three."""
    folder = tmp_path_factory.mktemp("fortunes")
    for i in range(10):
        (folder / f"{i}.fortune").write_text(FORTUNES.replace("queen", f"queen {i}"))
    (folder / "a.jsonl").write_text(
        json.dumps({"id": "a", "text": "A document, as usual. The end."}) + "\n"
    )
    (folder / "swap.yaml").write_text("corruptions: [token-swap: {share: 0.4}, token-deletion]\n")
    places = (
        "--input",
        str(folder / "*.fortune"),
        str(folder / "a.jsonl"),
        "--tokenizer",
        tokenizer,
    )
    sizes = ("--max-tokens", "32", "--num-shards", "2", "--seed", "5", "--max-bad-fraction", "0.5")
    return (*places, *sizes, "--segmenter", "clauses", "--recipe", str(folder / "swap.yaml"))


def noisebeam(*arguments: str, plugins: Path | None) -> subprocess.CompletedProcess[str]:
    """Run a command with or without the package."""
    paths = [str(plugins)] if plugins else []
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "noisebeam.pipeline.cli", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def output(
    installed: Path, settings: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished build."""
    output = tmp_path_factory.mktemp("built")
    done = noisebeam("build", *settings, "--output", str(output), plugins=installed)
    assert done.returncode == 0, done.stderr
    return output


def test_a_build_uses_all_three_and_names_their_package(output: Path) -> None:
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["counts"]["documents"] == 21
    assert manifest["counts"]["dead_letters"] == 10
    assert manifest["plugins"] == {
        "noisebeam.corruptions: token-swap": ORIGIN,
        "noisebeam.formats: fortune": ORIGIN,
        "noisebeam.segmenters: clauses": ORIGIN,
    }
    letter = json.loads(next((output / "dead_letters").iterdir()).read_text().splitlines()[0])
    assert (letter["reason"], letter["record"]) == ("not written yet", "DRAFT\n")


def test_the_bytes_are_the_same_in_two_workers(
    output: Path, installed: Path, settings: tuple[str, ...], tmp_path: Path
) -> None:
    two = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    done = noisebeam("build", *settings, "--output", str(tmp_path), *two, plugins=installed)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "manifest.json").read_bytes() == (output / "manifest.json").read_bytes()


def test_beam_yaml_names_the_package_too(
    output: Path, installed: Path, settings: tuple[str, ...]
) -> None:
    script = (
        "import json, sys\n"
        "from noisebeam.transforms.beam.yaml_transforms import WriteShards\n"
        "swap = {'objective': 'denoising', 'corruptions': ['token-swap']}\n"
        "write = WriteShards(output='x', tokenizer=sys.argv[1], seed=7, recipe=swap, "
        "plugins=['noisebeam.segmenters: clauses'])\n"
        "print(json.dumps(dict(write._write.header.plugins)))\n"
    )
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-c", script, str(output / "tokenizer")]
    named = subprocess.run(
        command, env=env, check=True, timeout=300, capture_output=True, text=True
    ).stdout
    assert json.loads(named) == {
        "noisebeam.corruptions: token-swap": ORIGIN,
        "noisebeam.segmenters: clauses": ORIGIN,
    }


def test_noise_on_the_fly_is_the_noise_that_was_baked_in(output: Path, installed: Path) -> None:
    script = (
        "import sys, yaml\n"
        "from noisebeam.pipeline import ShardDataset\n"
        "from noisebeam.transforms.output.manifest import read_manifest\n"
        "recipe = yaml.safe_load(read_manifest(sys.argv[1]).recipe)\n"
        "def ids(recipe):\n"
        "    dataset = ShardDataset(sys.argv[1], recipe=recipe, batch_size=4, seed=5)\n"
        "    return [batch['input_ids'].tolist() for batch in dataset]\n"
        "assert ids(None) == ids(recipe) and ids(None)\n"
    )
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")]),
    }
    subprocess.run([sys.executable, "-c", script, str(output)], env=env, check=True, timeout=300)


def test_shards_are_verified_with_the_package_and_without(output: Path, installed: Path) -> None:
    for plugins in (installed, None):
        done = noisebeam("verify", str(output), plugins=plugins)
        assert (done.returncode, done.stdout) == (0, f"{output}: no difference found\n")


def test_inspect_shows_the_corruption_or_names_the_package_that_is_missing(
    output: Path, installed: Path
) -> None:
    assert "after token-swap" in noisebeam("inspect", str(output), plugins=installed).stdout
    done = noisebeam("inspect", str(output), plugins=None)
    assert done.returncode == 2
    assert "corruption 'token-swap': expected one of blank-infilling, " in done.stderr
    assert done.stderr.endswith(f"; this build used {ORIGIN}: install what is missing\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--segmenter", "clauses"),
            "segmenter: expected sentencex, stanza, cascade, lines or package.module:factory, got "
            "'clauses'",
        ),
        (
            ("--format", "fortune"),
            "format: expected one of auto, jsonl, text, paragraphs, parquet, warc, got 'fortune'",
        ),
    ],
)
def test_without_the_package_its_names_are_unknown(
    flags: tuple[str, ...], message: str, settings: tuple[str, ...], tmp_path: Path
) -> None:
    done = noisebeam("build", *settings[:-4], *flags, "--output", str(tmp_path), plugins=None)
    assert (done.returncode, done.stderr) == (2, f"noisebeam: {message}\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--segmenter", "unmakeable"),
            f"segmenter 'unmakeable' of {ORIGIN}: cannot be made: OSError: no model in /models",
        ),
        (
            ("--recipe", "{}/absent.yaml"),
            "recipe 'absent': entry point noisebeam.corruptions: absent = noisebeam_extras:Absent "
            "of package "
            f"{ORIGIN} cannot be loaded (AttributeError: module 'noisebeam_extras' has no "
            "attribute 'Absent'); mend or "
            "uninstall the package",
        ),
    ],
)
def test_what_does_not_work_is_told_with_its_package(
    flags: tuple[str, ...], message: str, installed: Path, settings: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "absent.yaml").write_text("corruptions: [absent]\n")
    flags = tuple(flag.format(tmp_path) for flag in flags)
    done = noisebeam(
        "build", *settings[:-4], *flags, "--output", str(tmp_path / "out"), plugins=installed
    )
    assert (done.returncode, done.stderr) == (2, f"noisebeam: {message}\n")


def test_the_package_obeys_the_laws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PACKAGE))
    extras = import_module("noisebeam_extras")
    check_segmenter(extras.ClauseSegmenter(), examples=30)
    check_corruption(extras.TokenSwap(share=0.4))
    check_format(
        extras.read_fortunes,
        FORTUNES.encode(),
        ending=".fortune",
        documents=[text for text in FORTUNES.split("%\n") if "DRAFT" not in text],
        bad_records=[b"DRAFT\n"],
    )
