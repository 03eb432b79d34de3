"""Samples to tables, one bundle at a time, such that copies of a sample never pile up on their
shard's worker.

Copies of one sample have one key and meet in one shard. Here they are counted instead, before they
travel: a bundle sends a sample when it first comes, and, if it comes again, once more with the
number of its other copies. It may be sent anew for each 100,000 other samples, and for each four
million tokens of other samples that come again.
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
    """The samples of a bundle as tables: of about 65,536 tokens each, but for the last ones."""

    def __init__(self) -> None:
        self._samples: list[Sample] = []
        self._tokens = 0
        self._seen: set[int] = set()  # keys of samples that were sent
        self._repeated: list[SampleTable] = []  # samples whose key was sent before
        self._repeated_tokens = self._merged_tokens = (
            0  # in all of them; in the first, whose samples are distinct
        )

    def add(self, sample: Sample) -> Iterator[SampleTable]:
        """Take in a sample; gives what is to be sent by now."""
        self._samples.append(sample)
        self._tokens += len(sample.fields["ids"])
        if self._tokens >= _TOKENS:
            yield from self._pack()

    def rest(self) -> Iterator[SampleTable]:
        """What is left at the end of the bundle."""
        yield from self._pack()
        yield from self._merge(0)

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
            self._repeated.append(samples)
            self._repeated_tokens += len(samples.fields["ids"].values)
            if (
                self._repeated_tokens > 2 * self._merged_tokens + _TOKENS
            ):  # so each is merged a few times at most
                yield from self._merge(_REPEATED_TOKENS)

    def _merge(self, enough: int) -> Iterator[SampleTable]:
        """Bring equal samples together that were held back; gives them if they have enough
        tokens.
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
