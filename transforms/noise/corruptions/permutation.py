"""Sentence permutation: a sample's sentences come in random order, and a model has to restore it.

The ids are those of the permuted text. A sentence that comes to be first takes its form at the
start of a text, one that stops being first its continuing form (see `Sample`), so lengths may
change. All tokens of a sentence move with it, special ones too; prefix, suffix and padding stay. It
works on clean text only, so a recipe has it first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray, offsets_of
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import differences, only_some, order_within, ranges
from noisebeam.transforms.noise.checks import check_share
from noisebeam.transforms.noise.rng import Purpose, counting, draw, stream_keys


@dataclass(frozen=True)
class SentencePermutation:
    """Settings of `permute_sentences`."""

    name: ClassVar[str] = "sentence-permutation"

    probability: float = 1.0  # that a sample is permuted at all

    def __post_init__(self) -> None:
        check_share(self.name, "probability", self.probability)

    def check(self, vocabulary: Vocabulary) -> None:
        """Any vocabulary will do."""


_DEFAULTS = SentencePermutation()


def permute_sentences(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: SentencePermutation | None = None,
    *,
    seed: int,
    epoch: int = 0,
) -> FlatBatch:
    """The batch with the sentences of each sample in random order, all orders (the old one too)
    equally likely.

    The result has its sentence ends, but no heads and alternatives: it cannot be permuted again.
    """
    if not len(batch.sentence_ends) and len(batch.ids) > len(batch) * len(
        vocabulary.prefix + vocabulary.suffix
    ):
        raise ValueError(
            f"{SentencePermutation.name}: needs the sentences of the samples, and there are none; "
            "permute before other corruptions, and samples that were stored with sentence_lengths"
        )
    order = choose_order(batch, options or _DEFAULTS, seed, epoch)
    return reorder_sentences(batch, order, len(vocabulary.prefix))


def reorder_sentences(batch: FlatBatch, order: IntArray, prefix_length: int) -> FlatBatch:
    """The batch with sentence `order[j]` (numbered through the batch) in place of sentence j, of
    the same sample.

    >>> from noisebeam.transforms.data.samples import Sample, batch_samples
    >>> sample = Sample(1, "d", 0, {"ids": np.array([0, 7, 8, 9, 2]), "sentence_lengths": np.array([1, 2])})
    >>> batch = batch_samples([sample], prefix_length=1)
    >>> reorder_sentences(batch, np.array([1, 0]), prefix_length=1).ids.tolist()
    [0, 8, 9, 7, 2]
    """
    starts, firsts = _sentence_starts(batch, prefix_length)
    moved = starts[order]
    lengths = batch.sentence_ends[order] - moved
    if batch.head_lengths is None or batch.alternatives is None:
        return _assemble(batch, batch.ids, moved[:, None], lengths[:, None], prefix_length)
    first = np.zeros(len(order), dtype=np.bool_)
    first[firsts] = True
    changed = first[order] != first
    heads = batch.head_lengths[order] * changed
    new_heads = differences(batch.alternatives.offsets)[order] * changed
    pool = np.concatenate((batch.ids, batch.alternatives.values))
    begins, piece_lengths = np.empty((2, len(order), 2), dtype=np.int64)
    begins[:, 0], begins[:, 1] = batch.alternatives.offsets[order] + len(batch.ids), moved + heads
    piece_lengths[:, 0], piece_lengths[:, 1] = new_heads, lengths - heads
    return _assemble(batch, pool, begins, piece_lengths, prefix_length)


def choose_order(batch: FlatBatch, options: SentencePermutation, seed: int, epoch: int) -> IntArray:
    """(sentences,): draw the sentence for each place."""
    counts = differences(batch.sentence_offsets)
    counts = only_some(counts, batch, options.probability, seed, epoch, Purpose.PERMUTATION_HAPPENS)
    draws = draw(stream_keys(seed, epoch, batch.keys, Purpose.SENTENCE_ORDER), counts)
    shuffled = order_within(counting(len(batch)).repeat(counts), draws)
    if len(shuffled) == len(batch.sentence_ends):
        return shuffled
    order = np.arange(len(batch.sentence_ends))
    permuted = (counts > 0).repeat(differences(batch.sentence_offsets))
    order[permuted] = order[permuted][shuffled]
    return order


def _sentence_starts(batch: FlatBatch, prefix_length: int) -> tuple[IntArray, IntArray]:
    """(sentences,) where each sentence starts, and the numbers of the sentences that are first in
    their sample.
    """
    filled = differences(batch.sentence_offsets) > 0
    firsts = batch.sentence_offsets[:-1][filled]
    starts = np.empty_like(batch.sentence_ends)
    starts[1:] = batch.sentence_ends[:-1]
    starts[firsts] = batch.offsets[:-1][filled] + prefix_length
    return starts, firsts


def _assemble(
    batch: FlatBatch, pool: Array, begins: IntArray, lengths: IntArray, prefix_length: int
) -> FlatBatch:
    """Samples whose sentences are put together from pieces of `pool`: (sentences, pieces) begins
    and lengths.

    What lies between the sentences of one sample and of the next, a suffix and a prefix, is one
    piece more.
    """
    filled = differences(batch.sentence_offsets) > 0
    prefixes = prefix_length * filled
    between = np.empty((2, len(batch) + 1), dtype=np.int64)  # begins and ends
    between[0, 0], between[1, -1] = 0, batch.offsets[-1]
    between[1, :-1] = batch.offsets[:-1] + prefixes
    between[0, 1:] = batch.offsets[:-1]
    between[0, 1:][filled] = batch.sentence_ends[batch.sentence_offsets[1:][filled] - 1]
    places = batch.sentence_offsets * begins.shape[1] + counting(len(batch) + 1)
    movable = np.ones(begins.size + len(places), dtype=np.bool_)
    movable[places] = False
    movable_places = movable.nonzero()[0]
    all_begins, all_lengths = np.empty((2, len(movable)), dtype=np.int64)
    all_begins[places], all_lengths[places] = between[0], between[1] - between[0]
    all_begins[movable_places], all_lengths[movable_places] = (
        begins.reshape(-1),
        lengths.reshape(-1),
    )
    cuts = offsets_of(all_lengths)
    offsets = cuts[places + 1]
    offsets[:-1] -= prefixes
    ends = cuts[movable_places[begins.shape[1] - 1 :: begins.shape[1]] + 1]
    return FlatBatch(
        pool.take(ranges(all_begins, all_lengths)),
        offsets,
        batch.keys,
        ends,
        batch.sentence_offsets,
    )
