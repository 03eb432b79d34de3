"""Streams of samples side by side: ours, WebDataset, litdata, MosaicML streaming, Hugging Face, and
the limit of numpy.

    python tests/benchmarks/stream.py [--samples 100000] [--rounds 5] [--only hf-arrow litdata]

All store the same samples, two fields of 64 to 512 token ids, and read them in a shuffled order
(but for `hf-arrow`, which is quick only in the order of its file): as arrays, and as padded int64
tensors of 32 without and with 2 loader workers. Each library has a process for each task, and these
take turns of a second or more, `--rounds` times or until one takes half a minute; what is told is
the median of each. Figures depend on the machine and on the moment: the ratios are what counts.
Libraries that are not installed are left out (`pip install litdata mosaicml-streaming datasets
webdataset`).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from stream_peers import (
    BATCH,
    FIELDS,
    Row,
    arrow_batches,
    optimize_litdata,
    read_arrow,
    read_litdata,
    read_mosaicml,
    read_parquet,
    read_webdataset,
    write_arrow,
    write_litdata,
    write_mosaicml,
    write_parquet,
    write_webdataset,
)
from torch.utils.data import DataLoader, Dataset, IterableDataset

from noisebeam.pipeline.batching.collate import collate
from noisebeam.pipeline.dataset.shard_dataset import ShardDataset
from noisebeam.transforms.data.ragged import Ragged
from noisebeam.transforms.data.samples import flat_batch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise import apply_recipe, load_recipe
from noisebeam.transforms.output.manifest import Manifest, write_manifest
from noisebeam.transforms.shards.format import field_dtypes
from noisebeam.transforms.shards.info import ShardInfo, samples_per_block, shard_of
from noisebeam.transforms.shards.sample_table import RowList, SampleTable
from noisebeam.transforms.shards.writer import write_shard

TOKENS = 512
_TURN, _LONG = 1, 30  # seconds: the shortest turn, and one after which there is no other
_NONE = '{"rate": NaN, "seconds": Infinity, "bytes": 0, "megabytes": 0}'
VOCABULARY = Vocabulary(
    50265, (0,), (2,), (0, 1, 2, 3, 50264), pad_id=1, mask_id=50264, bos_id=0, eos_id=2
)
MODULES = {
    "webdataset": "webdataset",
    "litdata": "litdata",
    "mosaicml": "streaming",
    "hf-arrow": "datasets",
}
MODULES["hf-parquet"] = "datasets"
IMPORTED = {name: [module] for name, module in MODULES.items()}
IMPORTED["noisebeam"] = ["numpy.ma"]  # which `numpy.unique` imports when it is first used
IMPORTED["litdata"] += ["litdata.streaming.writer"]
IMPORTED["mosaicml"] += ["streaming.base.util"]
IMPORTED["hf-arrow"] += ["pyarrow"]
IMPORTED["hf-parquet"] += ["pyarrow.parquet"]


def make_rows(count: int) -> list[Row]:
    """Samples as int32 arrays: views of one large array."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(64, TOKENS + 1, size=2 * count)
    ends = np.cumsum(lengths)
    tokens = rng.integers(4, 50000, size=ends[-1], dtype=np.int32)
    rows = np.split(tokens, ends[:-1])
    return [{"input_ids": rows[2 * i], "labels": rows[2 * i + 1]} for i in range(count)]


def write_noisebeam(folder: Path, rows: list[Row]) -> None:
    """One shard for each 25,000 samples."""
    keys, fields = (
        _keys(len(rows)),
        {name: RowList([row[name] for row in rows]) for name in rows[0]},
    )

    def table(chosen: list[int]) -> SampleTable:
        columns = {name: values.take(np.array(chosen)) for name, values in fields.items()}
        windows, copies = np.zeros(len(chosen), np.int64), np.ones(len(chosen), np.int64)
        return SampleTable(keys[chosen], windows, list(map(str, chosen)), columns, copies)

    write_shards(folder, keys, table)


