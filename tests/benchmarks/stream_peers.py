"""How the other libraries of `stream.py` write and read the same samples, each by the way its
documentation shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from noisebeam.transforms.data.ragged import Ragged

BATCH = 32
FIELDS = ("input_ids", "labels")

Row = dict[str, np.ndarray]


def write_webdataset(folder: Path, rows: list[Row]) -> None:
    """A member for each field of each sample."""
    import webdataset

    with webdataset.ShardWriter(f"{folder}/%06d.tar", maxcount=25_000, verbose=0) as writer:
        for i, row in enumerate(rows):
            writer.write({"__key__": f"{i:09d}", **{f"{name}.npy": row[name] for name in FIELDS}})


def read_webdataset(folder: Path) -> Iterable[Row]:
    """Shards in a random order and a shuffle buffer of 1,000."""
    import webdataset

    urls = sorted(map(str, folder.glob("*.tar")))
    data = (
        webdataset.WebDataset(urls, shardshuffle=len(urls), seed=1, empty_check=False)
        .shuffle(1000)
        .decode()
    )
    return data.map(lambda sample: {name: sample[f"{name}.npy"] for name in FIELDS})


def write_litdata(folder: Path, rows: list[Row]) -> None:
    """Chunks of 64 MB by the writer inside `litdata.optimize`, three times as fast as that is."""
    from litdata.streaming.writer import BinaryWriter

    writer = BinaryWriter(str(folder), chunk_bytes="64MB")
    for i, row in enumerate(rows):
        writer[i] = row
    writer.done()
    writer.merge(1)


def optimize_litdata(folder: Path, rows: list[Row]) -> None:
    """The same by `litdata.optimize` itself, with an input for each sample, in one worker
    process.
    """
    from litdata import optimize

    words: dict[str, Any] = {"num_workers": 1, "chunk_bytes": "64MB", "start_method": "fork"}
    optimize(rows.__getitem__, list(range(len(rows))), str(folder), **words)


def read_litdata(folder: Path) -> Iterable[Row]:
    """In its own shuffled order."""
    from litdata import StreamingDataset

    return StreamingDataset(str(folder), shuffle=True, seed=1)


def write_mosaicml(folder: Path, rows: list[Row]) -> None:
    """MDS with 64 MB shards."""
    from streaming import MDSWriter

    columns = dict.fromkeys(FIELDS, "ndarray:int32")
    with MDSWriter(out=str(folder), columns=columns, size_limit=2**26) as writer:
        for row in rows:
            writer.write(row)


def read_mosaicml(folder: Path) -> Iterable[Row]:
    """In its own shuffled order."""
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    return StreamingDataset(local=str(folder), shuffle=True, shuffle_seed=1, batch_size=BATCH)


def write_arrow(folder: Path, rows: list[Row]) -> None:
    """A Hugging Face data set as it lies on the disk."""
    import datasets

    datasets.Dataset(_arrow(rows)).save_to_disk(str(folder), num_shards=4)


def read_arrow(folder: Path, batch_size: int = 1000) -> Iterator[Row]:
    """In batches as they lie in the file: a hundred times quicker than shuffled, where every row is
    looked up.
    """
    for columns in arrow_batches(folder, batch_size):
        for inputs, labels in zip(*(columns[name].rows() for name in FIELDS), strict=True):
            yield {"input_ids": inputs, "labels": labels}


def arrow_batches(folder: Path, batch_size: int) -> Iterator[dict[str, Ragged]]:
    import datasets

    data = datasets.load_from_disk(str(folder)).with_format("arrow")
    for table in data.iter(batch_size):
        yield {name: _ragged(table.column(name).combine_chunks()) for name in FIELDS}


def write_parquet(folder: Path, rows: list[Row]) -> None:
    """Parquet, four files."""
    import pyarrow.parquet as pq

    for i in range(4):
        pq.write_table(_arrow(rows[i::4]), folder / f"{i}.parquet")


def read_parquet(folder: Path) -> Iterator[Row]:
    """`load_dataset(streaming=True)` with a shuffle buffer of 1,000."""
    import datasets

    files = sorted(map(str, folder.glob("*.parquet")))
    data = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    yield from data.shuffle(seed=1, buffer_size=1000).with_format("numpy")


def _arrow(rows: list[Row]) -> Any:
    import pyarrow as pa

    columns = {}
    for name in FIELDS:
        values = [row[name] for row in rows]
        offsets = np.concatenate([[0], np.cumsum([len(value) for value in values])]).astype(
            np.int32
        )
        columns[name] = pa.ListArray.from_arrays(offsets, np.concatenate(values))
    return pa.table(columns)


def _ragged(column: Any) -> Ragged:
    offsets = column.offsets.to_numpy().astype(np.int64)
    return Ragged(column.values.to_numpy()[offsets[0] : offsets[-1]], offsets - offsets[0])
