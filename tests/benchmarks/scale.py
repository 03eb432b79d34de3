"""How build time and memory grow with the corpus, by runner: one table row a size and runner.

    python tests/benchmarks/scale.py CORPUS.jsonl.gz TOKENIZER [--megabytes 10 100 1000] \\
        [--runners direct direct-2]

Runners: `direct` (one process), `direct-N` (N worker processes), `spark-N` (Spark in one process, N
at a time) and `cluster-N` (a standalone cluster of N workers, one core each). The corpus is one
file, repeated under other ids up to the size. Start-up is the time of a build of a single document;
core seconds are those of all processes, start-up taken off, and say more than seconds do on a
machine that has other work; memory is the largest sum (PSS) of the build and of all processes that
it started, a cluster's master and workers included.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

BUILD = (sys.executable, "-m", "noisebeam.pipeline.cli", "build")
CLUSTER = (sys.executable, "-m", "noisebeam.deploy.spark.cluster", "--workers")


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("tokenizer")
    parser.add_argument("--megabytes", type=float, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--runners", nargs="+", default=["direct", "direct-2"], metavar="RUNNER")
    arguments = parser.parse_args()
    with gzip.open(arguments.corpus, "rt", encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    print(
        "| runner | MB | seconds | start-up | MB/s after it | core s/MB | peak MB "
        "|\n|---|---|---|---|---|---|---|"
    )
    startup: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for megabytes in [0, *arguments.megabytes]:
            write_corpus(Path(folder, "corpus.jsonl"), documents, megabytes * 1e6)
            for runner in arguments.runners:
                seconds, cores, peak = build(runner, Path(folder), arguments.tokenizer)
                start, start_cores = startup.setdefault(runner, (seconds, cores))
                if megabytes:
                    # a machine with other work
                    rate = megabytes / (seconds - start) if seconds > start else math.nan
                    cost = (cores - start_cores) / megabytes
                    values = (seconds, start, rate, cost, peak / 1e6)
                    print(
                        f"| {runner} | {megabytes:g} | "
                        "{:.1f} | {:.1f} | {:.2f} | {:.2f} | {:.0f} |".format(*values)
                    )


def write_corpus(path: Path, documents: list[dict[str, str]], size: float) -> None:
    """Write documents until their text has `size` bytes: one at least."""
    with path.open("w", encoding="utf-8") as file:
        written = 0
        for number, document in enumerate(itertools.cycle(documents)):
            file.write(
                json.dumps({"id": f"{number}/{document['id']}", "text": document["text"]}) + "\n"
            )
            written += len(document["text"].encode())
            if written >= size:
                return


def command(runner: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What stands before and after the settings of a build."""
    kind, _, count = runner.partition("-")
    if kind == "cluster":
        return (*CLUSTER, count, "--", *BUILD), ()
    flags = {
        "direct": ("--direct_running_mode=multi_processing", f"--direct_num_workers={count}")
        if count
        else (),
        "spark": ("--runner=SparkRunner", f"--spark_master_url=local[{count}]"),
    }
    return BUILD, flags[kind]


def build(runner: str, folder: Path, tokenizer: str) -> tuple[float, float, int]:
    """Seconds, core seconds and peak memory in bytes of one build of `folder/corpus.jsonl`."""
    before, after = command(runner)
    settings = (
        "--input",
        str(folder / "corpus.jsonl"),
        "--output",
        str(folder / "shards"),
        "--tokenizer",
        tokenizer,
    )
    start, cores, peak = time.perf_counter(), core_seconds(), 0
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(
            [*before, *settings, "--overwrite", *after],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        while process.poll() is None:
            peak = max(peak, sum(map(resident_bytes, tree(process.pid))))
            time.sleep(0.2)
        if process.returncode:
            log.seek(0)
            raise SystemExit(f"{runner}: exit status {process.returncode}: {log.read()[-2000:]}")
    return time.perf_counter() - start, core_seconds() - cores, peak


def core_seconds() -> float:
    """What the processes that have ended so far have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    found = [root]
    for process in found:
        with suppress(OSError):
            for task in Path(f"/proc/{process}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def resident_bytes(process: int) -> int:
    """The memory of a process, pages that it shares with others counted in part (PSS)."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main()
