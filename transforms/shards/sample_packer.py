"""Packing of samples into tables, so that the copies of a sample never pile up on one worker.

    samples of a bundle -> each once, with the number of its copies -> tables of about 65,536 tokens

A bundle is the elements that Beam processes together. Copies of a sample have one key, and meet in
one shard. They are counted before they are sent: a bundle sends a sample when it first occurs and,
if it is repeated, once more with the number of its other copies. A sample may be sent again after
100,000 other samples, and after four million tokens of other repeated samples.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.shards.sample_table import SampleTable

_TOKENS = 2**16  # of a table
_REPEATED_TOKENS = 2**22  # of samples that came again, to hold back
_SEEN = 100_000  # keys to remember


class SamplePacker:
    """Packs the samples of a bundle (elements that Beam processes together) into tables of about
    65,536 tokens.
    """

    def __init__(self) -> None:
        self._samples: list[Sample] = []
        self._tokens = 0
        self._seen: set[int] = set()  # keys of samples that were sent
        self._repeated: list[SampleTable] = []  # samples whose key was sent before
        self._repeated_tokens = self._merged_tokens = (
            0  # in all of them; in the first, whose samples are distinct
        )

    def add(self, sample: Sample) -> Iterator[SampleTable]:
        """Add a sample; yield the tables that are full now."""
        self._samples.append(sample)
        self._tokens += len(sample.fields["ids"])
        if self._tokens >= _TOKENS:
            yield from self._pack()

    def rest(self) -> Iterator[SampleTable]:
        """Yield the tables that are left at the end of the bundle, which may be smaller."""
        yield from self._pack()
        yield from self._merge(0)

    def _pack(self) -> Iterator[SampleTable]:
        """Make a table of the waiting samples, and yield it; samples that were sent before are held
        back to be merged.
        """
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
            self._repeated.append(samples)
            self._repeated_tokens += len(samples.fields["ids"].values)
            # so each is merged a few times at most
            if self._repeated_tokens > 2 * self._merged_tokens + _TOKENS:
                yield from self._merge(_REPEATED_TOKENS)

    def _merge(self, enough: int) -> Iterator[SampleTable]:
        """Merge equal samples that are held back into one table, and yield it if it has at least
        `enough` tokens.
        """
        merged = SampleTable.joined(self._repeated).distinct()
        self._repeated, self._merged_tokens = (
            [merged],
            len(merged.fields["ids"].values) if len(merged) else 0,
        )
        if len(merged) and self._merged_tokens >= enough:
            yield merged
            self._repeated, self._merged_tokens = [], 0
        self._repeated_tokens = self._merged_tokens
