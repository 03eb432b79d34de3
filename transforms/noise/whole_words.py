"""Whole words: all tokens of a word are chosen together.

A word begins at every token that does not continue one, and after a special token. In scripts
without spaces between words (Chinese, Japanese, Thai, ...) each character is a word, since a
tokenizer does not know the segmented words of BERT-wwm. Words are chosen as in BERT's published
data preparation: in random order, each one unless it would exceed the budget of its sample.
"""

from __future__ import annotations

import numpy as np

from noisebeam.transforms.data.ragged import IntArray
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import differences, order_within, ranges
from noisebeam.transforms.noise.ordinary_tokens import Ordinary
from noisebeam.transforms.noise.rng import UIntArray, draw


def choose_words(
    streams: UIntArray,
    batch: FlatBatch,
    vocabulary: Vocabulary,
    ordinary: Ordinary,
    budgets: IntArray,
) -> IntArray:
    """Choose random whole words with at most `budgets[i]` tokens in sample i; return the numbers of
    their ordinary tokens, ascending.

    Ordinary tokens are counted through the batch without special tokens (`ordinary`). `streams`
    (samples,) are the keys of the random numbers.
    """
    starts = word_starts(batch, vocabulary, ordinary)
    # (words,) tokens of each word; (samples,) words of each sample
    lengths = np.diff(starts, append=ordinary.offsets[-1])
    counts = differences(np.searchsorted(starts, ordinary.offsets))
    rows = np.repeat(np.arange(len(batch)), counts)
    order = order_within(rows, draw(streams, counts))
    chosen = np.sort(order[_take_in_turn(lengths[order], rows, budgets)])
    return ranges(starts[chosen], lengths[chosen])


def word_starts(batch: FlatBatch, vocabulary: Vocabulary, ordinary: Ordinary) -> IntArray:
    """Return the numbers of the ordinary tokens (counted without special tokens) that begin a word:
    (words,).
    """
    positions = ordinary.positions(np.arange(ordinary.offsets[-1]))
    begins = ~vocabulary.continues_word[batch.ids[positions]]
    begins[1:] |= positions[1:] != positions[:-1] + 1
    begins[ordinary.offsets[:-1][ordinary.counts > 0]] = True
    return begins.nonzero()[0]


def _take_in_turn(lengths: IntArray, rows: IntArray, budgets: IntArray) -> IntArray:
    """Return the indices of the words that fit into the budgets of their samples, if words are
    taken in order.

    `lengths` (words,) are tokens, `rows` (words,) the sample of each word, ascending. A word is
    skipped if its length exceeds what is left of the budget of its sample.
    """
    left, waiting, taken = budgets.copy(), np.arange(len(lengths)), []
    while len(waiting):
        row, length = rows[waiting], lengths[waiting]
        ends = np.cumsum(length)  # (waiting words,): tokens up to and including each word
        row_starts = np.searchsorted(row, np.arange(len(left)))
        before_row = np.append(0, ends)[row_starts]
        fits = ends <= (before_row + left)[row]
        taken.append(waiting[fits])
        left -= np.bincount(row[fits], weights=length[fits], minlength=len(left)).astype(np.int64)
        waiting = waiting[~fits & (length <= left[row])]
    return np.concatenate(taken) if taken else np.zeros(0, dtype=np.int64)
