"""Builds from the command line, with a small tokenizer and small windows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from noisebeam.pipeline.cli import main

Build = Callable[..., int]


@pytest.fixture
def build(tokenizer: str, tmp_path: Path) -> Build:
    """Build `inputs` into `output` (the folder `out` if not given) with a small tokenizer and small
    windows.
    """

    def run(*inputs: Path | str, output: Path | None = None, flags: tuple[str, ...] = ()) -> int:
        places = ["--input", *map(str, inputs), "--output", str(output or tmp_path / "out")]
        return main(
            [
                "build",
                *places,
                "--tokenizer",
                tokenizer,
                "--max-tokens",
                "128",
                "--seed",
                "17",
                *flags,
            ]
        )

    return run
