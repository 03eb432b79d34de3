"""Samples of an epoch by position, and chunks of them: the batches that are read together.

samples of a chunk   a b | c d | e f        rows, `bounds` 0 2 4 6
batches of 1 row     [a b] [c d] [e f]      `ends`: the position after each
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from noisebeam.transforms.data.ragged import IntArray, Ragged


class EpochSamples(Protocol):
    """Samples of one epoch, read by their positions in the order of the epoch."""

    def lengths(self, positions: IntArray) -> IntArray:
        """Return the token count of the sample at each position of the epoch, read from the shard
        indexes: int64, of the same shape.
        """

    def fields(self, positions: IntArray, most: IntArray | None) -> Mapping[str, Ragged]:
        """Return the inputs, labels and other fields of the samples at these positions of the
        epoch, by name: a row for each sample.

        `most` (positions,) is the number of tokens to which each sample is truncated before noise
        is drawn; None truncates nothing.
        """


class Chunk(NamedTuple):
    """Consecutive batches of one rank whose samples were read together, with `size` rows in each
    batch.

    `ends` is the position of the epoch after each batch. Row i has the samples `bounds[i]` to
    `bounds[i + 1]` - 1 of the chunk. `fields` has inputs and labels by name, a row for each sample.
    """

    size: int
    ends: list[int]  # of each, the position after it
    bounds: IntArray  # where each row begins, in samples, and the end
    fields: Mapping[str, Ragged]  # of all their samples, one after the other

    def batches(self) -> Iterator[Rows]:
        """Yield the rows of each batch of this chunk, not yet collated."""
        starts = self.bounds[:: self.size]
        tokens = np.add.reduceat(self.fields["input_ids"].lengths, starts[:-1]).tolist()
        parts = zip(*(values.split(starts) for values in self.fields.values()), strict=True)
        for i, (end, count, part) in enumerate(zip(self.ends, tokens, parts, strict=True)):
            bounds = self.bounds[i * self.size : (i + 1) * self.size + 1]
            yield Rows(end, count, bounds - bounds[0], dict(zip(self.fields, part, strict=True)))


class Rows(NamedTuple):
    """Rows of one batch before collating.

    `end` is the position of the epoch after the batch, `tokens` the number of input tokens. Row i
    has the samples `bounds[i]` to `bounds[i + 1]` - 1. `fields` has inputs and labels by name, a
    row for each sample.
    """

    end: int  # the position after it
    tokens: int
    bounds: IntArray  # where each row begins, in samples, and the end
    fields: Mapping[str, Ragged]
