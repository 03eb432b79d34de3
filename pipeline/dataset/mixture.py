"""A mixture of several data sets, in which each has its share among the first n samples, for every
n.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from noisebeam.pipeline.dataset.base import BatchedDataset
from noisebeam.pipeline.dataset.checkpoint import SkippedCount
from noisebeam.pipeline.dataset.chunks import EpochSamples
from noisebeam.pipeline.dataset.interleaving import Interleaving, shares
from noisebeam.pipeline.dataset.settings import check_number
from noisebeam.pipeline.dataset.shard_dataset import ShardDataset
from noisebeam.pipeline.epoch.block_buffer import RowMatrix, matrix_of
from noisebeam.pipeline.epoch.shard_source import RecentlyUsed
from noisebeam.transforms.data.ragged import IntArray, Ragged


class Mixture(BatchedDataset):
    """Iterable data set that mixes the samples of several `ShardDataset`s by weighted round robin.
    Pass one of:

    - `weights`: share of each set, in any unit; a share that is no multiple of 1/63000 is rounded.
    - `temperature`: shares in proportion to samples ** (1 / temperature): 1 keeps the proportions
      of the sets, higher values are more even.
    - `epochs`: exact number of times each set is seen in an epoch of the mixture, such as 0.5 or 3.

    Among the first n samples, n up to 65,536, the count of a set differs from n times its share by
    less than one; with weights or a temperature this holds for every n. An epoch of the mixture has
    `samples` samples: by default as many as all sets together, or as `epochs` requires.

    A set continues in each epoch of the mixture where it was at the end of the epoch before. When
    all of its samples have been seen it starts again, in new order and with new noise. So the
    position in a mixture is one number too.

    Sets must agree in batch settings, ranks, length warm-up and vocabulary, else ValueError is
    raised; each has its own recipe, seed and length filter. The current epochs and positions of the
    sets themselves are ignored.
    """

    def __init__(
        self,
        sets: Sequence[ShardDataset],
        weights: Sequence[float] | None = None,
        *,
        temperature: float | None = None,
        epochs: Sequence[float] | None = None,
        samples: int | None = None,
        epoch: int = 0,
    ) -> None:
        self.sets = tuple(sets)
        _check_sets(self.sets)
        super().__init__(self.sets[0].settings, seed=self.sets[0].seed, epoch=epoch)
        sizes = [each.samples for each in self.sets]
        self.interleaving = Interleaving(_counts(sizes, weights, temperature, epochs))
        default = len(self.interleaving) if epochs is not None else sum(sizes)
        self._samples = default if samples is None else check_number("samples", samples, 1)
        self.layout = self.sets[0].layout
        self.max_tokens = max(each.max_tokens for each in self.sets)
        self.chunk = min(each.chunk for each in self.sets)

    def __repr__(self) -> str:
        shares = ", ".join(
            f"{share:.1%} of {each.url!r}"
            for share, each in zip(self.weights, self.sets, strict=True)
        )
        return (
            f"Mixture({shares}: {self.samples:,} samples, batch_size {self.batch_size}, "
            f"epoch {self.epoch}, rank {self.rank} of {self.world_size})"
        )

    @property
    def samples(self) -> int:
        """Number of samples of an epoch of this mixture, over all ranks."""
        return self._samples

    @property
    def weights(self) -> list[float]:
        """Share of each set in the mixture, 0 to 1, as it is used: shares that are no multiple of
        1/63000 have been rounded.
        """
        return [int(count) / len(self.interleaving) for count in self.interleaving.counts]

    def open_epoch(self, epoch: int, skipped: SkippedCount | None = None) -> EpochSamples:
        """Return the samples of an epoch of the mixture, readable by position.

        Unreadable samples are counted in `skipped`; None counts them in this data set.
        """
        return MixedEpoch(
            self.sets, self.interleaving, epoch * self.samples, skipped or self._skipped
        )

    @property
    def identity(self) -> dict[str, Any]:
        """Settings and data of all sets on which the meaning of a saved position depends, as values
        for JSON.
        """
        parts = {
            f"{name} of set {i}": value
            for i, each in enumerate(self.sets)
            for name, value in each.identity.items()
        }
        return {"samples": self.samples, "counts": self.interleaving.counts.tolist(), **parts}


class MixedEpoch:
    """Samples of one epoch of a `Mixture`, read by their positions in the order of the epoch.

    `first` is the number of samples in all epochs of the mixture before this one.
    """

    def __init__(
        self,
        sets: Sequence[ShardDataset],
        interleaving: Interleaving,
        first: int,
        skipped: SkippedCount,
    ) -> None:
        self._skipped = skipped
        self._sets = sets
        self._interleaving = interleaving
        self._first = first
        self._opened: RecentlyUsed[tuple[int, int], EpochSamples] = RecentlyUsed(2 * len(sets))

    def lengths(self, positions: IntArray) -> IntArray:
        """Return the token count of the sample at each position of the epoch, read from the shard
        indexes: int64.
        """
        lengths = np.empty_like(positions)
        for samples, here, inner in self._parts(positions):
            lengths[here] = samples.lengths(inner)
        return lengths

    def fields(self, positions: IntArray, most: IntArray | None) -> Mapping[str, Ragged]:
        """Return the inputs, labels and other fields of the samples at these positions of the
        epoch, by name: a row for each sample.

        `most` (positions,) is the number of tokens to which each sample is truncated before noise
        is drawn; None truncates nothing.
        """
        parts = [
            (here, samples.fields(inner, None if most is None else most[here]))
            for samples, here, inner in self._parts(positions)
        ]
        merged: dict[tuple[int, ...], RowMatrix] = {}  # labels may be the very inputs
        fields = {}
        for name in parts[0][1]:
            rows = [(here, values[name]) for here, values in parts]
            key = tuple(id(values) for _, values in rows)
            if key not in merged:
                merged[key] = _merged(rows, len(positions))
            fields[name] = merged[key]
        return fields

    def _parts(self, positions: IntArray) -> Iterator[tuple[EpochSamples, IntArray, IntArray]]:
        """Yield, for each epoch of a set that has some of these samples: that epoch, the indices in
        `positions` of its samples, and the positions of its samples in that epoch.

        `positions` count in the epoch of the mixture.
        """
        source, index = self._interleaving.at(self._first + positions)
        epoch, at = np.divmod(index, np.array([each.samples for each in self._sets])[source])
        for number, one in sorted(set(zip(source.tolist(), epoch.tolist(), strict=True))):
            here = np.flatnonzero((source == number) & (epoch == one))
            yield self._epoch(number, one), here, at[here]

    def _epoch(self, number: int, epoch: int) -> EpochSamples:
        """Return the samples of an epoch of set `number`; it is opened at the first call."""
        opened = self._opened.get((number, epoch))
        if opened is None:
            opened = self._sets[number].open_epoch(epoch, self._skipped)
            self._opened.put((number, epoch), opened)
        return opened


def _merged(parts: Sequence[tuple[IntArray, Ragged]], count: int) -> RowMatrix:
    """Return a matrix of `count` rows that is put together from parts: pairs of the indices of rows
    and those rows.
    """
    matrices = [matrix_of(rows) for _, rows in parts]
    width = max(matrix.shape[1] for matrix in matrices)
    merged = np.empty((count, width), np.result_type(*matrices))
    lengths = np.empty(count, np.int64)
    for (here, rows), matrix in zip(parts, matrices, strict=True):
        merged[:, : matrix.shape[1]][here] = matrix
        lengths[here] = rows.lengths
    return RowMatrix(merged, lengths)


def _counts(
    sizes: Sequence[int],
    weights: Sequence[float] | None,
    temperature: float | None,
    epochs: Sequence[float] | None,
) -> list[int]:
    """Return how often each set occurs in a period of the interleaving, after which the sequence of
    sets repeats.

    `sizes` is the number of samples of each set. Raises ValueError unless exactly one of the other
    arguments is given and valid.
    """
    given = {"weights": weights, "temperature": temperature, "epochs": epochs}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        raise ValueError(
            "Mixture: expected one of weights, temperature and epochs, got "
            f"{' and '.join(named) or 'none'}"
        )
    if temperature is not None:
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"Mixture: expected a temperature above 0, got {temperature}")
        largest = max(sizes)
        return shares([(size / largest) ** (1 / temperature) for size in sizes])
    numbers = list(weights if weights is not None else epochs or ())
    right = all(math.isfinite(number) and number >= 0 for number in numbers) and sum(numbers) > 0
    if len(numbers) != len(sizes) or not right:
        raise ValueError(
            f"Mixture: expected {named[0]} of at least 0, one for each of the {len(sizes)} sets, "
            "and one above 0, "
            f"got {numbers}"
        )
    if weights is not None:
        return shares(numbers)
    return [round(size * number) for size, number in zip(sizes, numbers, strict=True)]


def _check_sets(sets: Sequence[ShardDataset]) -> None:
    """Raise ValueError unless all sets have samples, equal batch settings, batches with the same
    tensors, and one vocabulary.
    """
    if not sets or min(each.samples for each in sets) == 0:
        raise ValueError(
            f"Mixture: expected sets with samples, got {[each.samples for each in sets]}"
        )
    for i, each in enumerate(sets[1:], start=1):
        if each.settings != sets[0].settings:
            raise ValueError(
                f"Mixture: expected set {i} to make batches as set 0 does, with "
                f"{sets[0].settings}, "
                f"got {each.settings}; give all sets the same batch settings"
            )
        if each.layout.form != sets[0].layout.form:
            raise ValueError(
                f"Mixture: expected set {i} to give batches of the form of set 0, "
                f"{sets[0].layout}, got {each.layout}; "
                "prefix and glm go with themselves alone, and padding side and decoder inputs must "
                "be the same"
            )
        if each.vocabulary != sets[0].vocabulary:
            raise ValueError(
                f"Mixture: expected the vocabulary of set 0 ({sets[0].url}), got another one in "
                f"set {i} ({each.url}); "
                "build all sets with one tokenizer"
            )
