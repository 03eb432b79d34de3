"""What `noisebeam stats` measures and shows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noisebeam.pipeline.cli import main
from noisebeam.pipeline.inspect.stats import evenly, measure, noise_shares, padding_estimate
from noisebeam.transforms.data.ragged import Ragged, offsets_of
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.objectives import OBJECTIVES

VOCABULARY = Vocabulary(100, prefix=(0,), suffix=(2,), special_ids=(0, 1, 2, 99), mask_id=99)


@pytest.fixture(scope="module")
def built(corpus: Path, tokenizer: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    output = str(tmp_path_factory.mktemp("stats") / "out")
    flags = [
        "--tokenizer",
        tokenizer,
        "--max-tokens",
        "128",
        "--recipe",
        "text-infilling",
        "--num-shards",
        "3",
    ]
    assert main(["build", "--input", str(corpus / "corpus.jsonl"), "--output", output, *flags]) == 0
    return output


def ragged(rows: list[list[int]]) -> Ragged:
    values = np.array([value for row in rows for value in row], dtype=np.int64)
    return Ragged(values, offsets_of(np.array([len(row) for row in rows], dtype=np.int64)))


def test_the_numbers_of_a_build_are_those_of_its_manifest(built: str) -> None:
    stats = measure(built)
    assert stats.totals["documents"] == "20"
    titles = [bars.title for bars in stats.distributions]
    assert titles[:3] == ["tokens a sample", "sentences a sample", "tokens a sentence"]
    samples = int(stats.totals["samples"].replace(",", ""))
    counted = [sum(count for _, count in bars.entries) for bars in stats.distributions]
    assert counted[0] == counted[1] == counted[3] == samples
    assert f"{counted[4]:,}" == stats.totals["tokens"]
    assert stats.basis.startswith("3 of 3 shards: ")


def test_a_sample_of_the_shards_is_said_to_be_one(built: str) -> None:
    assert measure(built, shards=1).basis.startswith("1 of 3 shards: lengths of ")


def test_noise_is_the_share_of_the_recipe(built: str) -> None:
    noise = measure(built).distributions[3]
    assert float(re.findall(r"median ([\d.]+) %", noise.summary)[0]) == pytest.approx(30, abs=1)
    other = measure(built, recipe="bert").distributions[3]
    assert float(re.findall(r"median ([\d.]+) %", other.summary)[0]) == pytest.approx(15, abs=1)


tokens = st.lists(st.integers(3, 9), max_size=12)


@settings(deadline=None)
@given(st.lists(st.tuples(tokens, tokens), min_size=1, max_size=5))
def test_noise_is_what_the_input_lacks(rows: list[tuple[list[int], list[int]]]) -> None:
    source, inputs = (ragged([[0, *pair[i], 2] for pair in rows]) for i in (0, 1))
    shares = noise_shares(source, inputs, source, OBJECTIVES["denoising"], VOCABULARY)
    lacking = [
        sum((Counter(one) - Counter(other)).values()) / max(1, len(one)) for one, other in rows
    ]
    assert shares.tolist() == pytest.approx(lacking)


def test_noise_of_masked_language_models_is_what_has_a_label() -> None:
    source, labels = ragged([[0, 5, 6, 7, 8, 2]]), ragged([[-100, 5, -100, -100, -100, -100]])
    assert noise_shares(source, source, labels, OBJECTIVES["mlm"], VOCABULARY).tolist() == [0.25]


@given(st.lists(st.integers(1, 64), min_size=1, max_size=300))
def test_packing_never_pads_more_than_a_row_a_sample(lengths: list[int]) -> None:
    shares = padding_estimate(np.array(lengths), 64)
    assert all(0 <= share < 1 for share in shares.values())
    assert shares["packed rows of 64"] <= shares["rows of 64"]


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_evenly_spaced_numbers_are_different_and_in_range(count: int, most: int) -> None:
    chosen = evenly(count, most)
    assert len(set(chosen)) == len(chosen) == min(count, most)
    assert all(0 <= i < count for i in chosen)


def test_the_terminal_shows_plots_and_padding_the_same_every_time(
    built: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stats", built]) == main(["stats", built]) == 0
    shown = capsys.readouterr().out
    assert shown[: len(shown) // 2] == shown[len(shown) // 2 :]
    assert "█" in shown
    assert "packed rows of 128: " in shown


def test_wrong_wishes_are_one_line(
    built: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stats", built, "--sample", "0"]) == 2
    assert main(["stats", str(tmp_path)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[0] == "noisebeam: --sample: expected 1 shard or more, got 0"
    assert "has no manifest.json" in errors[1]
    assert len(errors) == 2


def test_a_damaged_shard_is_named(make_set: Callable[..., str], tmp_path: Path) -> None:
    url = make_set(str(tmp_path / "set"), 40, num_shards=1)
    (shard,) = (tmp_path / "set").glob("*.tar")
    data = bytearray(shard.read_bytes())
    data[700] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ValueError, match=r"shard .*shard-00000-of-00001.tar is damaged in block 0"):
        measure(url)


@pytest.mark.slow
def test_a_browser_shows_the_plots(
    built: str, tmp_path: Path, browse: Callable[[Path], Any]
) -> None:
    page = tmp_path / "stats.html"
    assert main(["stats", built, "--html", str(page)]) == 0
    assert main(["stats", built, "--html", str(tmp_path / "again.html")]) == 0
    assert page.read_bytes() == (tmp_path / "again.html").read_bytes()
    seen = browse(page)
    assert len(set(seen.rows)) > 200, "the screenshot is nearly blank"
    assert seen.dom.count("<svg") == 5
    assert not re.search(r"(?:src|href)=|url\(|@import|<script", seen.dom)
