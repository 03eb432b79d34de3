"""The README's Python runs."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from noisebeam.pipeline.cli import main

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.S)


def model(**batch: torch.Tensor) -> Any:
    assert sorted(batch) == ["attention_mask", "input_ids", "labels"]
    return SimpleNamespace(loss=torch.zeros(()))


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: re.sub(r"\W+", "-", block[:40]))
def test_a_python_block_runs(
    block: str, corpus: Path, tokenizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = [
        "--input",
        str(corpus / "corpus.jsonl"),
        "--tokenizer",
        tokenizer,
        "--max-tokens",
        "128",
    ]
    assert main(["build", *flags, "--output", str(tmp_path / "shards")]) == 0
    if '"classic/' in block:
        assert (
            main(
                [
                    "build",
                    *flags,
                    "--output",
                    str(tmp_path / "classic"),
                    "--samples-per-member",
                    "1",
                ]
            )
            == 0
        )
    here = {
        "facebook/bart-base": tokenizer,
        "s3://bucket/shards": "shards",
        "corpus/*.jsonl.gz": f"{corpus}/*.jsonl",
    }
    here |= {'"books", "news"': '"shards", "shards"'}
    for name, replacement in here.items():
        block = block.replace(name, replacement)
    block = block.replace("beam.Pipeline()", "beam.Pipeline(runner='FnApiRunner')")
    monkeypatch.chdir(tmp_path)
    exec(block, {"model": model})
