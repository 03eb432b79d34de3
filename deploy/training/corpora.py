"""Default corpora of the training scripts: the beginning of a book and of a manual."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Corpus:
    """Part of a JSON Lines file to train on: the documents whose ids begin with `prefix`, up to a
    number of characters.
    """

    file: str
    prefix: str
    characters: int
    lang: str


TALES = Corpus("corpora/en_books.jsonl.gz", "Hawaiian Folk Tales/", 30_000, "en")
MANUAL = Corpus("corpora/zh_docs.jsonl.gz", "dashboard/", 5_000, "zh")


def write_excerpt(corpus: Corpus, data: Path, path: Path) -> None:
    """Write the documents of a corpus to the file `path`; the last document is truncated.

    `data` is the folder with the files of all corpora.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    left = corpus.characters
    with (
        gzip.open(data / corpus.file, "rt", encoding="utf-8") as lines,
        path.open("w", encoding="utf-8") as out,
    ):
        for document in map(json.loads, lines):
            if left > 0 and document["id"].startswith(corpus.prefix):
                text = document["text"][:left]
                left -= len(text)
                out.write(json.dumps({"id": document["id"], "text": text}) + "\n")
