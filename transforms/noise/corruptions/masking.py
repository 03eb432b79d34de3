"""Token masking: chosen tokens become the mask or a random token, or are unchanged, and a model has
to restore them.

Devlin et al. 2019 (BERT), section 3.1, with `mask=0.8, random=0.1`; Lewis et al. 2020 (BART),
section 2.2, with the defaults. The stated share counts all chosen tokens, changed or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from noisebeam.transforms.data.ragged import IntArray, Ragged
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import (
    Replacements,
    differences,
    only_some,
    replace_tokens,
)
from noisebeam.transforms.noise.checks import check_flag, check_share, require_mask
from noisebeam.transforms.noise.corruption import NEW, Trace, masked_or_random, numbered
from noisebeam.transforms.noise.labels import labels_at
from noisebeam.transforms.noise.ordinary_tokens import (
    budgets,
    choose_ordinary,
    ordinary_id_count,
    ordinary_ids,
    ordinary_tokens,
    require_ordinary,
)
from noisebeam.transforms.noise.rng import Stream, below, draw_at, stream_keys
from noisebeam.transforms.noise.whole_words import choose_words


@dataclass(frozen=True)
class TokenMasking:
    """Corruption that masks tokens; the settings of `mask_tokens`.

    `share` is the share of the ordinary (not special) tokens of each sample to choose, rounded to
    the nearest. Of the chosen tokens, the share `mask` becomes the mask token, the share `random` a
    random token, and the others are unchanged. With `whole_words`, all tokens of a word are chosen
    together, and the share is not exceeded. `probability` is that of a sample to be masked at all.
    """

    name: ClassVar[str] = "token-masking"

    share: float = 0.15  # of the ordinary tokens of each sample, rounded to the nearest
    mask: float = 1.0  # share of the chosen tokens that become the mask
    random: float = 0.0  # share that become a random ordinary token; all others are unchanged
    whole_words: bool = False  # choose words, none of which may exceed what is left of the share
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
        """Raise ValueError if the vocabulary lacks what these settings need: a mask token, random
        tokens, or marks of word starts.
        """
        if self.mask > 0:
            require_mask(self.name, vocabulary, "set mask to 0")
        if self.random > 0:
            require_ordinary(self.name, vocabulary)
        if self.whole_words and not vocabulary.continues_word_hex:
            raise ValueError(
                f"{self.name}: whole_words needs a vocabulary that knows which tokens continue a "
                "word, and continues_word_hex is empty; set whole_words to false"
            )

    def apply(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> FlatBatch:
        """Return the flat batch with tokens masked; see `mask_tokens`."""
        return mask_tokens(batch, vocabulary, self, seed=seed, epoch=epoch)

    def model_inputs(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> dict[str, Ragged]:
        """Return `input_ids` with masked tokens, and `labels`: the original ids at the chosen
        positions, -100 elsewhere; a row for each sample.
        """
        chosen = choose_masking(batch, vocabulary, self, seed, epoch)
        masked = replace_tokens(batch, chosen)
        labels = labels_at(batch, chosen.positions)
        return {"input_ids": Ragged(masked.ids, masked.offsets), "labels": labels}

    def trace(self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int) -> Trace:
        """Return which tokens of a flat batch of one sample are replaced, and which are chosen for
        prediction.
        """
        chosen = choose_masking(batch, vocabulary, self, seed, epoch)
        changed = chosen.positions[batch.ids[chosen.positions] != chosen.ids]
        origins = replace_tokens(numbered(batch), Replacements(changed, np.array(NEW))).ids
        return Trace(
            origins,
            masked_or_random(replace_tokens(batch, chosen).ids, origins, vocabulary),
            one_for_one=True,
            chosen=chosen.positions,
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
    """Return the flat batch with random ordinary (not special) tokens masked; lengths and sentences
    are unchanged.

    `options` of None are the defaults; `seed` and `epoch` select the random numbers.
    """
    return replace_tokens(
        batch, choose_masking(batch, vocabulary, options or _DEFAULTS, seed, epoch)
    )


def choose_masking(
    batch: FlatBatch, vocabulary: Vocabulary, options: TokenMasking, seed: int, epoch: int
) -> Replacements:
    """Draw the tokens of a flat batch to mask: positions in `batch.ids`, and the new ids."""
    options.check(vocabulary)
    ordinary = ordinary_tokens(batch, vocabulary)
    counts = budgets(ordinary.counts, options.share)
    counts = only_some(counts, batch, options.probability, seed, epoch, Stream.MASKING_HAPPENS)
    streams = stream_keys(seed, epoch, batch.keys, Stream.MASKED_TOKENS)
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
    """Return the new id of each chosen position, (positions,): the mask, a random id, or the old
    id.

    The upper 32 bits of one random number decide which of the three; the lower 32 bits choose the
    random id.
    """
    # (samples,): chosen positions of each sample, by counting those before each offset
    counts = differences(np.searchsorted(positions, batch.offsets))
    streams = stream_keys(seed, epoch, batch.keys, Stream.MASKING_KIND)
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
