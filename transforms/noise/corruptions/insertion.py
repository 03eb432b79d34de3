"""Token insertion: mask tokens or random tokens are inserted, and a model has to find and remove
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from noisebeam.transforms.data.ragged import Array
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import only_some
from noisebeam.transforms.noise.checks import check_share, require_mask
from noisebeam.transforms.noise.corruption import NEW, Change, Trace, numbered
from noisebeam.transforms.noise.ordinary_tokens import (
    budgets,
    ordinary_tokens,
    random_ids,
    require_ordinary,
)
from noisebeam.transforms.noise.rng import Stream, draw, happens, stream_keys
from noisebeam.transforms.noise.spans import Spans, replace_spans, spans_of_ordinary
from noisebeam.transforms.noise.subsets import choose_subsets


class Insertion(NamedTuple):
    """Tokens to insert into a flat batch: where, as spans of length 0, and the id of each,
    (spans,).
    """

    spans: Spans
    ids: Array  # (spans,)


@dataclass(frozen=True)
class TokenInsertion:
    """Corruption that inserts mask tokens or random tokens; the settings of `insert_tokens`.

    `share` is the number of inserted tokens relative to the ordinary (not special) tokens of a
    sample, rounded to the nearest. `random` is the share of the inserted tokens that are random;
    the others are masks. `probability` is that of a sample to get insertions at all.
    """

    name: ClassVar[str] = "token-insertion"

    share: float = 0.15  # tokens to insert, of the ordinary tokens of each sample, rounded
    random: float = 0.0  # share of the inserted tokens that are random; the others are masks
    probability: float = 1.0  # that a sample gets insertions at all

    def __post_init__(self) -> None:
        for key in ("share", "random", "probability"):
            check_share(self.name, key, getattr(self, key))

    def check(self, vocabulary: Vocabulary) -> None:
        """Raise ValueError if masks are to be inserted and the vocabulary has no mask token, or if
        random tokens are and all ids are special.
        """
        if self.random < 1:
            require_mask(self.name, vocabulary, "set random to 1")
        if self.random > 0:
            require_ordinary(self.name, vocabulary)

    def apply(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> FlatBatch:
        """Return the flat batch with tokens inserted; see `insert_tokens`."""
        return insert_tokens(batch, vocabulary, self, seed=seed, epoch=epoch)

    def trace(self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int) -> Trace:
        """Return which tokens of a flat batch of one sample after the corruption are
        inserted ones.
        """
        spans = choose_insertion(batch, vocabulary, self, seed, epoch).spans
        origins = replace_spans(numbered(batch), spans, np.array(NEW)).ids
        return Trace(origins, (Change.INSERTED,) * len(spans.starts))


_DEFAULTS = TokenInsertion()


def insert_tokens(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: TokenInsertion | None = None,
    *,
    seed: int,
    epoch: int = 0,
) -> FlatBatch:
    """Return the flat batch with mask tokens or random tokens inserted among the ordinary (not
    special) ones, without sentences.

    `options` of None are the defaults; `seed` and `epoch` select the random numbers.
    """
    return replace_spans(
        batch, *choose_insertion(batch, vocabulary, options or _DEFAULTS, seed, epoch)
    )


def choose_insertion(
    batch: FlatBatch, vocabulary: Vocabulary, options: TokenInsertion, seed: int, epoch: int
) -> Insertion:
    """Draw where to insert tokens into a flat batch, and which tokens.

    Every set of positions in the longer sequence is equally likely.
    """
    options.check(vocabulary)
    ordinary = ordinary_tokens(batch, vocabulary)
    counts = budgets(ordinary.counts, options.share)
    counts = only_some(counts, batch, options.probability, seed, epoch, Stream.INSERTION_HAPPENS)
    streams = stream_keys(seed, epoch, batch.keys, Stream.INSERTED_PLACES)
    positions = choose_subsets(
        streams,
        ordinary.counts + counts,
        counts,
        ordinary.offsets[:-1] + np.cumsum(counts) - counts,
    )
    # position in the result - insertions before it = number of the ordinary token behind it
    positions -= np.arange(len(positions))
    spans = spans_of_ordinary(ordinary, positions, np.zeros(len(positions), dtype=np.int64), counts)
    ids = np.full(len(positions), -1 if vocabulary.mask_id is None else vocabulary.mask_id)
    if options.random:
        drawn = happens(
            draw(stream_keys(seed, epoch, batch.keys, Stream.INSERTION_KIND), counts),
            options.random,
        )
        rows = np.repeat(np.arange(len(batch)), counts)[drawn]
        id_streams = stream_keys(seed, epoch, batch.keys, Stream.INSERTED_IDS)
        ids[drawn] = random_ids(id_streams, np.bincount(rows, minlength=len(batch)), vocabulary)
    return Insertion(spans, ids)
