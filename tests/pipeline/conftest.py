"""A small corpus and a small tokenizer, made of the documentation topics that come with Python."""

from __future__ import annotations

import json
import pydoc_data.topics
from pathlib import Path

import pytest
from tokenizers import ByteLevelBPETokenizer
from tokenizers.processors import RobertaProcessing


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
        "".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in documents), encoding="utf-8"
    )


@pytest.fixture(scope="session")
def tokenizer(topics: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a byte-level BPE tokenizer of 2,000 tokens that has BART's special tokens."""
    model = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    model.train_from_iterator(topics.values(), vocab_size=2000, special_tokens=special, show_progress=False)
    model._tokenizer.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    folder = tmp_path_factory.mktemp("tokenizer")
    model.save(str(folder / "tokenizer.json"))
    return str(folder)
