"""Span corruption: a sentinel token replaces each span; labels are the sentinels, each with its
span.

Spans are drawn as in T5's published code (google-research/text-to-text-transfer-transformer,
`random_spans_noise_mask`): the number and total length of spans follow from the length of the
sample, which is divided at random into kept and noised parts that alternate, a kept part first. If
a sample would have more spans than there are sentinels, its spans are longer instead. With several
denoisers, one of which is drawn for each sample, it is the mixture of UL2 (Tay et al. 2023).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray, Ragged, offsets_of
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import dtype_for, ranges
from noisebeam.transforms.noise.checks import (
    check_keys,
    check_positive,
    check_share,
    check_token,
    token_id,
)
from noisebeam.transforms.noise.corruption import NEW, Change, Trace, numbered
from noisebeam.transforms.noise.ordinary_tokens import ordinary_tokens
from noisebeam.transforms.noise.rng import Stream, UIntArray, counting, draw, pick, stream_keys
from noisebeam.transforms.noise.spans import Spans, replace_spans, spans_of_ordinary
from noisebeam.transforms.noise.subsets import choose_subsets


class CorruptedSpans(NamedTuple):
    """Spans of a flat batch to replace by sentinels, and the denoiser of each sample.

    `denoisers` (samples,) are indices into `SpanCorruption.denoisers`.
    """

    spans: Spans
    denoisers: IntArray  # (samples,), indices into `SpanCorruption.denoisers`


@dataclass(frozen=True)
class Denoiser:
    """One way to corrupt spans; UL2 draws one of several for each sample.

    `share` is the share of the ordinary (not special) tokens of a sample to replace, rounded to the
    nearest, at least one token and not all. `mean_length` is the mean span length in tokens; None
    is a single span at the end of the sample. `weight` is the relative probability of this
    denoiser. `mode` is a token (text or id) to put at the start of the inputs, None for none.
    """

    share: float = 0.15
    mean_length: float | None = 3.0  # tokens; None for a single span at the end of the sample
    weight: float = 1.0  # of the draw of a denoiser, relative to the others
    mode: str | int | None = None

    def __post_init__(self) -> None:
        check_share("span-corruption", "share", self.share)
        check_positive("span-corruption", "weight", self.weight)
        if self.mean_length is not None:
            check_positive("span-corruption", "mean_length", self.mean_length)
        if self.mode is not None:
            check_token("span-corruption", "mode", self.mode)


def _read_denoisers(corruption: str, value: Any) -> tuple[Denoiser, ...]:
    """Return the denoisers that a list of mappings in a recipe describes; raise ValueError, with
    the name of the corruption, if it is wrong.
    """
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    if not is_list or not all(isinstance(entry, Mapping) for entry in value):
        raise ValueError(
            f"{corruption}: denoisers is {value!r}; "
            "expected a list of mappings, as in [{share: 0.15}]"
        )
    known = tuple(field.name for field in fields(Denoiser))
    for entry in value:
        check_keys(f"{corruption}: denoisers", entry, known)
    return tuple(Denoiser(**entry) for entry in value)


def _write_denoisers(denoisers: tuple[Denoiser, ...]) -> list[dict[str, Any]]:
    """Return denoisers as a list of dicts for JSON or YAML, the inverse of `_read_denoisers`."""
    return [asdict(denoiser) for denoiser in denoisers]


@dataclass(frozen=True)
class SpanCorruption:
    """Corruption of T5 and UL2 that replaces spans by sentinel tokens; the settings of
    `corrupt_spans`.

    One of the `denoisers` is drawn for each sample.
    """

    name: ClassVar[str] = "span-corruption"
    objective: ClassVar[str] = "spans"

    denoisers: tuple[Denoiser, ...] = field(
        default=(Denoiser(),), metadata={"read": _read_denoisers, "write": _write_denoisers}
    )

    def __post_init__(self) -> None:
        if not isinstance(self.denoisers, tuple) or not self.denoisers:
            raise ValueError(
                f"{self.name}: denoisers is {self.denoisers!r}; expected a list of one or more"
            )

    def check(self, vocabulary: Vocabulary) -> None:
        """Raise ValueError if the vocabulary has no sentinels, no end-of-text token, or lacks the
        mode token of a denoiser.
        """
        if not vocabulary.sentinel_ids:
            raise ValueError(
                f"{self.name}: needs sentinels (<extra_id_0>, ...), and the tokenizer has none; "
                "add them to the tokenizer, or take another recipe"
            )
        if vocabulary.eos_id is None:
            raise ValueError(
                f"{self.name}: needs an end-of-text token, and the tokenizer has none; "
                "add one to it"
            )
        self.mode_ids(vocabulary)

    def mode_ids(self, vocabulary: Vocabulary) -> IntArray:
        """Return the id of the mode token of each denoiser, -1 for none: (denoisers,) int64.

        Raises ValueError if the vocabulary lacks one.
        """
        modes = (denoiser.mode for denoiser in self.denoisers)
        return np.array(
            [
                -1 if mode is None else token_id(self.name, "mode", mode, vocabulary)
                for mode in modes
            ]
        )

    def apply(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> FlatBatch:
        """Return the flat batch with spans replaced by sentinels, without sentences; see
        `corrupt_spans`.
        """
        return corrupt_spans(batch, vocabulary, self, seed=seed, epoch=epoch)[0]

    def model_inputs(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> dict[str, Ragged]:
        """Return `input_ids` with sentinels, and `labels` with each sentinel and its span; a row
        for each sample.
        """
        after, labels = corrupt_spans(batch, vocabulary, self, seed=seed, epoch=epoch)
        return {"input_ids": Ragged(after.ids, after.offsets), "labels": labels}

    def trace(self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int) -> Trace:
        """Return which tokens of a flat batch of one sample are replaced by sentinels."""
        spans, denoisers = choose_corrupted_spans(batch, vocabulary, self, seed, epoch)
        modes = sum(self.denoisers[i].mode is not None for i in denoisers)
        corrupted = replace_spans(numbered(batch), spans, np.array(NEW)).ids
        origins = np.concatenate([np.full(modes, NEW), corrupted])
        new = (Change.INSERTED,) * modes + (Change.SENTINEL,) * len(spans.starts)
        return Trace(origins, new)


_DEFAULTS = SpanCorruption()


def corrupt_spans(
    batch: FlatBatch,
    vocabulary: Vocabulary,
    options: SpanCorruption | None = None,
    *,
    seed: int,
    epoch: int = 0,
) -> tuple[FlatBatch, Ragged]:
    """Return two values: the flat batch with random spans replaced by sentinels, without sentences,
    and the labels, a row for each sample.

    `options` of None are the defaults; `seed` and `epoch` select the random numbers.
    """
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
    """Return the id of the sentinel token of each span, counted from the first span of its sample:
    (spans,).
    """
    return _sentinel_array(vocabulary).take(ranges(np.zeros_like(spans.counts), spans.counts))


def span_labels(batch: FlatBatch, spans: Spans, vocabulary: Vocabulary) -> Ragged:
    """Return the labels of each sample, a row each: sentinel and tokens of each span, then the end
    of text.
    """
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
    """Draw the denoiser of each sample of a flat batch, and the spans to replace."""
    options.check(vocabulary)
    ordinary = ordinary_tokens(batch, vocabulary)
    denoisers = np.zeros(len(batch), dtype=np.int64)
    if len(options.denoisers) > 1:
        draws = draw(
            stream_keys(seed, epoch, batch.keys, Stream.DENOISER),
            np.ones(len(batch), dtype=np.int64),
        )
        denoisers = pick(draws, [denoiser.weight for denoiser in options.denoisers])
    noised, counts = span_counts(
        ordinary.counts, options.denoisers, denoisers, len(vocabulary.sentinel_ids)
    )
    kept = (ordinary.counts - noised) * (counts > 0)
    streams = stream_keys(seed, epoch, batch.keys, Stream.NOISE_CUTS, Stream.KEPT_CUTS)
    # rows of noised parts, then rows of kept parts: (2 * samples,)
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
    """Return two arrays (samples,): the number of tokens to noise in each sample, and the number of
    spans.

    `sizes` (samples,) is the number of ordinary (not special) tokens, `chosen` (samples,) the index
    of the denoiser of each sample; there are at most `most` spans in a sample.

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
    """Divide each total at random into `counts[i]` non-empty parts; return the end of each part,
    for all totals one after another.

    All divisions are equally likely. Ends continue from one total to the next: those of total i
    begin after the sum of the totals before it. A total of 0 has 0 parts. `streams` are the keys of
    the random numbers.
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
    """Return the sentinel ids of a vocabulary as an int64 array."""
    return np.array(vocabulary.sentinel_ids, dtype=np.int64)


def _at_most(spans: Spans, most: int) -> Spans:
    """Return the first `most` spans of each sample, without the others.

    There are more only where special tokens divide spans.
    """
    if not np.count_nonzero(spans.counts > most):
        return spans
    keep = ranges(np.zeros_like(spans.counts), spans.counts) < most
    return Spans(spans.starts[keep], spans.lengths[keep], np.minimum(spans.counts, most))
