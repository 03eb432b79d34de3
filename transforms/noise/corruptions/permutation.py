"""Sentence permutation: the sentences of a sample are shuffled, and a model has to restore them.

Lewis et al. 2020 (BART), section 2.2. The ids are those of the permuted text: a sentence that
becomes the first one has the ids of the beginning of a text, one that stops being the first has
those after white space (see `Sample`), so lengths may change. Special tokens inside a sentence move
with it; prefix, suffix and padding stay. It needs clean samples, so a recipe has it first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray, Ragged, offsets_of
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import differences, only_some, order_within, ranges
from noisebeam.transforms.noise.checks import check_share
from noisebeam.transforms.noise.corruption import Change, Trace, numbered
from noisebeam.transforms.noise.rng import Stream, counting, draw, stream_keys


@dataclass(frozen=True)
class SentencePermutation:
    """Corruption that shuffles the sentences of each sample; the settings of `permute_sentences`.

    `probability` is that of a sample to be permuted at all.
    """

    name: ClassVar[str] = "sentence-permutation"
    needs_sentences: ClassVar[bool] = True

    probability: float = 1.0  # that a sample is permuted at all

    def __post_init__(self) -> None:
        check_share(self.name, "probability", self.probability)

    def check(self, vocabulary: Vocabulary) -> None:
        """Accept any vocabulary; no special token is needed."""

    def apply(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> FlatBatch:
        """Return the flat batch with the sentences of samples shuffled; see `permute_sentences`."""
        return permute_sentences(batch, vocabulary, self, seed=seed, epoch=epoch)

    def trace(self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int) -> Trace:
        """Return, for a flat batch of one sample, the position before the permutation of each token
        after it.
        """
        order = choose_order(batch, self, seed, epoch)
        after = reorder_sentences(batch, order, len(vocabulary.prefix))
        origins = _origins(batch, order, len(vocabulary.prefix))
        # (tokens,): number of the sentence of each token, before and after
        was = np.searchsorted(batch.sentence_ends, np.arange(len(batch.ids)), "right")
        now = np.searchsorted(after.sentence_ends, np.arange(len(origins)), "right")
        return Trace(origins, moved=was[origins] != now, moves=Change.MOVED)


_DEFAULTS = SentencePermutation()


def permute_sentences(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: SentencePermutation | None = None,
    *,
    seed: int,
    epoch: int = 0,
) -> FlatBatch:
    """Return the flat batch with the sentences of each sample shuffled; all orders are equally
    likely.

    The result has sentence ends, but not the `head_lengths` and `alternatives` that another
    permutation would need. Raises ValueError if the batch has tokens but no sentences. `options` of
    None are the defaults; `seed` and `epoch` select the random numbers.
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
    """Return the flat batch with its sentences in a given order, each sample with its own
    sentences.

    `order` (sentences,) has numbers of sentences, counted through the batch: sentence `order[j]`
    comes in place of sentence j. Each sample has `prefix_length` special tokens at its start, which
    stay.

    >>> from noisebeam.transforms.data.samples import Sample, batch_samples
    >>> fields = {"ids": np.array([0, 7, 8, 9, 2]), "sentence_lengths": np.array([1, 2])}
    >>> batch = batch_samples([Sample(1, "d", 0, fields)], prefix_length=1)
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
    changed = first[order] != first  # (sentences,): whether the form of the first word changes
    heads = batch.head_lengths[order] * changed
    new_heads = differences(batch.alternatives.offsets)[order] * changed
    pool = np.concatenate((batch.ids, batch.alternatives.values))
    # (sentences, 2): the other first word, then the rest of the sentence
    begins, piece_lengths = np.empty((2, len(order), 2), dtype=np.int64)
    begins[:, 0], begins[:, 1] = batch.alternatives.offsets[order] + len(batch.ids), moved + heads
    piece_lengths[:, 0], piece_lengths[:, 1] = new_heads, lengths - heads
    return _assemble(batch, pool, begins, piece_lengths, prefix_length)


def choose_order(batch: FlatBatch, options: SentencePermutation, seed: int, epoch: int) -> IntArray:
    """Draw an order of the sentences of each sample: (sentences,) numbers of sentences, counted
    through the batch.
    """
    counts = differences(batch.sentence_offsets)
    counts = only_some(counts, batch, options.probability, seed, epoch, Stream.PERMUTATION_HAPPENS)
    draws = draw(stream_keys(seed, epoch, batch.keys, Stream.SENTENCE_ORDER), counts)
    shuffled = order_within(counting(len(batch)).repeat(counts), draws)
    if len(shuffled) == len(batch.sentence_ends):
        return shuffled
    order = np.arange(len(batch.sentence_ends))
    permuted = (counts > 0).repeat(differences(batch.sentence_offsets))
    order[permuted] = order[permuted][shuffled]
    return order


def _sentence_starts(batch: FlatBatch, prefix_length: int) -> tuple[IntArray, IntArray]:
    """Return the position in `batch.ids` of the start of each sentence, and the number of the first
    sentence of each sample.

    Shapes: (sentences,) and (samples with sentences,). Sentences are counted through the batch.
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
    """Return a flat batch whose sentences are put together from pieces of the array `pool`.

    `begins` and `lengths` (sentences, pieces of a sentence) say which values of `pool` each piece
    has. The tokens between the last sentence of a sample and the first one of the next (suffix and
    prefix) are one piece:

        prefix | pieces of sample 0 | suffix prefix | pieces of sample 1 | suffix
    """
    filled = differences(batch.sentence_offsets) > 0
    prefixes = prefix_length * filled
    between = np.empty((2, len(batch) + 1), dtype=np.int64)  # begins and ends
    between[0, 0], between[1, -1] = 0, batch.offsets[-1]
    between[1, :-1] = batch.offsets[:-1] + prefixes
    between[0, 1:] = batch.offsets[:-1]
    between[0, 1:][filled] = batch.sentence_ends[batch.sentence_offsets[1:][filled] - 1]
    # (samples + 1,): numbers of the pieces between samples, among all pieces
    fixed = batch.sentence_offsets * begins.shape[1] + counting(len(batch) + 1)
    movable = np.ones(begins.size + len(fixed), dtype=np.bool_)
    movable[fixed] = False
    movable_at = movable.nonzero()[0]
    all_begins, all_lengths = np.empty((2, len(movable)), dtype=np.int64)
    all_begins[fixed], all_lengths[fixed] = between[0], between[1] - between[0]
    all_begins[movable_at], all_lengths[movable_at] = (
        begins.reshape(-1),
        lengths.reshape(-1),
    )
    cuts = offsets_of(all_lengths)
    offsets = cuts[fixed + 1]
    offsets[:-1] -= prefixes
    ends = cuts[movable_at[begins.shape[1] - 1 :: begins.shape[1]] + 1]
    return FlatBatch(
        pool.take(ranges(all_begins, all_lengths)),
        offsets,
        batch.keys,
        ends,
        batch.sentence_offsets,
    )


def _origins(batch: FlatBatch, order: IntArray, prefix_length: int) -> IntArray:
    """Return the position in one sample, before its permutation, of each token after it: (tokens
    after,).
    """
    tagged = numbered(batch)
    if tagged.alternatives is not None:
        starts, _ = _sentence_starts(batch, prefix_length)
        counts = np.diff(tagged.alternatives.offsets)
        tagged = replace(
            tagged, alternatives=Ragged(starts.repeat(counts), tagged.alternatives.offsets)
        )
    return reorder_sentences(tagged, order, prefix_length).ids
