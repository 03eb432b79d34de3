"""Fixtures that all tests share: a small corpus and tokenizer, small data sets, a browser."""

from __future__ import annotations

import json
import os
import pydoc_data.topics
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import settings
from support.sets import write_samples, write_set
from tokenizers import ByteLevelBPETokenizer
from tokenizers.processors import RobertaProcessing

from noisebeam.transforms.data.samples import Sample

# How long an example takes says nothing on a busy machine.
settings.register_profile("noisebeam", deadline=None)
settings.load_profile("noisebeam")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public data files: NOISEBEAM_SHARED, or `../shared` beside the repository."""
    folder = Path(os.environ.get("NOISEBEAM_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set NOISEBEAM_SHARED")
    return folder


@pytest.fixture(scope="session")
def topics() -> dict[str, str]:
    """About 80 documents by name, 465 KB."""
    return dict(sorted(pydoc_data.topics.topics.items()))


@pytest.fixture(scope="session")
def corpus(topics: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the first twenty topics as one JSON Lines file, `corpus.jsonl`."""
    folder = tmp_path_factory.mktemp("corpus")
    write_lines(folder / "corpus.jsonl", list(topics.items())[:20])
    return folder


def write_lines(path: Path, documents: list[tuple[str, str]]) -> None:
    """Write documents, pairs of id and text, as JSON Lines."""
    path.write_text(
        "".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in documents),
        encoding="utf-8",
    )


@pytest.fixture(scope="session")
def tokenizer(topics: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a byte-level BPE tokenizer of 2,000 tokens that has BART's special tokens."""
    model = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    model.train_from_iterator(
        topics.values(), vocab_size=2000, special_tokens=special, show_progress=False
    )
    model._tokenizer.post_processor = RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=False
    )
    folder = tmp_path_factory.mktemp("tokenizer")
    model.save(str(folder / "tokenizer.json"))
    return str(folder)


@pytest.fixture(scope="session")
def make_set() -> Callable[..., str]:
    """A function that writes a data set of clean samples to a folder: the tokens 1 and 2 of sample
    i tell i.
    """
    return write_numbered


def write_numbered(
    url: str, count: int, *, first: int = 0, num_shards: int = 4, samples_per_member: int = 8
) -> str:
    """A data set of `count` samples, numbered from `first`; sample i begins 0, 4 + i // 900, 4 + i
    % 900.
    """
    rng = np.random.default_rng(first)
    samples = []
    for i in range(first, first + count):
        ids = np.concatenate(
            [[0, 4 + i // 900, 4 + i % 900], rng.integers(4, 999, size=rng.integers(1, 30)), [2]]
        )
        fields = {"ids": ids, "sentence_lengths": np.array([len(ids) - 2])}
        samples.append(
            Sample(int(rng.integers(0, 2**64, dtype=np.uint64)), f"doc {i // 2}", i % 2, fields)
        )
    return write_samples(url, samples, num_shards, samples_per_member)


class Seen(NamedTuple):
    """What a browser makes of a page."""

    width: int
    rows: tuple[bytes, ...]  # of the screenshot, as PNG filters them: rows of one colour are equal
    dom: str


@pytest.fixture(scope="session")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Seen]:
    """A function that opens a page in Chromium; the test is skipped where there is none."""
    program = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if program is None:
        pytest.skip("no Chromium on this machine")

    def look(page: Path) -> Seen:
        folder = tmp_path_factory.mktemp("chromium")
        flags = (
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={folder}",
            "--window-size=1200,1600",
        )
        shot = folder / "shot.png"
        for action in ("--dump-dom", f"--screenshot={shot}"):
            command = (str(program), *flags, action, page.as_uri())
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
            if action == "--dump-dom":
                dom = done.stdout
        return Seen(*_png_rows(shot.read_bytes()), dom)

    return look


def _png_rows(data: bytes) -> tuple[int, tuple[bytes, ...]]:
    """The width of a PNG, and its rows."""
    width, height = struct.unpack(">II", data[16:24])
    at, packed = 8, b""
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        packed += data[at + 8 : at + 8 + length] if data[at + 4 : at + 8] == b"IDAT" else b""
        at += length + 12
    raw = zlib.decompress(packed)
    size = len(raw) // height
    return width, tuple(raw[i * size : (i + 1) * size] for i in range(height))


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data set of 150 clean samples in 4 shards."""
    return write_set(str(tmp_path_factory.mktemp("clean")))


@pytest.fixture(scope="session")
def baked_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same with BART's noise, baked with seed 17 in epoch 0."""
    return write_set(str(tmp_path_factory.mktemp("baked")), baked=True)
