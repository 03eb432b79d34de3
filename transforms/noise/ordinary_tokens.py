"""Which tokens may be noised: all but special and added tokens, wherever in the sample these are.

*Ordinary* tokens are numbered through the batch, as if there were no others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import differences
from noisebeam.transforms.noise.rng import UIntArray, counting
from noisebeam.transforms.noise.subsets import BoolArray, draw_places, take_places

_MOST_RUNS = 8


@dataclass(frozen=True)
class Ordinary:
    """The ordinary tokens of a batch: those of sample i are numbers `offsets[i]` up to `offsets[i +
    1]`.
    """

    specials: IntArray  # ascending positions in `ids` of the tokens that are not ordinary
    offsets: IntArray  # (samples + 1,)

    @cached_property
    def counts(self) -> IntArray:
        """(samples,): ordinary tokens of each sample."""
        return differences(self.offsets)

    @cached_property
    def leads(self) -> IntArray:
        """(samples,): special tokens of the batch before the first ordinary token of each
        sample.
        """
        return self._boundaries.searchsorted(self.offsets[:-1], side="right")

    @cached_property
    def scattered(self) -> bool:
        """Whether any sample has special tokens between ordinary ones."""
        return bool(np.count_nonzero(self._boundaries.searchsorted(self.offsets[1:]) > self.leads))

    @cached_property
    def _boundaries(self) -> IntArray:
        """(specials,): ordinary tokens before each special one."""
        before: IntArray = self.specials - counting(len(self.specials))
        return before

    def positions(self, numbers: IntArray) -> IntArray:
        """Where in `ids` the ordinary tokens with these ascending numbers are."""
        bounds = np.empty(len(self.specials) + 2, dtype=np.int64)
        bounds[0], bounds[-1] = 0, len(numbers)
        bounds[1:-1] = numbers.searchsorted(self._boundaries)
        positions = counting(len(self.specials) + 1).repeat(differences(bounds))
        positions += numbers
        return positions


def ordinary_tokens(batch: FlatBatch, vocabulary: Vocabulary) -> Ordinary:
    """The ordinary tokens of a batch.

    >>> from noisebeam.transforms.data.samples import Sample, batch_samples
    >>> rows = [[0, 7, 8, 2], [0, 5, 2]]
    >>> fields = [{"ids": np.array(row), "sentence_lengths": np.array([len(row) - 2])} for row in rows]
    >>> batch = batch_samples([Sample(1, "d", 0, field) for field in fields], prefix_length=1)
    >>> ordinary = ordinary_tokens(batch, Vocabulary(size=10, special_ids=(0, 1, 2)))
    >>> ordinary.counts.tolist(), ordinary.positions(np.array([0, 1, 2])).tolist()
    ([2, 1], [1, 2, 5])
    """
    specials = is_special(batch.ids, vocabulary).nonzero()[0]
    return Ordinary(specials, batch.offsets - specials.searchsorted(batch.offsets))


def is_special(ids: Array, vocabulary: Vocabulary) -> BoolArray:
    """Whether each id is a special or added one."""
    runs = special_runs(vocabulary)
    if len(runs) > _MOST_RUNS:
        return np.asarray(vocabulary.is_special[ids])
    special = None
    for first, last in runs:
        found = (
            ids <= last
            if first == 0
            else (ids == first if first == last else (ids >= first) & (ids <= last))
        )
        special = found if special is None else np.logical_or(special, found, out=special)
    return np.zeros(len(ids), dtype=np.bool_) if special is None else np.asarray(special)


@lru_cache(maxsize=16)
def special_runs(vocabulary: Vocabulary) -> tuple[tuple[int, int], ...]:
    """The special ids as ascending runs, first and last id of each.

    >>> special_runs(Vocabulary(size=200, special_ids=(0, 100, 101, 102)))
    ((0, 0), (100, 102))
    """
    runs: list[tuple[int, int]] = []
    for special in sorted({*vocabulary.special_ids, *vocabulary.prefix, *vocabulary.suffix}):
        if runs and runs[-1][1] == special - 1:
            runs[-1] = (runs[-1][0], special)
        else:
            runs.append((special, special))
    return tuple(runs)


def ordinary_ids(indices: IntArray, vocabulary: Vocabulary) -> IntArray:
    """The ordinary ids of the vocabulary, in ascending order, at these indices (0 up to
    `ordinary_id_count`).

    >>> ordinary_ids(np.array([0, 1, 2]), Vocabulary(size=6, special_ids=(0, 2, 3)))
    array([1, 4, 5])
    """
    runs = special_runs(vocabulary)
    lengths = np.cumsum([0, *(last - first + 1 for first, last in runs)])
    bounds = np.array([first for first, _ in runs], dtype=np.int64) - lengths[:-1]
    ids: IntArray = indices + lengths[np.searchsorted(bounds, indices, side="right")]
    return ids


def ordinary_id_count(vocabulary: Vocabulary) -> int:
    """How many ids of the vocabulary are ordinary."""
    return vocabulary.size - sum(last - first + 1 for first, last in special_runs(vocabulary))


def budgets(counts: IntArray, share: float) -> IntArray:
    """How many of `counts` a share (0 to 1) is, rounded to the nearest, halves upwards.

    >>> budgets(np.array([10, 11, 5]), 0.3).tolist()
    [3, 3, 2]
    """
    rounded: IntArray = (counts * share + 0.5).astype(np.int64)
    return rounded


def choose_ordinary(
    streams: UIntArray,
    batch: FlatBatch,
    ordinary: Ordinary,
    counts: IntArray,
    ascending: bool = True,
) -> IntArray:
    """Positions in `ids` of `counts[i]` random ordinary tokens of sample i, in any order if not
    `ascending`.
    """
    starts, sizes, total = batch.offsets[:-1], differences(batch.offsets), len(batch.ids)
    if ascending or np.count_nonzero(counts * 2 > ordinary.counts):
        taken = take_places(
            streams, starts, sizes, counts, total, ordinary.specials, ordinary.counts
        )
        return taken.nonzero()[0]
    return draw_places(streams, starts, sizes, counts, total, ordinary.specials, ordinary.counts)
