"""What a build takes per GB of text, for each segmenter: the figures from which a job on a cluster
is planned.

    python tests/benchmarks/core_hours.py CORPUS.jsonl.gz TOKENIZER [--recipe bart]

CPU time is that of whole builds in one process, at two sizes: the difference of the times over the
difference of the sizes, so that start-up is left out. Bare `encode_batch` on the same text tells
how fast the machine is. Also: bytes that are shuffled and written for each byte of text, and the
memory of the process that writes one full shard.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

GB = 1e9


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("tokenizer")
    parser.add_argument("--recipe", help="noise to bake in")
    parser.add_argument("--megabytes", type=float, nargs=2, default=(4, 12), metavar="MB")
    parser.add_argument(
        "--stanza",
        type=float,
        nargs=2,
        default=(0.2, 0.7),
        metavar="MB",
        help="the same for Stanza",
    )
    arguments = parser.parse_args()
    recipe = ("--recipe", arguments.recipe) if arguments.recipe else ()
    print(
        f"{'segmenter':10} {'core hours per GB':>18} {'peak memory, MB':>16} "
        f"{'written per byte of text':>25}"
    )
    for segmenter in ("lines", "sentencex", "stanza"):
        sizes = arguments.stanza if segmenter == "stanza" else arguments.megabytes
        flags = (
            "--tokenizer",
            arguments.tokenizer,
            "--segmenter",
            segmenter,
            "--num-shards",
            "1",
            *recipe,
        )
        small, large = (measure_build(arguments.corpus, int(size * 1e6), flags) for size in sizes)
        hours = (large.seconds - small.seconds) / (large.text_bytes - small.text_bytes) * GB / 3600
        written = large.written_bytes / large.text_bytes
        print(
            f"{segmenter:10} {hours:18.2f} {large.peak_bytes / 1e6:16.0f} {written:25.2f}",
            flush=True,
        )
    print(
        f"{'encode_batch':10} {measure_encode_batch(arguments.corpus, arguments.tokenizer):18.2f}"
    )
    given = (arguments.corpus, arguments.tokenizer, arguments.recipe)
    print(f"samples that are shuffled: {measure_shuffle(*given):.2f} bytes for each byte of text")
    print(f"one full shard: {measure_shard(*given) / 1e6:.0f} MB of memory")


class Cost:
    """What one build took."""

    def __init__(self, text_bytes: int, usage: resource.struct_rusage, written_bytes: int) -> None:
        self.text_bytes = text_bytes
        self.seconds = usage.ru_utime + usage.ru_stime
        self.peak_bytes = usage.ru_maxrss * 1024
        self.written_bytes = written_bytes


def measure_build(corpus: Path, size: int, flags: tuple[str, ...]) -> Cost:
    """CPU time, memory and output of a build of the first `size` bytes of text."""
    with tempfile.TemporaryDirectory() as folder:
        text_bytes = write_corpus(corpus, size, Path(folder, "corpus.jsonl"))
        places = ("--input", f"{folder}/corpus.jsonl", "--output", f"{folder}/shards")
        command = [sys.executable, "-m", "noisebeam.pipeline.cli", "build", *places, *flags]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise RuntimeError(f"the build failed: {' '.join(command)}")
        written = sum(path.stat().st_size for path in Path(folder, "shards").glob("shard-*"))
    return Cost(text_bytes, usage, written)


def documents_of(corpus: Path, size: int) -> Iterator[dict[str, str]]:
    """Documents until their texts have `size` bytes; then the corpus begins anew, with other
    ids.
    """
    with gzip.open(corpus, "rt", encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    number = 0
    while size > 0:
        document = documents[number % len(documents)]
        yield {"id": f"{number}", "text": document["text"]}
        size -= len(document["text"].encode())
        number += 1


def write_corpus(corpus: Path, size: int, path: Path) -> int:
    """Write documents as JSON Lines; the bytes of their texts."""
    text_bytes = 0
    with open(path, "w", encoding="utf-8") as file:
        for document in documents_of(corpus, size):
            file.write(json.dumps(document) + "\n")
            text_bytes += len(document["text"].encode())
    return text_bytes


def measure_encode_batch(corpus: Path, tokenizer: str) -> float:
    """Core hours per GB of the tokenizer alone, on one thread."""
    from tokenizers import Tokenizer

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    texts = [document["text"] for document in documents_of(corpus, 4_000_000)]
    encoder = Tokenizer.from_file(f"{tokenizer}/tokenizer.json")
    start = time.process_time()
    for i in range(0, len(texts), 100):
        encoder.encode_batch(texts[i : i + 100])
    return (time.process_time() - start) / sum(len(text.encode()) for text in texts) * GB / 3600


def measure_shuffle(corpus: Path, tokenizer: str, recipe: str | None) -> float:
    """Bytes of samples, as they travel between workers, for each byte of text."""
    from noisebeam.transforms.data.samples import sample_to_bytes

    text_bytes, samples = make_samples(corpus, tokenizer, recipe)
    return sum(len(sample_to_bytes(sample)) for sample in samples) / text_bytes


def make_samples(corpus: Path, tokenizer: str, recipe: str | None) -> tuple[int, list]:
    """Two megabytes of text as samples."""
    import apache_beam as beam
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

    from noisebeam.transforms.beam import (
        ApplyNoise,
        BuildWindows,
        EncodeWindows,
        ReadDocuments,
        SegmentSentences,
    )
    from noisebeam.transforms.data.samples import sample_from_bytes, sample_to_bytes

    with tempfile.TemporaryDirectory() as folder:
        text_bytes = write_corpus(corpus, 2_000_000, Path(folder, "corpus.jsonl"))
        with beam.Pipeline(runner=FnApiRunner()) as pipeline:
            documents, _ = pipeline | ReadDocuments([f"{folder}/corpus.jsonl"])
            sentences, _ = documents | SegmentSentences()
            windows, _ = sentences | BuildWindows(tokenizer)
            samples = windows | EncodeWindows(tokenizer)
            if recipe:
                samples |= ApplyNoise(recipe, tokenizer, 0)
            encoded = samples | beam.Map(lambda sample: sample_to_bytes(sample).hex())
            encoded | beam.io.WriteToText(f"{folder}/samples", shard_name_template="")
        lines = Path(folder, "samples").read_text().splitlines()
    return text_bytes, [sample_from_bytes(bytes.fromhex(line)) for line in lines]


def measure_shard(corpus: Path, tokenizer: str, recipe: str | None) -> int:
    """Bytes of memory by which a process grows that writes one full shard."""
    from noisebeam.pipeline.builder.options import BuildOptions
    from noisebeam.transforms.beam.write import TOKENS_PER_SHARD
    from noisebeam.transforms.data.samples import sample_from_bytes, sample_to_bytes
    from noisebeam.transforms.shards.format import field_dtypes
    from noisebeam.transforms.shards.writer import write_shard
    from noisebeam.transforms.tokenization.tokenizer import load_tokenizer

    _, samples = make_samples(corpus, tokenizer, recipe)
    encoded = [sample_to_bytes(sample) for sample in samples]
    copies = -(-TOKENS_PER_SHARD // sum(len(sample.fields["ids"]) for sample in samples))
    max_tokens = BuildOptions.of(input=("x",), output="x", tokenizer=tokenizer).windows.max_tokens
    dtypes = field_dtypes(
        load_tokenizer(tokenizer).vocabulary.size, max_tokens, labels_masked=False
    )

    def arriving() -> Iterator:
        for copy in range(copies):
            for data in encoded:
                sample = sample_from_bytes(data)
                yield replace(sample, key=int(np.uint64(sample.key) ^ np.uint64(copy)))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        write_shard(
            folder, arriving(), index=0, count=1, seed=0, dtypes=dtypes, samples_per_member=1024
        )
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


if __name__ == "__main__":
    main()
