"""Segmenters compared: sentence F1 on treebanks and speed, in one process on one core.

    python tests/benchmarks/segment.py [--shared ../shared] [--repeats 3]

Speed is megabytes of UTF-8 in a second of processor time, best of the repeats, on the treebank's
text and on chapters of books; "agrees" is the F1 of a segmenter's sentences in the books against
those of Stanza itself.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from noisebeam.transforms.data.spans import spans_between
from noisebeam.transforms.segmenters.segmenters import SegmenterOptions, load_segmenter

Sentences = list[list[tuple[int, int]]]  # of each text
Segment = Callable[[Sequence[str]], Sentences]


def ours(name: str, lang: str, folder: str) -> Segment:
    neural = name in ("stanza", "cascade")
    segmenter = load_segmenter(
        SegmenterOptions(name=name, lang=lang, stanza_dir=folder if neural else None)
    )
    return lambda texts: [
        [(start, end) for start, end in spans.tolist()]
        for spans in segmenter.segment(texts, [lang] * len(texts))
    ]


def stanza_itself(folder: str) -> Segment:
    import stanza

    settings: dict[str, Any] = {
        "processors": "tokenize",
        "download_method": None,
        "use_gpu": False,
        "verbose": False,
    }
    pipeline = stanza.Pipeline("en", dir=folder, **settings)

    def segment(texts: Sequence[str]) -> Sentences:
        documents = pipeline.bulk_process(list(texts), processors="tokenize")
        ends = [
            [sentence.tokens[-1].end_char for sentence in document.sentences]
            for document in documents
        ]
        pairs = zip(texts, ends, strict=True)
        return [
            [(start, end) for start, end in spans_between(text, of_text).tolist()]
            for text, of_text in pairs
        ]

    return segment


def f1(found: Sentences, gold: Sentences) -> float:
    left = {(i, *span) for i, spans in enumerate(found) for span in spans}
    right = {(i, *span) for i, spans in enumerate(gold) for span in spans}
    return 200 * len(left & right) / (len(left) + len(right))


def timed(segment: Segment, texts: Sequence[str], repeats: int) -> tuple[Sentences, float]:
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        found = segment(texts)
        seconds.append(time.process_time() - start)
    return found, sum(len(text.encode()) for text in texts) / 1e6 / min(seconds)


def treebank(path: Path) -> tuple[list[str], Sentences]:
    documents = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [one["text"] for one in documents], [
        [(s, e) for s, e in one["sentences"]] for one in documents
    ]


def books(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [
            json.loads(line)["text"][:10_000]
            for number, line in enumerate(file)
            if number % 100 == 0
        ]


def compare(shared: Path, repeats: int) -> None:
    folder = str(shared / "stanza_resources")
    texts, gold = treebank(shared / "segmentation/en_ewt_dev.jsonl")
    chapters = books(shared / "corpora/en_books.jsonl.gz")
    segmenters = {"Stanza itself": stanza_itself(folder)}
    segmenters |= {
        name: ours(name, "en", folder) for name in ("stanza", "cascade", "sentencex", "lines")
    }
    print(
        "| English (EWT dev; books) | F1 | other half | MB/s | books: agrees | MB/s "
        "|\n|---|---|---|---|---|---|"
    )
    reference: Sentences = []
    for name, segment in segmenters.items():
        segment(texts[:20])
        found, speed = timed(segment, texts, repeats)
        in_books, book_speed = timed(segment, chapters, repeats)
        reference = reference or in_books
        row = f"{f1(found, gold):.1f} | {f1(found[1::2], gold[1::2]):.1f} | {speed:.3g}"
        print(f"| {name} | {row} | {f1(in_books, reference):.1f} | {book_speed:.3g} |", flush=True)
    texts, gold = treebank(shared / "segmentation/zh_gsdsimp_dev.jsonl")
    print("\n| Chinese (GSDSimp dev) | F1 | MB/s |\n|---|---|---|")
    for name in ("sentencex", "lines"):
        found, speed = timed(ours(name, "zh", folder), texts, repeats)
        print(f"| {name} | {f1(found, gold):.1f} | {speed:.3g} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--shared", type=Path, default=os.environ.get("NOISEBEAM_SHARED", "../shared")
    )
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    compare(Path(arguments.shared), arguments.repeats)


if __name__ == "__main__":
    main()
