"""The training scripts, run as a user runs them: every objective in the real Trainer, on shards
just built.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.torchrun import environment, torchrun

from noisebeam.deploy.training.corpora import Corpus, write_excerpt
from noisebeam.deploy.training.epochs import entropy

PYTHON = (sys.executable, "-m")
TORCHRUN = (*torchrun(2), "-m")
NOT_LEARNED = (
    "expected a loss below 0.8 of the entropy at the end, got more; train for more --steps"
)

# Each script with what its last part shows; the tests below run mlm, t5 and causal as they are.
SCRIPTS = [
    ("mlm --lang zh --whole-words", "was: "),
    ("bart", "restored "),
    ("bart --recipe token-masking", "restored "),
    ("t5 --recipe ul2", "filled "),
    ("causal --padding left", "sampled "),
    ("causal --model bloom --padding left", "sampled "),
    ("causal --packed 128", "sampled "),
    ("prefix", "completed "),
    ("glm", "filled "),
]


def run(
    script: str, folder: Path, shared: Path, launcher: tuple[str, ...] = PYTHON
) -> tuple[str, str]:
    """Output and errors of a script."""
    name, *arguments = script.split()
    command = [
        *launcher,
        f"noisebeam.deploy.training.{name}",
        *arguments,
        "--data",
        str(shared),
        "--folder",
        folder,
    ]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=1500, check=False
    )
    assert done.returncode == int(NOT_LEARNED in done.stderr), done.stderr
    return done.stdout, done.stderr


def figures(output: str) -> tuple[float, float, float]:
    """The loss at the start and at the end, and the baseline."""
    found = re.search(
        r"^loss: ([\d.]+) at the start, ([\d.]+) at the end; .*labels: ([\d.]+)$",
        output,
        flags=re.M,
    )
    assert found is not None, output
    return float(found[1]), float(found[2]), float(found[3])


@pytest.mark.slow
@pytest.mark.parametrize(("script", "shown"), SCRIPTS)
def test_a_script_builds_trains_and_shows_what_the_model_makes(
    script: str, shown: str, shared: Path, tmp_path: Path
) -> None:
    output, errors = run(f"{script} --steps 20", tmp_path, shared)
    start, end, baseline = figures(output)
    assert 0 < baseline < start
    assert end < start
    assert shown in output
    assert NOT_LEARNED in errors
    if noise := re.search(r"epoch 0: (\w+), of epoch 1: (\w+), of epoch 0 again: (\w+)", output):
        assert noise[1] != noise[2]
        assert noise[1] == noise[3]
    else:
        assert script.startswith("causal")


@pytest.mark.slow
@pytest.mark.parametrize("script", ["t5", "causal"])
def test_a_whole_run_ends_clearly_below_the_unigram_entropy(
    script: str, shared: Path, tmp_path: Path
) -> None:
    output, _ = run(script, tmp_path, shared)
    _, end, baseline = figures(output)
    assert end < 0.8 * baseline


@pytest.mark.slow
def test_two_ranks_build_once_and_train_together(shared: Path, tmp_path: Path) -> None:
    output, _ = run("mlm --steps 20 --batch-size 4", tmp_path, shared, TORCHRUN)
    start, end, _ = figures(output)
    assert end < start
    assert output.count("$ noisebeam build") == 1
    assert output.count("was: ") == 1


def test_the_entropy_of_a_fair_coin_is_one_bit_and_of_a_sure_thing_none() -> None:
    assert entropy(np.array([3, 0, 3])) == pytest.approx(np.log(2))
    assert entropy(np.array([7, 0])) == 0


def test_an_excerpt_has_documents_of_that_name_up_to_so_many_characters(tmp_path: Path) -> None:
    documents = [("a/1", "xxxx"), ("b/1", "yyyy"), ("a/2", "zzzz"), ("a/3", "wwww")]
    lines = "".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in documents)
    (tmp_path / "all.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    write_excerpt(Corpus("all.jsonl.gz", "a/", 6, "en"), tmp_path, tmp_path / "excerpt.jsonl")
    found = [json.loads(line) for line in (tmp_path / "excerpt.jsonl").read_text().splitlines()]
    assert found == [{"id": "a/1", "text": "xxxx"}, {"id": "a/2", "text": "zz"}]
