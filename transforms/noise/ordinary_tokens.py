"""Ordinary tokens: the tokens that may be noised, which are all but special and added tokens.

They are numbered through the batch, as if there were no other tokens:

    ids                  <s>  a  b  </s>  <s>  c  </s>
    number of ordinary        0  1             2
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import differences
from noisebeam.transforms.noise.rng import UIntArray, below, counting, draw
from noisebeam.transforms.noise.subsets import BoolArray, draw_subsets, mark_subsets

_MOST_RUNS = 8


@dataclass(frozen=True)
class Ordinary:
    """Numbering of the ordinary (not special) tokens of a flat batch, through the batch as if
    there were no special tokens.

    `specials` are the ascending positions in `ids` of the other tokens. `offsets` (samples + 1,):
    sample i has the ordinary tokens with numbers `offsets[i]` to `offsets[i + 1]` - 1.
    """

    specials: IntArray  # ascending positions in `ids` of the tokens that are not ordinary
    offsets: IntArray  # (samples + 1,)

    @cached_property
    def counts(self) -> IntArray:
        """Number of ordinary (not special) tokens in each sample: (samples,)."""
        return differences(self.offsets)

    @cached_property
    def leads(self) -> IntArray:
        """Number of special tokens of the whole batch before the first ordinary token of each
        sample: (samples,).
        """
        return self._boundaries.searchsorted(self.offsets[:-1], side="right")

    @cached_property
    def scattered(self) -> bool:
        """True if a sample has a special token between its ordinary ones."""
        return bool(np.count_nonzero(self._boundaries.searchsorted(self.offsets[1:]) > self.leads))

    @cached_property
    def _boundaries(self) -> IntArray:
        """Number of ordinary tokens of the batch before each special token: (specials,)."""
        before: IntArray = self.specials - counting(len(self.specials))
        return before

    def positions(self, numbers: IntArray) -> IntArray:
        """Return the positions in `ids` of the ordinary tokens with these numbers, which must
        ascend.
        """
        # (specials + 2,): index of the first number behind each special token
        bounds = np.empty(len(self.specials) + 2, dtype=np.int64)
        bounds[0], bounds[-1] = 0, len(numbers)
        bounds[1:-1] = numbers.searchsorted(self._boundaries)
        positions = counting(len(self.specials) + 1).repeat(differences(bounds))
        positions += numbers
        return positions


def ordinary_tokens(batch: FlatBatch, vocabulary: Vocabulary) -> Ordinary:
    """Return which tokens of a flat batch are ordinary, that is not special.

    >>> from noisebeam.transforms.data.samples import Sample, batch_samples
    >>> rows = [[0, 7, 8, 2], [0, 5, 2]]
    >>> def sample(row):
    ...     lengths = np.array([len(row) - 2])
    ...     return Sample(1, "d", 0, {"ids": np.array(row), "sentence_lengths": lengths})
    >>> batch = batch_samples(list(map(sample, rows)), prefix_length=1)
    >>> ordinary = ordinary_tokens(batch, Vocabulary(size=10, special_ids=(0, 1, 2)))
    >>> ordinary.counts.tolist(), ordinary.positions(np.array([0, 1, 2])).tolist()
    ([2, 1], [1, 2, 5])
    """
    specials = is_special(batch.ids, vocabulary).nonzero()[0]
    return Ordinary(specials, batch.offsets - specials.searchsorted(batch.offsets))


def is_special(ids: Array, vocabulary: Vocabulary) -> BoolArray:
    """Return a mask (ids,) that is True for ids of special or added tokens."""
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
    """Return the special ids of a vocabulary as ascending ranges: the first and the last id of
    each.

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
    """Return ids of ordinary (not special) tokens, given their indices in the list of all ordinary
    ids of the vocabulary, ascending.

    >>> ordinary_ids(np.array([0, 1, 2]), Vocabulary(size=6, special_ids=(0, 2, 3)))
    array([1, 4, 5])
    """
    runs = special_runs(vocabulary)
    # (runs + 1,) ids in the runs so far; (runs,) number of ordinary ids before each run
    lengths = np.cumsum([0, *(last - first + 1 for first, last in runs)])
    bounds = np.array([first for first, _ in runs], dtype=np.int64) - lengths[:-1]
    ids: IntArray = indices + lengths[np.searchsorted(bounds, indices, side="right")]
    return ids


def ordinary_id_count(vocabulary: Vocabulary) -> int:
    """Return the number of ids in the vocabulary that are not special."""
    return vocabulary.size - sum(last - first + 1 for first, last in special_runs(vocabulary))


def budgets(counts: IntArray, share: float) -> IntArray:
    """Return the number of tokens to noise in each sample: `counts` (samples,) times `share`, 0 to
    1, rounded to the nearest integer, halves upwards.

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
    """Return the positions in `batch.ids` of `counts[i]` random ordinary tokens of each sample i.

    `streams` (samples,) are the keys of the random numbers. If `ascending` is False, the positions
    have no order, which is faster for small counts.
    """
    starts, sizes, total = batch.offsets[:-1], differences(batch.offsets), len(batch.ids)
    if ascending or np.count_nonzero(counts * 2 > ordinary.counts):
        taken = mark_subsets(
            streams, starts, sizes, counts, total, ordinary.specials, ordinary.counts
        )
        return taken.nonzero()[0]
    return draw_subsets(streams, starts, sizes, counts, total, ordinary.specials, ordinary.counts)


def random_ids(streams: UIntArray, counts: IntArray, vocabulary: Vocabulary) -> IntArray:
    """Return `counts[i]` random ids of ordinary tokens for each stream i, one stream after another;
    all ids are equally likely.
    """
    return ordinary_ids(below(draw(streams, counts), ordinary_id_count(vocabulary)), vocabulary)


def require_ordinary(corruption: str, vocabulary: Vocabulary) -> None:
    """Raise ValueError, with the name of the corruption, if all ids of the vocabulary are special,
    so that no random token can be drawn.
    """
    if ordinary_id_count(vocabulary) < 1:
        raise ValueError(
            f"{corruption}: random tokens need a vocabulary with ordinary tokens; "
            "all ids are special"
        )
