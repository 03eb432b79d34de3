"""A map-style data set: samples by number, for other samplers, for Grain, or for looking at single
samples.

`ShardDataset` is faster for training, and resumes by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np

from noisebeam.pipeline.epoch.model_inputs import InputMaker
from noisebeam.pipeline.epoch.shard_source import RecentlyUsed, ShardSource, column_of
from noisebeam.transforms.data.ragged import IntArray, Ragged
from noisebeam.transforms.shards.reader import Block

_BLOCKS = 64  # kept for samples that lie near each other

Example = dict[str, IntArray]


class SampleView:
    """Map-style data set of all samples in the order of storage: dicts of `input_ids` and `labels`,
    int64, not padded.

    Samples have the noise of `epoch`. `view[i]` is one sample; a `DataLoader` with a sampler calls
    `__getitems__`, which noises a batch at once. Threads can share a view, and it can be pickled.
    """

    def __init__(self, source: ShardSource, inputs: InputMaker, epoch: int) -> None:
        self.epoch = epoch
        self._source = source
        self._inputs = inputs
        self._reset()

    def __len__(self) -> int:
        return self._source.manifest.samples

    def __getitem__(self, i: int) -> Example:
        return self.__getitems__([i])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        """Return the samples with these numbers, in order; raise IndexError if one does not
        exist.
        """
        found = [self._row(int(i)) for i in indices]
        if not found:
            return []
        names = self._inputs.needs(found[0][0].fields)
        columns = {
            name: Ragged.of([column_of(block, name).row(row) for block, row in found])
            for name in names
        }
        fields = self._inputs.make(columns, self.epoch)
        return [
            {name: rows.row(i).astype(np.int64) for name, rows in fields.items()}
            for i in range(len(found))
        ]

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value for name, value in self.__dict__.items() if name not in ("_blocks", "_lock")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def _reset(self) -> None:
        self._blocks: RecentlyUsed[tuple[int, int], Block] = RecentlyUsed(_BLOCKS)
        self._lock = Lock()

    def _row(self, i: int) -> tuple[Block, int]:
        """Return the block that has sample `i`, read if it is not in memory, and the row of the
        sample in it.
        """
        shard, at = self._source.locate(i)
        number, row = divmod(at, self._source.manifest.samples_per_member)
        with self._lock:
            block = self._blocks.get((shard, number))
            if block is None:
                block = self._source.block(shard, number)
                self._blocks.put((shard, number), block)
        return block, row
