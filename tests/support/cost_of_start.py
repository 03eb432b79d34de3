"""What the first batch from a position on costs a new process, as JSON: python cost_of_start.py
KIND URL POSITION.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import Any

from noisebeam.pipeline import GroupByLength, Mixture, Pack, ShardDataset
from noisebeam.pipeline.dataset.base import BatchedDataset
from noisebeam.transforms.data.ragged import Array
from noisebeam.transforms.shards.reader import Block, ShardReader

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "filtered": {"min_tokens": 5},
    "grouped": {"batching": GroupByLength(64)},
    "packed": {"batching": Pack(512)},
    "mixture": {},
}


def make(kind: str, url: str) -> BatchedDataset:
    """The data set at `url`, or a mixture of it and itself."""
    sets = [
        ShardDataset(url, batch_size=64, seed=1, read_ahead=0, **SETTINGS[kind]) for _ in range(2)
    ]
    data = Mixture(sets, weights=[2, 1]) if kind == "mixture" else sets[0]
    data.chunk = 1  # read batch by batch, so that the first batch alone is counted
    return data


def main(kind: str, url: str, position: int) -> None:
    """Print what was opened, the blocks that were read, and the seconds from nothing to a batch."""
    count: Counter[str] = Counter()
    read = ShardReader.block

    def opened(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(url):
            count["indexes" if str(arguments[0]).endswith(".npz") else "others"] += 1

    def block(self: ShardReader, i: int, memory: Array | None = None) -> Block:
        count["blocks"] += 1
        return read(self, i, memory)

    sys.addaudithook(opened)
    ShardReader.block = block  # type: ignore[method-assign]
    began = time.perf_counter()
    data = make(kind, url)
    data.load_state_dict({**data.state_dict(), "position": position})
    next(iter(data))
    print(json.dumps({**count, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
