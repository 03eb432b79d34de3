"""Token masking: tokens become the mask, or a random token, or stay, and a model has to restore
them.

With `mask=0.8, random=0.1` it is BERT's; the positions chosen count whether or not the token
changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray, Ragged
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import differences, dtype_for, largest_of, only_some
from noisebeam.transforms.noise.checks import check_flag, check_share
from noisebeam.transforms.noise.ordinary_tokens import (
    budgets,
    choose_ordinary,
    ordinary_id_count,
    ordinary_ids,
    ordinary_tokens,
)
from noisebeam.transforms.noise.rng import Purpose, below, draw, draw_at, stream_keys
from noisebeam.transforms.noise.whole_words import choose_words

IGNORED = -100  # the label at which a loss does not look


class Replacements(NamedTuple):
    """Tokens to put in place of others."""

    positions: IntArray  # in `ids`, in any order
    ids: Array  # (positions,), or () for the same everywhere


@dataclass(frozen=True)
class TokenMasking:
    """Settings of `mask_tokens`."""

    name: ClassVar[str] = "token-masking"

    share: float = 0.15  # of the ordinary tokens of each sample, rounded to the nearest
    mask: float = 1.0  # how many of these become the mask, as a share
    random: float = 0.0  # how many become a random ordinary token; all others stay as they are
    whole_words: bool = (
        False  # all tokens of a word or none; words are left out that would exceed the share
    )
    probability: float = 1.0  # that a sample is masked at all

    def __post_init__(self) -> None:
        for key in ("share", "mask", "random", "probability"):
            check_share(self.name, key, getattr(self, key))
        check_flag(self.name, "whole_words", self.whole_words)
        if self.mask + self.random > 1 + 1e-9:
            raise ValueError(
                f"{self.name}: mask + random is {self.mask + self.random:g}; expected 1 at most"
            )

    def check(self, vocabulary: Vocabulary) -> None:
        """ValueError if the vocabulary lacks what these settings need."""
        if self.mask > 0:
            require_mask(self.name, vocabulary, "set mask to 0")
        if self.random > 0:
            require_ordinary(self.name, vocabulary)
        if self.whole_words and not vocabulary.continues_word_hex:
            raise ValueError(
                f"{self.name}: whole_words needs a vocabulary that knows which tokens continue a word, and "
                "continues_word_hex is empty; set whole_words to false"
            )


_DEFAULTS = TokenMasking()


def mask_tokens(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: TokenMasking | None = None,
    *,
    seed: int,
    epoch: int = 0,
) -> FlatBatch:
    """The batch with tokens masked; lengths and sentences stay."""
    return replace_tokens(
        batch, choose_masking(batch, vocabulary, options or _DEFAULTS, seed, epoch)
    )


def replace_tokens(batch: FlatBatch, replacements: Replacements) -> FlatBatch:
    """The batch with these tokens in place of those at the positions.

    >>> from noisebeam.transforms.data.samples import Sample, batch_samples
    >>> sample = Sample(1, "d", 0, {"ids": np.array([0, 7, 8, 2]), "sentence_lengths": np.array([2])})
    >>> batch = batch_samples([sample], prefix_length=1)
    >>> replace_tokens(batch, Replacements(np.array([2]), np.array([9]))).ids.tolist()
    [0, 7, 9, 2]
    """
    ids = batch.ids.astype(dtype_for(batch.ids.dtype, largest_of(replacements.ids)))
    ids[replacements.positions] = replacements.ids[()]
    return FlatBatch(
        ids,
        batch.offsets,
        batch.keys,
        batch.sentence_ends,
        batch.sentence_offsets,
        batch.head_lengths,
        batch.alternatives,
    )


def label_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of labels that may be -100, where ids have this one: int32, or int64 if that is too
    small.
    """
    return np.dtype(np.int64 if dtype.itemsize > 4 or dtype == np.uint32 else np.int32)


def mlm_labels(batch: FlatBatch, positions: IntArray) -> Ragged:
    """The ids at the positions, and -100 everywhere else; int32, or int64 where the ids are."""
    labels: Array = np.full(len(batch.ids), IGNORED, dtype=label_dtype(batch.ids.dtype))
    labels[positions] = batch.ids[positions]
    return Ragged(labels, batch.offsets)


def choose_masking(
    batch: FlatBatch, vocabulary: Vocabulary, options: TokenMasking, seed: int, epoch: int
) -> Replacements:
    """Draw the positions, and what to put there."""
    options.check(vocabulary)
    ordinary = ordinary_tokens(batch, vocabulary)
    counts = budgets(ordinary.counts, options.share)
    counts = only_some(counts, batch, options.probability, seed, epoch, Purpose.MASKING_HAPPENS)
    streams = stream_keys(seed, epoch, batch.keys, Purpose.MASKED_TOKENS)
    if options.whole_words:
        positions = ordinary.positions(choose_words(streams, batch, vocabulary, ordinary, counts))
    else:
        positions = choose_ordinary(streams, batch, ordinary, counts, ascending=options.mask < 1)
    if options.mask == 1:
        return Replacements(positions, np.array(vocabulary.mask_id))
    return Replacements(positions, _mixed(batch, vocabulary, options, seed, epoch, positions))


def _mixed(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: TokenMasking,
    seed: int,
    epoch: int,
    positions: IntArray,
) -> IntArray:
    """(positions,): the mask, a random id, or the old one. One draw decides both which, and the
    random id.
    """
    counts = differences(np.searchsorted(positions, batch.offsets))
    streams = stream_keys(seed, epoch, batch.keys, Purpose.MASKING_KIND)
    draws = draw_at(np.repeat(streams, counts), positions - np.repeat(batch.offsets[:-1], counts))
    ids = batch.ids[positions].astype(np.int64)
    masked_below, random_below = (
        round(part * 2**32) for part in (options.mask, options.mask + options.random)
    )
    kinds = (draws >> np.uint64(32)).view(np.int64)
    if options.random:
        drawn = ((kinds >= masked_below) & (kinds < random_below)).nonzero()[0]
        ids[drawn] = ordinary_ids(
            below(draws[drawn] << np.uint64(32), ordinary_id_count(vocabulary)), vocabulary
        )
    if vocabulary.mask_id is not None:
        ids[kinds < masked_below] = vocabulary.mask_id
    return ids


def random_ids(streams: Array, counts: IntArray, vocabulary: Vocabulary) -> IntArray:
    """Ordinary ids, all equally likely: `counts[i]` from each stream i, end to end."""
    return ordinary_ids(below(draw(streams, counts), ordinary_id_count(vocabulary)), vocabulary)


def require_mask(corruption: str, vocabulary: Vocabulary, otherwise: str) -> None:
    """ValueError unless the vocabulary has a mask."""
    if vocabulary.mask_id is None:
        raise ValueError(
            f"{corruption}: needs a mask token, and the tokenizer has none; add one to the tokenizer, or {otherwise}"
        )


def require_ordinary(corruption: str, vocabulary: Vocabulary) -> None:
    """ValueError unless the vocabulary has tokens to draw."""
    if ordinary_id_count(vocabulary) < 1:
        raise ValueError(
            f"{corruption}: random tokens need a vocabulary with ordinary tokens; all ids are special"
        )
