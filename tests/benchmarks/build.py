"""Build throughput against bare tokenisation: the same text, the same cores, one run.

    python tests/benchmarks/build.py CORPUS.jsonl.gz TOKENIZER [--copies 2] [--recipe bart] [--workers 2] [--spark]

Times `tokenizers.encode_batch` over the texts (already in memory), on one thread and on as many as there are workers,
and `noisebeam build` as whole commands, start-up included: in one process, and in worker processes. With `--spark` on
Spark's `local[workers]` too: the start-up of Java and Spark, timed with one document, is told and taken off.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILES = 8


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("tokenizer")
    parser.add_argument("--copies", type=int, default=2, help="how often to repeat the corpus, with other ids")
    parser.add_argument("--recipe", help="noise to bake in")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--spark", action="store_true", help="build on Spark as well")
    arguments = parser.parse_args()
    with gzip.open(arguments.corpus, "rt", encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    texts = [document["text"] for document in documents] * arguments.copies
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    seconds: dict[str, float] = {}
    for threads in (1, arguments.workers):
        seconds[f"encode_batch, {threads} threads"] = time_encode_batch(arguments.tokenizer, texts, threads)
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), documents, arguments.copies)
        parallel = ("--direct_running_mode=multi_processing", f"--direct_num_workers={arguments.workers}")
        for name, flags in (("build, 1 process", ()), (f"build, {arguments.workers} processes", parallel)):
            recipe = ("--recipe", arguments.recipe) if arguments.recipe else ()
            seconds[name] = time_build(Path(folder), arguments.tokenizer, (*flags, *recipe))
        if arguments.spark:
            spark = ("--runner=SparkRunner", f"--spark_master_url=local[{arguments.workers}]", *recipe)
            start_up = time_start_up(arguments.tokenizer, documents[0], spark)
            seconds[f"build, Spark without {start_up:.1f} s"] = (
                time_build(Path(folder), arguments.tokenizer, spark) - start_up
            )
    print(f"{megabytes:.1f} MB of text, {len(texts):,} documents")
    for name, value in seconds.items():
        ratios = [seconds[f"encode_batch, {threads} threads"] / value for threads in (1, arguments.workers)]
        print(
            f"{name:32} {value:7.1f} s {megabytes / value:6.2f} MB/s   ratio to encode_batch: "
            + " / ".join(
                f"{ratio:.2f} ({threads} threads)"
                for ratio, threads in zip(ratios, (1, arguments.workers), strict=True)
            )
        )


def time_encode_batch(tokenizer: str, texts: list[str], threads: int) -> float:
    """Seconds that `encode_batch` takes over the texts, in a process of its own."""
    code = (
        "import json, sys, time\n"
        "from tokenizers import Tokenizer\n"
        "texts = json.load(sys.stdin)\n"
        "tokenizer = Tokenizer.from_file(sys.argv[1] + '/tokenizer.json')\n"
        "start = time.perf_counter()\n"
        "for i in range(0, len(texts), 1000):\n"
        "    tokenizer.encode_batch(texts[i : i + 1000])\n"
        "print(time.perf_counter() - start)\n"
    )
    env = {
        **os.environ,
        "RAYON_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false",
    }
    command = [sys.executable, "-c", code, tokenizer]
    done = subprocess.run(command, input=json.dumps(texts), env=env, check=True, capture_output=True, text=True)
    return float(done.stdout)


def time_build(folder: Path, tokenizer: str, flags: tuple[str, ...]) -> float:
    """Seconds that a whole `noisebeam build` takes."""
    command = [sys.executable, "-m", "noisebeam.pipeline.cli", "build", "--input", f"{folder}/*.jsonl", "--overwrite"]
    command += ["--output", f"{folder}/shards", "--tokenizer", tokenizer, "--num-shards", "8", *flags]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def time_start_up(tokenizer: str, document: dict[str, str], flags: tuple[str, ...]) -> float:
    """Seconds that the build of one document takes."""
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), [document], copies=1)
        return time_build(Path(folder), tokenizer, flags)


def write_files(folder: Path, documents: list[dict[str, str]], copies: int) -> None:
    """Write the documents, each copy under other ids, to a few JSON Lines files."""
    for number in range(FILES):
        with open(folder / f"{number}.jsonl", "w", encoding="utf-8") as file:
            for copy in range(copies):
                for document in documents[number::FILES]:
                    file.write(json.dumps({"id": f"{copy}/{document['id']}", "text": document["text"]}) + "\n")


if __name__ == "__main__":
    main()
