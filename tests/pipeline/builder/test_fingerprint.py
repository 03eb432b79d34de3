"""The fingerprint of a build changes with everything that its bytes depend on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from noisebeam.pipeline.builder import fingerprint as module
from noisebeam.pipeline.builder.fingerprint import fingerprint
from noisebeam.pipeline.builder.options import BuildOptions
from noisebeam.pipeline.builder.plan import make_plan
from noisebeam.transforms.beam import ReadDocuments


def with_settings(options: BuildOptions, **settings: Any) -> BuildOptions:
    return BuildOptions.of(**{**options.flat(), **settings})


def identify(options: BuildOptions) -> str:
    plan = make_plan(options, ReadDocuments(options.input, options.read))
    return fingerprint(options, plan.header, plan.read.parts)


@pytest.fixture
def options(tokenizer: str, tmp_path: Path) -> BuildOptions:
    (tmp_path / "a.jsonl").write_text('{"text": "A."}\n')
    return BuildOptions.of(
        input=(str(tmp_path / "*.jsonl"),), output=str(tmp_path / "out"), tokenizer=tokenizer
    )


def test_the_same_build_keeps_its_fingerprint_wherever_it_goes(
    options: BuildOptions, tmp_path: Path
) -> None:
    moved = with_settings(
        options, output=str(tmp_path / "elsewhere"), overwrite=True, max_bad_fraction=0.5
    )
    assert identify(options) == identify(options) == identify(moved)


def test_settings_change_it(options: BuildOptions) -> None:
    others = [
        with_settings(options, seed=1),
        with_settings(options, recipe="bart"),
        with_settings(options, num_shards=3),
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