def write_shards(
    folder: Path, keys: npt.NDArray[np.uint64], table: Callable[[list[int]], SampleTable]
) -> None:
    """The data set of the samples with these keys, of which `table` gives some, as `noisebeam
    build` would write it.
    """
    count = max(1, len(keys) // 25_000)
    dtypes, block = field_dtypes(VOCABULARY.size, TOKENS, False), samples_per_block(TOKENS)
    at = shard_of(keys, 0, count)

    def write(shard: int) -> ShardInfo:
        settings = {
            "index": shard,
            "count": count,
            "seed": 0,
            "dtypes": dtypes,
            "samples_per_member": block,
        }
        return write_shard(str(folder), table(np.flatnonzero(at == shard).tolist()), **settings)

    infos = tuple(map(write, range(count)))
    names = {name: dtype.name for name, dtype in dtypes.items()}
    common: dict[str, Any] = {
        "seed": 0,
        "settings": {},
        "tokenizer": {},
        "vocabulary": VOCABULARY.to_json(),
    }
    baked = "ids" not in table([0]).fields
    manifest = Manifest(
        **common,
        fields=names,
        max_tokens=TOKENS,
        samples_per_member=block,
        baked=baked,
        shards=infos,
    )
    write_manifest(str(folder), manifest)


def read_noisebeam(folder: Path) -> Iterable[Row]:
    """In the exact shuffled order."""
    return ShardDataset(str(folder), batch_size=BATCH, seed=1).rows()


def write_limit(folder: Path, rows: list[Row]) -> None:
    """One file of uint16 and the lengths: the raw arrays in the smallest fitting dtype."""
    values = [row[name] for row in rows for name in FIELDS]
    np.concatenate(values).astype(np.uint16).tofile(folder / "tokens")
    np.fromiter(map(len, values), np.int64).tofile(folder / "lengths")


def read_limit(folder: Path) -> Iterator[Row]:
    """Views of one array in memory, in a random order."""
    tokens = np.frombuffer((folder / "tokens").read_bytes(), np.uint16)
    ends = np.cumsum(np.fromfile(folder / "lengths", np.int64))
    bounds = np.concatenate([[0], ends]).tolist()
    for i in np.random.default_rng(1).permutation(len(ends) // 2).tolist():
        first, middle, last = bounds[2 * i : 2 * i + 3]
        yield {"input_ids": tokens[first:middle], "labels": tokens[middle:last]}


WRITERS: dict[str, Callable[[Path, list[Row]], None]] = {
    "noisebeam": write_noisebeam,
    "webdataset": write_webdataset,
    "litdata": write_litdata,
    "mosaicml": write_mosaicml,
    "hf-arrow": write_arrow,
    "hf-parquet": write_parquet,
    "limit": write_limit,
    "litdata.optimize": optimize_litdata,
}
READERS: dict[str, Callable[[Path], Iterable[Row]]] = {
    "noisebeam": read_noisebeam,
    "webdataset": read_webdataset,
    "litdata": read_litdata,
    "mosaicml": read_mosaicml,
    "hf-arrow": read_arrow,
    "hf-parquet": read_parquet,
    "limit": read_limit,
}


def collate_rows(rows: list[Row]) -> dict[str, torch.Tensor]:
    """The padded tensors of a batch."""
    return collate({name: Ragged.of([row[name] for row in rows]) for name in FIELDS}, pad_id=1)


class Iterated(IterableDataset[Row]):
    """Any of the readers as a data set; with workers each of those that do not share out by
    themselves reads a part.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder

    def __iter__(self) -> Iterator[Row]:
        rows = iter(READERS[self.name](self.folder))
        worker = torch.utils.data.get_worker_info()
        share = worker is not None and self.name == "hf-arrow"
        for i, row in enumerate(rows):
            if not share or i % worker.num_workers == worker.id:
                yield row


class InMemory(Dataset[Row]):
    """Ready arrays in memory."""

    def __init__(self, folder: Path) -> None:
        self.rows = list(read_limit(folder))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Row:
        return self.rows[i]


def batches(name: str, folder: Path, workers: int) -> Iterable[Any]:
    """Padded batches of 32 by the way that each library means."""
    if name == "noisebeam":
        data = ShardDataset(str(folder), batch_size=BATCH, seed=1, tail="pad")
        return DataLoader(data, batch_size=None, num_workers=workers) if workers else data
    if name == "noisebeam-noise":
        return ShardDataset(str(folder), "bart", batch_size=BATCH, seed=1, tail="pad")
    if name == "limit":
        return DataLoader(
            InMemory(folder), BATCH, num_workers=workers, collate_fn=collate_rows, shuffle=True
        )
    if name == "litdata":
        from litdata import StreamingDataLoader

        return StreamingDataLoader(
            read_litdata(folder), batch_size=BATCH, num_workers=workers, collate_fn=collate_rows
        )
    if name == "hf-arrow" and not workers:
        return (collate(columns, pad_id=1) for columns in arrow_batches(folder, BATCH))
    data = read_mosaicml(folder) if name == "mosaicml" else Iterated(name, folder)
    return DataLoader(data, BATCH, num_workers=workers, collate_fn=collate_rows)


def measure(task: str, name: str, root: Path, count: int) -> None:
    """The figures of a turn for each line that comes in, taken in this process."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print
    for module in IMPORTED.get(name, ()):
        import_module(module)  # not in the time
    folder, rows = root / name, make_rows(count) if task == "write" else []
    before = _peak()
    print("ready", file=answers, flush=True)
    for _ in sys.stdin:
        seen, seconds = 0, 0.0
        while seconds < _TURN:
            if task == "write":
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                os.sync()  # what others wrote in their turns is not in the time
            start = time.perf_counter()
            if task == "write":
                WRITERS[name](folder, rows)
                seen += count
            else:
                for item in (
                    READERS[name](folder)
                    if task == "read"
                    else batches(name, folder, int(task[-1]))
                ):
                    seen += 1 if task == "read" else len(item["labels"])
            seconds += time.perf_counter() - start
        figures = {"rate": seen / seconds, "seconds": seconds, "bytes": _size(folder)}
        print(
            json.dumps({**figures, "megabytes": (_peak() - before) / 1e6}), file=answers, flush=True
        )


def write_noise_sets(root: Path, count: int, litdata: bool) -> None:
    """Clean samples of 512 tokens for noise on the fly, and the same with their noise baked in for
    litdata.
    """
    ids = np.random.default_rng(0).integers(4, 50000, (count, TOKENS), dtype=np.uint16)
    ids[:, 0], ids[:, -1] = VOCABULARY.prefix[0], VOCABULARY.suffix[0]
    sentences = Ragged(np.full(15 * count, 34), 15 * np.arange(count + 1))
    fields = {
        "ids": Ragged(ids.ravel(), TOKENS * np.arange(count + 1)),
        "sentence_lengths": sentences,
    }
    keys, windows, copies = _keys(count), np.zeros(count, np.int64), np.ones(count, np.int64)
    clean = SampleTable(keys, windows, list(map(str, keys)), fields, copies)
    write_shards(root / "noisebeam-noise", keys, lambda chosen: clean.take(np.array(chosen)))
    noised = apply_recipe(load_recipe("bart"), flat_batch(fields, keys, 1), VOCABULARY, 1, 0)
    rows = [{name: noised[name].row(i).astype(np.int32) for name in FIELDS} for i in range(count)]
    if litdata:
        (root / "noised").mkdir()
        write_litdata(root / "noised" / "litdata", rows)


def side_by_side(
    task: str, roots: dict[str, Path], arguments: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """The median figures of each, in a process of its own. They take turns: no machine is as fast
    at all times.
    """
    logs = {name: root / f"{task} {name}.log" for name, root in roots.items()}
    running = {
        name: start(task, name, root, arguments.samples, logs[name]) for name, root in roots.items()
    }
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in roots}
    for process in running.values():
        assert process.stdout is not None
        process.stdout.readline()  # all are ready
    for _ in range(arguments.rounds):
        for name, process in list(running.items()):
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(BrokenPipeError):  # it has ended
                process.stdin.write("\n")
                process.stdin.flush()
            figures = json.loads(process.stdout.readline() or _NONE)
            turns[name].append(figures)
            if figures["seconds"] > _LONG:
                running.pop(name).communicate()
    for process in running.values():
        process.communicate()
    found = {
        name: {**each[-1], "rate": float(np.median([one["rate"] for one in each]))}
        for name, each in turns.items()
    }
    for name, figures in found.items():
        lines = logs[name].read_text().splitlines() if np.isnan(figures["rate"]) else []
        print(
            f"{name}, {task}:",
            *lines[-1:] or [f"{figures['rate']:,.0f} samples/s"],
            file=sys.stderr,
        )
    return found


def start(task: str, name: str, root: Path, samples: int, log: Path) -> subprocess.Popen[str]:
    """A process that measures."""
    command = [
        sys.executable,
        __file__,
        "--samples",
        str(samples),
        "--measure",
        task,
        name,
        str(root),
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(root / "cache")}
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    with log.open("w") as errors:
        return subprocess.Popen(command, env=environment, text=True, stderr=errors, **pipes)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--only", nargs="+", choices=READERS, default=list(READERS), help="these libraries alone"
    )
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        task, name, root = arguments.measure
        measure(task, name, Path(root), arguments.samples)
        return
    wanted = [name for name in READERS if name in {"noisebeam", "limit", *arguments.only}]
    names = [name for name in wanted if name not in MODULES or find_spec(MODULES[name])]
    for name in set(wanted) - set(names):
        print(f"left out: {name} ({MODULES[name]} is not installed)")
    found: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        writers = [*names, "litdata.optimize"] if "litdata" in names else names
        for task in ("write", "read", "tensors-0", "tensors-2"):
            found[task] = side_by_side(
                task, dict.fromkeys(writers if task == "write" else names, root), arguments
            )
        write_noise_sets(root, arguments.samples // 5, "litdata" in names)
        noised = {"noisebeam-noise": root} | (
            {"litdata": root / "noised"} if "litdata" in names else {}
        )
        found["noise"] = side_by_side("tensors-0", noised, arguments)
    report(found, names)


def report(found: dict[str, dict[str, dict[str, float]]], names: list[str]) -> None:
    """Samples a second, and how many times as many ours are."""
    raw = found["write"]["limit"]["bytes"]
    print(
        f"{'samples/s (ours / theirs)':25} {'write':>18} {'read':>18} {'tensors':>18} "
        f"{'2 workers':>18} {'size':>6}"
    )
    for name in names:
        cells = []
        for task in ("write", "read", "tensors-0", "tensors-2"):
            rate = found[task][name]["rate"]
            cells.append(f"{rate:10,.0f} ({found[task]['noisebeam']['rate'] / rate:5.2f})")
        print(f"{name:25} {' '.join(cells)} {found['write'][name]['bytes'] / raw:6.3f}")
    print("ours without workers against theirs at the better of 0 and 2 workers:")
    ours = found["tensors-0"]["noisebeam"]
    for name in names[1:]:
        theirs = np.nanmax([found[f"tensors-{workers}"][name]["rate"] for workers in (0, 2)])
        print(f"  {name:12} {ours['rate'] / theirs:6.2f}")
    if optimize := found["write"].get("litdata.optimize"):
        ratio = found["write"]["noisebeam"]["rate"] / optimize["rate"]
        print(
            f"write by litdata.optimize, an input a sample: {optimize['rate']:,.0f} samples/s "
            f"({ratio:.2f})"
        )
    for name, figures in found["noise"].items():
        print(f"BART noise at 512 tokens: {name:16} {figures['rate']:10,.0f} samples/s")
    print(f"memory of our reader above its imports: {ours['megabytes']:.0f} MB")


def _keys(count: int) -> npt.NDArray[np.uint64]:
    return np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def _size(folder: Path) -> int:
    return sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and path.name != "lengths"
    )


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
