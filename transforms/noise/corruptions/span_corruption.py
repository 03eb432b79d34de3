"""Span corruption: each span becomes a sentinel, and the labels are the sentinels, each followed by
its span.

Spans as T5's published code draws them (google-research/text-to-text-transfer-transformer,
`random_spans_noise_mask`): their number and total length follow from the sample's length, and the
sample is divided at random into kept and noised parts that take turns, a kept part first. There are
no more spans than sentinels: long samples get longer spans. Several denoisers, one drawn for each
sample, make UL2's mixture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray, Ragged, offsets_of
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import dtype_for, ranges
from noisebeam.transforms.noise.checks import check_positive, check_share, check_token, token_id
from noisebeam.transforms.noise.ordinary_tokens import ordinary_tokens
from noisebeam.transforms.noise.rng import Purpose, UIntArray, counting, draw, pick, stream_keys
from noisebeam.transforms.noise.spans import Spans, replace_spans, spans_of_ordinary
from noisebeam.transforms.noise.subsets import choose_subsets


class CorruptedSpans(NamedTuple):
    """Spans to replace by sentinels, and the denoiser that each sample got."""

    spans: Spans
    denoisers: IntArray  # (samples,)


@dataclass(frozen=True)
class Denoiser:
    """One way to corrupt spans."""

    # of the ordinary tokens of each sample, rounded to the nearest, but one at least, and not all
    share: float = 0.15
    mean_length: float | None = 3.0  # tokens; None makes one span of all, at the end of the sample
    weight: float = 1.0  # how often this one is drawn, in proportion
    mode: str | int | None = (
        None  # a token to put at the very start of the inputs: its text, or its id
    )

    def __post_init__(self) -> None:
        check_share("span-corruption", "share", self.share)
        check_positive("span-corruption", "weight", self.weight)
        if self.mean_length is not None:
            check_positive("span-corruption", "mean_length", self.mean_length)
        if self.mode is not None:
            check_token("span-corruption", "mode", self.mode)


@dataclass(frozen=True)
class SpanCorruption:
    """Settings of `corrupt_spans`."""

    name: ClassVar[str] = "span-corruption"

    denoisers: tuple[Denoiser, ...] = (Denoiser(),)

    def __post_init__(self) -> None:
        if not isinstance(self.denoisers, tuple) or not self.denoisers:
            raise ValueError(
                f"{self.name}: denoisers is {self.denoisers!r}; expected a list of one or more"
            )

    def check(self, vocabulary: Vocabulary) -> None:
        """ValueError if the vocabulary lacks what these settings need."""
        if not vocabulary.sentinel_ids:
            raise ValueError(
                f"{self.name}: needs sentinels (<extra_id_0>, ...), and the tokenizer has none; "
                "add them to the tokenizer, or take another recipe"
            )
        if vocabulary.eos_id is None:
            raise ValueError(
                f"{self.name}: needs an end-of-text token, and the tokenizer has none; add one to it"
            )
        self.mode_ids(vocabulary)

    def mode_ids(self, vocabulary: Vocabulary) -> IntArray:
        """(denoisers,): the id that each puts at the start, -1 for none; ValueError if the
        vocabulary lacks one.
        """
        modes = (denoiser.mode for denoiser in self.denoisers)
        return np.array(
            [
                -1 if mode is None else token_id(self.name, "mode", mode, vocabulary)
                for mode in modes
            ]
        )


_DEFAULTS = SpanCorruption()


def corrupt_spans(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: SpanCorruption | None = None,
    *,
    seed: int,
    epoch: int = 0,
) -> tuple[FlatBatch, Ragged]:
    """The batch with spans replaced by sentinels, without sentences, and the labels."""
    options = options or _DEFAULTS
    spans, denoisers = choose_corrupted_spans(batch, vocabulary, options, seed, epoch)
    labels = span_labels(batch, spans, vocabulary)
    corrupted = replace_spans(batch, spans, sentinels(spans, vocabulary))
    modes = options.mode_ids(vocabulary)[denoisers]
    marked = modes >= 0
    if np.count_nonzero(marked):
        starts = corrupted.offsets[:-1][marked]
        corrupted = replace_spans(
            corrupted, Spans(starts, np.zeros_like(starts), marked.astype(np.int64)), modes[marked]
        )
    return corrupted, labels


def sentinels(spans: Spans, vocabulary: Vocabulary) -> IntArray:
    """(spans,): the sentinel of each span, counted from the first in each sample."""
    return _sentinel_array(vocabulary).take(ranges(np.zeros_like(spans.counts), spans.counts))


def span_labels(batch: FlatBatch, spans: Spans, vocabulary: Vocabulary) -> Ragged:
    """For each sample its spans, each led by its sentinel, and the end-of-text token."""
    ends = offsets_of(spans.lengths + 1)
    leads = ends[:-1] + counting(len(batch)).repeat(spans.counts)
    offsets = ends[offsets_of(spans.counts)] + counting(len(batch) + 1)
    largest = max(int(_sentinel_array(vocabulary).max()), vocabulary.eos_id or 0)
    labels: Array = np.empty(offsets[-1], dtype=dtype_for(batch.ids.dtype, largest))
    free = np.ones(len(labels), dtype=np.bool_)
    free[leads] = free[offsets[1:] - 1] = False
    labels[leads] = sentinels(spans, vocabulary)
    labels[offsets[1:] - 1] = vocabulary.eos_id
    labels[free] = batch.ids.take(ranges(spans.starts, spans.lengths))
    return Ragged(labels, offsets)


def choose_corrupted_spans(
    batch: FlatBatch, vocabulary: Vocabulary, options: SpanCorruption, seed: int, epoch: int
) -> CorruptedSpans:
    """Draw a denoiser for each sample, and its spans."""
    options.check(vocabulary)
    ordinary = ordinary_tokens(batch, vocabulary)
    denoisers = np.zeros(len(batch), dtype=np.int64)
    if len(options.denoisers) > 1:
        draws = draw(
            stream_keys(seed, epoch, batch.keys, Purpose.DENOISER),
            np.ones(len(batch), dtype=np.int64),
        )
        denoisers = pick(draws, [denoiser.weight for denoiser in options.denoisers])
    noised, counts = span_counts(
        ordinary.counts, options.denoisers, denoisers, len(vocabulary.sentinel_ids)
    )
    kept = (ordinary.counts - noised) * (counts > 0)
    streams = stream_keys(seed, epoch, batch.keys, Purpose.NOISE_CUTS, Purpose.KEPT_CUTS)
    ends = _random_parts(
        streams.reshape(-1), np.concatenate((noised, kept)), np.concatenate((counts, counts))
    )
    noised_ends, kept_ends = ends.reshape(2, -1)
    lengths = np.diff(noised_ends, prepend=0)
    firsts = (
        ordinary.offsets[:-1] - noised.sum() + (noised - noised.cumsum()) + (kept - kept.cumsum())
    )
    starts = noised_ends - lengths + kept_ends + firsts.repeat(counts)
    spans = spans_of_ordinary(ordinary, starts, lengths, counts)
    return CorruptedSpans(_at_most(spans, len(vocabulary.sentinel_ids)), denoisers)


def span_counts(
    sizes: IntArray, denoisers: tuple[Denoiser, ...], chosen: IntArray, most: int
) -> tuple[IntArray, IntArray]:
    """How many of `sizes` tokens are noised, and in how many spans (`most` at most), by the
    denoiser of each sample.

    >>> noised, spans = span_counts(np.array([511, 1]), (Denoiser(),), np.array([0, 0]), most=100)
    >>> noised.tolist(), spans.tolist()
    ([77, 0], [26, 0])
    """
    shares = np.array([denoiser.share for denoiser in denoisers])[chosen]
    means = np.array([denoiser.mean_length or np.inf for denoiser in denoisers])[chosen]
    noised = np.minimum(np.maximum(np.rint(sizes * shares), 1), np.maximum(sizes - 1, 0)).astype(
        np.int64
    )
    spans = np.maximum(np.rint(noised / means), 1).astype(np.int64)
    return noised, np.minimum(np.minimum(spans, most), np.minimum(noised, sizes - noised))


def _random_parts(streams: UIntArray, totals: IntArray, counts: IntArray) -> IntArray:
    """Ends of `counts[i]` parts, none empty, of a total: all divisions equally likely. Totals are
    counted through.

    Both are 0 together.
    """
    bases = totals.cumsum() - totals
    cuts = choose_subsets(streams, np.maximum(totals - 1, 0), np.maximum(counts - 1, 0), bases + 1)
    ends = np.empty(len(cuts) + np.count_nonzero(counts), dtype=np.int64)
    inner = np.ones(len(ends), dtype=np.bool_)
    last = (counts.cumsum() - 1)[counts > 0]
    inner[last] = False
    ends[last] = (bases + totals)[counts > 0]
    ends[inner] = cuts
    return ends


@lru_cache(maxsize=16)
def _sentinel_array(vocabulary: Vocabulary) -> IntArray:
    return np.array(vocabulary.sentinel_ids, dtype=np.int64)


def _at_most(spans: Spans, most: int) -> Spans:
    """The first `most` spans of each sample; only special tokens inside spans make more."""
    if not np.count_nonzero(spans.counts > most):
        return spans
    keep = ranges(np.zeros_like(spans.counts), spans.counts) < most
    return Spans(spans.starts[keep], spans.lengths[keep], np.minimum(spans.counts, most))
