"""The container image without a container runtime: models are loaded, the files and versions in the
Dockerfile are the project's.
"""

from __future__ import annotations

import re
from pathlib import Path

import apache_beam
import pytest

from noisebeam.deploy.dataflow import bake, launch

PROJECT = Path(__file__).parents[3]
DOCKERFILE = (PROJECT / "deploy/dataflow/Dockerfile").read_text(encoding="utf-8")


def test_its_beam_is_the_pinned_one() -> None:
    pinned = re.search(
        r"^apache-beam==(.+)$", (PROJECT / "deploy/constraints.txt").read_text(), re.MULTILINE
    )
    assert pinned is not None
    assert re.findall(r"^ARG BEAM=(.+)$", DOCKERFILE, re.MULTILINE) == [pinned[1]]
    assert pinned[1] == apache_beam.__version__


def test_the_files_and_variables_that_it_names_exist() -> None:
    inside = re.findall(r"/opt/noisebeam/source/([\w./]+\.\w+)", DOCKERFILE)
    assert sorted(inside) == ["deploy/constraints.txt", "deploy/dataflow/launch.py"]
    assert all((PROJECT / path).is_file() for path in inside)
    assert f"ENV {launch.IMAGE_VARIABLE}=" in DOCKERFILE
    assert f"python -m {bake.__name__} " in DOCKERFILE


def test_tokenizers_are_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    Tokenizer(WordLevel({"x": 0, "<unk>": 1}, unk_token="<unk>")).save(
        str(tmp_path / "tokenizer.json")
    )
    assert bake.main(["--tokenizers", str(tmp_path), "--stanza"]) == 0
    assert capsys.readouterr().out == f"tokenizer {tmp_path}: 2 tokens\n"


def test_a_tokenizer_that_is_not_there_ends_the_build_of_the_image(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bake.main(["--tokenizers", "./absent"]) == 1
    assert capsys.readouterr().err == "noisebeam: tokenizer './absent': no such file or folder\n"


@pytest.mark.slow
def test_stanzas_models_are_loaded(
    shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("stanza")
    monkeypatch.setenv("STANZA_RESOURCES_DIR", str(shared / "stanza_resources"))
    assert bake.main(["--stanza", "en"]) == 0
    assert capsys.readouterr().out == "stanza en\n"
