"""Samples to tables, one bundle at a time, such that copies of a sample never pile up on their shard's worker.

Copies of one sample have one key and meet in one shard. Here they are counted instead, before they travel: a bundle
sends a sample when it first comes, and, if it comes again, once more with the number of its other copies. Only after
100,000 other samples, or four million tokens of other samples that come again, may it be sent anew.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from noisebeam.transforms.sample_table import SampleTable
from noisebeam.transforms.samples import Sample

_TOKENS = 2**16  # of a table
_REPEATED_TOKENS = 2**22  # of samples that came again, to hold back
_SEEN = 100_000  # keys to remember


class SamplePacker:
    """The samples of a bundle as tables: of about 65,536 tokens each, but for the last ones."""

    def __init__(self) -> None:
        self._samples: list[Sample] = []
        self._tokens = 0
        self._seen: set[int] = set()  # keys of samples that were sent
        self._repeated = SampleTable.of([])  # samples whose key was sent before

    def add(self, sample: Sample) -> Iterator[SampleTable]:
        """Take in a sample; gives what is to be sent by now."""
        self._samples.append(sample)
        self._tokens += len(sample.fields["ids"])
        if self._tokens >= _TOKENS:
            yield from self._pack()

    def rest(self) -> Iterator[SampleTable]:
        """What is left at the end of the bundle."""
        yield from self._pack()
        if len(self._repeated):
            yield self._repeated

    def _pack(self) -> Iterator[SampleTable]:
        table = SampleTable.of(self._samples).distinct()
        self._samples, self._tokens = [], 0
        keys = table.keys.tolist()
        again = np.array([key in self._seen for key in keys], dtype=np.int64)
        if len(self._seen) > _SEEN:
            self._seen.clear()
        self._seen.update(keys)
        for is_again, samples in table.split(again):
            if not is_again:
                yield samples
                continue
            self._repeated = SampleTable.joined([self._repeated, samples]).distinct()
            if len(self._repeated.fields["ids"].values) >= _REPEATED_TOKENS:
                yield self._repeated
                self._repeated = SampleTable.of([])
