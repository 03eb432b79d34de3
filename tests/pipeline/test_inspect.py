"""What `noisebeam inspect` shows, in the terminal and as HTML."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.pipeline.cli import main
from noisebeam.pipeline.inspect import align

CORRUPTIONS = ("token-masking", "token-deletion", "text-infilling", "sentence-permutation", "document-rotation")


@pytest.fixture(scope="module")
def built(corpus: Path, tokenizer: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    output = str(tmp_path_factory.mktemp("inspect") / "out")
    flags = ["--tokenizer", tokenizer, "--max-tokens", "128", "--recipe", "bart", "--seed", "17"]
    assert main(["build", "--input", str(corpus / "corpus.jsonl"), "--output", output, *flags]) == 0
    return output


def test_the_source_and_the_steps_of_the_recipe_are_shown(built: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", built, "--sample", "3"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"out: sample 3 of \d+, window \d+ of document '", shown)
    assert re.findall(r"^(\S.*) \(\d+ tokens\)$", shown, flags=re.M) == [
        "source",
        "bart: after sentence-permutation",
        "bart: after text-infilling",
    ]
    assert shown.count("<mask>") > 3


def test_each_corruption_can_be_shown_on_one_window(built: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", built, *(part for name in CORRUPTIONS for part in ("--recipe", name))]) == 0
    shown = capsys.readouterr().out
    assert re.findall(r"^(\S.*) \(\d+ tokens\)$", shown, flags=re.M) == ["source", *CORRUPTIONS]


def test_masked_labels_are_shown(built: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", built, "--recipe", "bert"]) == 0
    assert "bert: labels" in capsys.readouterr().out


def test_html_is_one_file_without_outside_resources(built: str, tmp_path: Path) -> None:
    assert main(["inspect", built, "--html", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert '<span class="new">&lt;mask&gt;</span>' in page
    assert not re.search(r"(src|href)=|url\(|@import|<script", page)


def test_an_absent_sample_is_one_line(built: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", built, "--sample", "100000"]) == 2
    assert re.match(r"noisebeam: expected a sample from 0 to \d+, got 100000\n$", capsys.readouterr().err)


def test_an_unfinished_build_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path)]) == 2
    assert "has no manifest.json: it is no data set, or an unfinished build" in capsys.readouterr().err


@given(st.lists(st.integers(0, 5), max_size=20), st.lists(st.integers(0, 5), max_size=20))
def test_aligned_tokens_are_equal_and_used_once(before: list[int], after: list[int]) -> None:
    places = align(before, after)
    found = [place for place in places if place is not None]
    assert len(set(found)) == len(found)
    assert all(place is None or before[place] == token for place, token in zip(places, after, strict=True))
    in_both = sum(min(before.count(token), after.count(token)) for token in set(after))
    assert len(found) == in_both
