"""What makes a build another one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from noisebeam.pipeline.builder import fingerprint as module
from noisebeam.pipeline.builder.build import make_plan
from noisebeam.pipeline.builder.fingerprint import identity
from noisebeam.pipeline.builder.options import BuildOptions
from noisebeam.transforms.beam import ReadDocuments


def identify(options: BuildOptions) -> str:
    plan = make_plan(options, ReadDocuments(options.input, options.read_options))
    return identity(options, plan.header, plan.read)


@pytest.fixture
def options(tokenizer: str, tmp_path: Path) -> BuildOptions:
    (tmp_path / "a.jsonl").write_text('{"text": "A."}\n')
    return BuildOptions(
        input=(str(tmp_path / "*.jsonl"),), output=str(tmp_path / "out"), tokenizer=tokenizer
    )


def test_the_same_build_keeps_its_identity_wherever_it_goes(
    options: BuildOptions, tmp_path: Path
) -> None:
    moved = replace(
        options, output=str(tmp_path / "elsewhere"), overwrite=True, max_bad_fraction=0.5
    )
    assert identify(options) == identify(options) == identify(moved)


def test_settings_change_it(options: BuildOptions) -> None:
    others = [
        replace(options, seed=1),
        replace(options, recipe="bart"),
        replace(options, num_shards=3),
    ]
    assert len({identify(each) for each in (options, *others)}) == 4


def test_input_changes_it(options: BuildOptions, tmp_path: Path) -> None:
    found = [identify(options)]
    (tmp_path / "b.jsonl").write_text('{"text": "B."}\n')
    found.append(identify(options))
    (tmp_path / "b.jsonl").write_text('{"text": "C."}\n')
    os.utime(tmp_path / "b.jsonl", (1, 1))
    found.append(identify(options))
    assert len(set(found)) == 3


def test_another_version_of_a_package_changes_it(
    options: BuildOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = identify(options)
    monkeypatch.setattr(module, "version", lambda package: "0")
    assert identify(options) != before
