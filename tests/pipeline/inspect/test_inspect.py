"""What `noisebeam inspect` shows, in the terminal and as HTML."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from noisebeam.pipeline.cli import main
from noisebeam.pipeline.inspect.inspect import mask_pictures
from noisebeam.pipeline.inspect.mask_pictures import SEEN
from noisebeam.transforms.noise.objectives import OBJECTIVES

CORRUPTIONS = (
    "token-masking",
    "token-deletion",
    "text-infilling",
    "sentence-permutation",
    "document-rotation",
)


@pytest.fixture(scope="module")
def built(corpus: Path, tokenizer: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    output = str(tmp_path_factory.mktemp("inspect") / "out")
    flags = ["--tokenizer", tokenizer, "--max-tokens", "128", "--recipe", "bart", "--seed", "17"]
    assert main(["build", "--input", str(corpus / "corpus.jsonl"), "--output", output, *flags]) == 0
    return output


def test_the_source_and_the_steps_of_the_recipe_are_shown(
    built: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", built, "--sample", "3"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"out: sample 3 of \d+, window \d+ of document '", shown)
    assert re.findall(r"^(\S.*) \(\d+ tokens\)$", shown, flags=re.M) == [
        "source",
        "bart: after sentence-permutation",
        "bart: after text-infilling",
    ]
    assert "bart: labels: the source, all" in shown
    assert shown.count("<mask>") > 3


def test_each_corruption_can_be_shown_on_one_window(
    built: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["inspect", built, *(part for name in CORRUPTIONS for part in ("--recipe", name))])
        == 0
    )
    shown = capsys.readouterr().out
    assert re.findall(r"^(\S.*) \(\d+ tokens\)$", shown, flags=re.M) == ["source", *CORRUPTIONS]


def test_masked_labels_are_shown(built: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", built, "--recipe", "bert"]) == 0
    assert "bert: labels" in capsys.readouterr().out


def test_html_is_one_file_without_outside_resources(built: str, tmp_path: Path) -> None:
    assert main(["inspect", built, "--html", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert re.search(r'<bdi class="masked" title="masked: [^"]+; ids 4">&lt;mask&gt;</bdi>', page)
    assert "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"" in page
    assert outside(page) == []


def outside(page: str) -> list[str]:
    """What a page asks for that is not in it."""
    asked: list[str] = re.findall(
        r"""(?:src|href|srcset|action)\s*=\s*["']?(?!data:)([^"'> ]+)""", page
    )
    return asked + re.findall(r"url\(|@import|<script|<link|<iframe", page)


def test_each_objective_has_its_masks(built: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", built, "--recipe", "bert", "--recipe", "bart"]) == 0
    shown = capsys.readouterr().out
    bert, bart = (part.split("\n\n")[0] for part in shown.split(": attention masks")[1:])
    assert "encoder, padded" in bert
    for name in ("encoder", "decoder: causal", "decoder to encoder"):
        assert name in bart
    assert "█" in bart


def test_a_short_sample_is_shown_padded_and_packed() -> None:
    padded, packed = mask_pictures(
        OBJECTIVES["mlm"], inputs=5, labels=5, width=16, neighbours=[4, 3]
    )
    assert packed.title == "packed with 2 more"
    assert [int((picture == SEEN).sum()) for _, picture in (padded, packed)] == [25, 25 + 16 + 9]
    assert padded.picture.shape == packed.picture.shape == (16, 16)
    assert [title for title, _ in mask_pictures(OBJECTIVES["mlm"], 5, 5, 16, [])] == [
        "encoder, padded"
    ]


def test_causal_samples_are_packed_without_seeing_each_other() -> None:
    padded, packed = mask_pictures(
        OBJECTIVES["causal"], inputs=3, labels=3, width=8, neighbours=[2]
    )
    assert [int((picture == SEEN).sum()) for _, picture in (padded, packed)] == [6, 6 + 3]
    (prefix,) = mask_pictures(
        OBJECTIVES["prefix"], inputs=3, labels=3, width=8, neighbours=[2], given=2
    )
    assert int((prefix.picture == SEEN).sum()) == 7


def test_inspect_needs_neither_torch_nor_beam(built: str) -> None:
    code = (
        "import sys; from noisebeam.pipeline.cli import main; status = main(['inspect', "
        "sys.argv[1]])\n"
        "sys.exit(status + len({'torch', 'apache_beam'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, built], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_browser_shows_the_page(
    built: str, tmp_path: Path, browse: Callable[[Path], Any]
) -> None:
    recipes = [
        part
        for name in ("bart", "bert", "token-deletion", "token-insertion")
        for part in ("--recipe", name)
    ]
    assert main(["inspect", built, *recipes, "--html", str(tmp_path / "page.html")]) == 0
    seen = browse(tmp_path / "page.html")
    assert seen.width == 1200
    assert len(set(seen.rows)) > 300, "the screenshot is nearly blank"
    assert outside(seen.dom) == []
    for text in (
        "after sentence-permutation",
        "after text-infilling",
        "show what is gone",
        "&lt;mask&gt;",
        "−100 × ",
    ):
        assert text in seen.dom


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tokenizer_name", "lang", "text", "recipe", "shown"),
    [
        ("bert-base-chinese", "zh", "今天天气很好。我们去公园散步。他说：你好！", "bert", "今 天"),
        (
            "bert-base-uncased",
            "ar",
            "وقال الله ليكن نور فكان نور. ورأى الله النور أنه حسن.",
            "token-deletion",
            "الله",
        ),
        (
            "t5-base",
            "en",
            "It rains. We stay at home and read <b>books</b> & papers.",
            "t5",
            "&lt;extra_id_0&gt;",
        ),
    ],
)
def test_other_scripts_are_spelled(
    shared: Path,
    tmp_path: Path,
    browse: Callable[[Path], Any],
    tokenizer_name: str,
    lang: str,
    text: str,
    recipe: str,
    shown: str,
) -> None:
    (tmp_path / "one.txt").write_text(text, encoding="utf-8")
    flags = [
        "--tokenizer",
        str(shared / "tokenizers" / tokenizer_name),
        "--lang",
        lang,
        "--recipe",
        recipe,
    ]
    output, page = str(tmp_path / "out"), tmp_path / "page.html"
    assert main(["build", "--input", str(tmp_path / "one.txt"), "--output", output, *flags]) == 0
    assert main(["inspect", output, "--html", str(page)]) == 0
    seen = browse(page)
    assert len(set(seen.rows)) > 100
    assert shown in seen.dom
    assert "\ufffd" not in seen.dom


def test_an_absent_sample_is_one_line(built: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", built, "--sample", "100000"]) == 2
    assert re.match(
        r"noisebeam: expected a sample from 0 to \d+, got 100000\n$", capsys.readouterr().err
    )


def test_an_unfinished_build_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path)]) == 2
    assert (
        "has no manifest.json: it is no data set, or an unfinished build" in capsys.readouterr().err
    )
