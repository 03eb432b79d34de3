"""Token insertion: masks or random tokens are put in between, and a model has to find out which do
not belong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from noisebeam.transforms.data.ragged import Array
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import only_some
from noisebeam.transforms.noise.checks import check_share
from noisebeam.transforms.noise.corruptions.masking import (
    random_ids,
    require_mask,
    require_ordinary,
)
from noisebeam.transforms.noise.ordinary_tokens import budgets, ordinary_tokens
from noisebeam.transforms.noise.rng import Purpose, draw, happens, stream_keys
from noisebeam.transforms.noise.spans import Spans, replace_spans, spans_of_ordinary
from noisebeam.transforms.noise.subsets import choose_subsets


class Insertion(NamedTuple):
    """Tokens to insert: spans of length 0, and the id for each."""

    spans: Spans
    ids: Array  # (spans,)


@dataclass(frozen=True)
class TokenInsertion:
    """Settings of `insert_tokens`."""

    name: ClassVar[str] = "token-insertion"

    # tokens to insert, as a share of the ordinary tokens of each sample, rounded to the nearest
    share: float = 0.15
    random: float = (
        0.0  # how many of these are random ordinary tokens, as a share; the others are masks
    )
    probability: float = 1.0  # that a sample gets insertions at all

    def __post_init__(self) -> None:
        for key in ("share", "random", "probability"):
            check_share(self.name, key, getattr(self, key))

    def check(self, vocabulary: Vocabulary) -> None:
        """ValueError if the vocabulary lacks what these settings need."""
        if self.random < 1:
            require_mask(self.name, vocabulary, "set random to 1")
        if self.random > 0:
            require_ordinary(self.name, vocabulary)


_DEFAULTS = TokenInsertion()


def insert_tokens(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: TokenInsertion | None = None,
    *,
    seed: int,
    epoch: int = 0,
) -> FlatBatch:
    """The batch with tokens inserted among the ordinary ones, without sentences."""
    return replace_spans(
        batch, *choose_insertion(batch, vocabulary, options or _DEFAULTS, seed, epoch)
    )


def choose_insertion(
    batch: FlatBatch, vocabulary: Vocabulary, options: TokenInsertion, seed: int, epoch: int
) -> Insertion:
    """Draw the places, every set of places in the noised sequence being equally likely, and the
    tokens.
    """
    options.check(vocabulary)
    ordinary = ordinary_tokens(batch, vocabulary)
    counts = budgets(ordinary.counts, options.share)
    counts = only_some(counts, batch, options.probability, seed, epoch, Purpose.INSERTION_HAPPENS)
    streams = stream_keys(seed, epoch, batch.keys, Purpose.INSERTED_PLACES)
    places = choose_subsets(
        streams,
        ordinary.counts + counts,
        counts,
        ordinary.offsets[:-1] + np.cumsum(counts) - counts,
    )
    places -= np.arange(len(places))
    spans = spans_of_ordinary(ordinary, places, np.zeros(len(places), dtype=np.int64), counts)
    ids = np.full(len(places), -1 if vocabulary.mask_id is None else vocabulary.mask_id)
    if options.random:
        drawn = happens(
            draw(stream_keys(seed, epoch, batch.keys, Purpose.INSERTION_KIND), counts),
            options.random,
        )
        rows = np.repeat(np.arange(len(batch)), counts)[drawn]
        id_streams = stream_keys(seed, epoch, batch.keys, Purpose.INSERTED_IDS)
        ids[drawn] = random_ids(id_streams, np.bincount(rows, minlength=len(batch)), vocabulary)
    return Insertion(spans, ids)
