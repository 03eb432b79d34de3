"""Build throughput against bare tokenisation: the same text, the same cores, one run.

    python tests/benchmarks/build.py CORPUS.jsonl.gz TOKENIZER [--copies 2] [--recipe bart] \\
        [--workers 2] [--spark]

Times `tokenizers.encode_batch` over the texts (already in memory), on one thread and on as many as
there are workers, and `noisebeam build` as whole commands: in one process, in worker processes, and
with `--spark` on Spark's `local[workers]`. Ratios are to `encode_batch` on as many threads as there
are workers: of whole builds, of builds without their start-up (that of a build of one document),
and of CPU seconds without start-up, which say more than seconds do on a machine that has other
work. More copies hide more of the start-up; one is text that never comes again.
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
from pathlib import Path
from typing import NamedTuple

FILES = 8


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("tokenizer")
    parser.add_argument(
        "--copies", type=int, default=2, help="how often to repeat the corpus, with other ids"
    )
    parser.add_argument("--recipe", help="noise to bake in")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--spark", action="store_true", help="build on Spark as well")
    arguments = parser.parse_args()
    with gzip.open(arguments.corpus, "rt", encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    texts = [document["text"] for document in documents] * arguments.copies
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{megabytes:.1f} MB of text, {len(texts):,} documents")
    print(
        f"{'':24} {'s':>7} {'CPU s':>7} {'MB/s':>6} {'start-up':>9} {'ratio':>6} {'without':>8} "
        f"{'CPU':>6}"
    )
    for threads in sorted({1, arguments.workers}):
        bare = time_encode_batch(arguments.tokenizer, texts, threads)
        show(f"encode_batch, {threads} threads", bare, Time(0, 0), bare, megabytes)
    recipe = ("--recipe", arguments.recipe) if arguments.recipe else ()
    workers = f"--direct_num_workers={arguments.workers}"
    runners = {
        "build, 1 process": (),
        f"build, {arguments.workers} processes": (
            "--direct_running_mode=multi_processing",
            workers,
        ),
        "build, Spark": ("--runner=SparkRunner", f"--spark_master_url=local[{arguments.workers}]"),
    }
    if not arguments.spark:
        del runners["build, Spark"]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as all_of_them:
        write_files(Path(one), documents[:1], copies=1)
        write_files(Path(all_of_them), documents, arguments.copies)
        for name, flags in runners.items():
            start_up = time_build(Path(one), arguments.tokenizer, (*flags, *recipe))
            show(
                name,
                time_build(Path(all_of_them), arguments.tokenizer, (*flags, *recipe)),
                start_up,
                bare,
                megabytes,
            )


class Time(NamedTuple):
    """What a process took, with all that it started."""

    seconds: float
    cpu_seconds: float


def show(name: str, took: Time, start_up: Time, bare: Time, megabytes: float) -> None:
    """Print a row of the table."""
    whole, rest = bare.seconds / took.seconds, bare.seconds / (took.seconds - start_up.seconds)
    cpu = bare.cpu_seconds / (took.cpu_seconds - start_up.cpu_seconds)
    print(
        f"{name:24} {took.seconds:7.1f} {took.cpu_seconds:7.1f} {megabytes / took.seconds:6.2f} "
        f"{start_up.seconds:9.1f} {whole:6.2f} {rest:8.2f} {cpu:6.2f}",
        flush=True,
    )


def time_encode_batch(tokenizer: str, texts: list[str], threads: int) -> Time:
    """What `encode_batch` takes over the texts, in a process of its own."""
    code = (
        "import json, sys, time\n"
        "from tokenizers import Tokenizer\n"
        "texts = json.load(sys.stdin)\n"
        "tokenizer = Tokenizer.from_file(sys.argv[1] + '/tokenizer.json')\n"
        "start, cpu = time.perf_counter(), time.process_time()\n"
        "for i in range(0, len(texts), 1000):\n"
        "    tokenizer.encode_batch(texts[i : i + 1000])\n"
        "print(time.perf_counter() - start, time.process_time() - cpu)\n"
    )
    env = {
        **os.environ,
        "RAYON_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false",
    }
    command = [sys.executable, "-c", code, tokenizer]
    done = subprocess.run(
        command, input=json.dumps(texts), env=env, check=True, capture_output=True, text=True
    )
    return Time(*map(float, done.stdout.split()))


def time_build(folder: Path, tokenizer: str, flags: tuple[str, ...]) -> Time:
    """What a whole `noisebeam build` of the folder's files takes."""
    command = [
        sys.executable,
        "-m",
        "noisebeam.pipeline.cli",
        "build",
        "--input",
        f"{folder}/*.jsonl",
        "--overwrite",
    ]
    command += [
        "--output",
        f"{folder}/shards",
        "--tokenizer",
        tokenizer,
        "--num-shards",
        "8",
        *flags,
    ]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Time(
        time.perf_counter() - start,
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    )


def write_files(folder: Path, documents: list[dict[str, str]], copies: int) -> None:
    """Write the documents, each copy under other ids, to a few JSON Lines files."""
    for number in range(FILES):
        with open(folder / f"{number}.jsonl", "w", encoding="utf-8") as file:
            for copy in range(copies):
                for document in documents[number::FILES]:
                    file.write(
                        json.dumps({"id": f"{copy}/{document['id']}", "text": document["text"]})
                        + "\n"
                    )


if __name__ == "__main__":
    main()
