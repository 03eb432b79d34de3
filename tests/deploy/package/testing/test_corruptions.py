"""Built-in corruptions obey the laws; a broken corruption is told which law it breaks."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from noisebeam.testing import BrokenLawError, check_corruption
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import samples_between
from noisebeam.transforms.noise.corruption import NEW, Change, Trace
from noisebeam.transforms.noise.registry import built_in_corruptions, read_corruption


@pytest.mark.parametrize("name", sorted(built_in_corruptions()))
def test_built_in_corruptions_obey_the_laws(name: str) -> None:
    check_corruption(built_in_corruptions()[name]())


@pytest.mark.parametrize("entry", ["token-deletion", {"token-masking": {"share": 0.9}}])
def test_the_laws_hold_for_a_corruption_read_from_a_recipe(entry: object) -> None:
    check_corruption(read_corruption(entry), examples=30)


@dataclass(frozen=True)
class Broken:
    """A corruption that applies a function to the batch."""

    name: ClassVar[str] = "broken"

    function: Callable[[FlatBatch], object]

    def check(self, vocabulary: Vocabulary) -> None:
        """Accept any vocabulary."""

    def apply(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> FlatBatch:
        """Return what the function returns."""
        return self.function(batch)  # type: ignore[return-value]


def unchanged(batch: FlatBatch) -> FlatBatch:
    return batch


def nothing(batch: FlatBatch) -> None:
    return None


def failing(batch: FlatBatch) -> FlatBatch:
    raise IndexError("index 5 is out of bounds")


def in_place(batch: FlatBatch) -> FlatBatch:
    batch.ids[1:2] = 3
    return batch


def without_the_last_sample(batch: FlatBatch) -> FlatBatch:
    return samples_between(batch, 0, len(batch) - 1)


def ids_too_large(batch: FlatBatch) -> FlatBatch:
    return replace(batch, ids=batch.ids + 100)


def reversed_ids(batch: FlatBatch) -> FlatBatch:
    return replace(batch, ids=batch.ids[::-1].copy())


def drawn_globally(batch: FlatBatch) -> FlatBatch:
    ids = batch.ids.copy()
    ids[1:-1] = [random.randrange(4, 100) for _ in ids[1:-1]]
    starts, ends = batch.offsets[:-1], batch.offsets[1:] - 1
    ids[starts], ids[ends] = 0, 2
    return replace(batch, ids=ids)


def numbered_through_the_batch(batch: FlatBatch) -> FlatBatch:
    ids = 4 + np.arange(len(batch.ids)) % 100
    ids[batch.offsets[:-1]], ids[batch.offsets[1:] - 1] = 0, 2
    return replace(batch, ids=ids)


def sentences_elsewhere(batch: FlatBatch) -> FlatBatch:
    return replace(batch, sentence_ends=batch.sentence_ends + 1000)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (nothing, "the same samples, with valid offsets and ids: expected a valid batch, got "
         "expected a FlatBatch, got NoneType"),
        (failing, "apply to any batch: expected no error, got IndexError: index 5 is out of"),
        (in_place, "the input is not modified: expected no change"),
        (without_the_last_sample, "the same samples, with valid offsets and ids: expected a valid "
         "batch, got expected the same 1 samples, got 0"),
        (ids_too_large, "got expected ids from 0 to 127, got"),
        (reversed_ids, "prefix and suffix stay: expected [0, '...', 2]"),
        (drawn_globally, "the same bits in every call: expected"),
        (numbered_through_the_batch, "the same bits in any batch: expected"),
        (sentences_elsewhere, "sentence ends ascend within their sample: expected"),
    ],
)  # fmt: skip
def test_a_broken_corruption_is_told_its_law_in_one_line(
    function: Callable[[FlatBatch], FlatBatch], text: str
) -> None:
    with pytest.raises(BrokenLawError) as caught:
        check_corruption(Broken(function))
    assert text in str(caught.value)
    assert str(caught.value).startswith("broken: ")
    assert "input: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_corruption_without_name_is_refused() -> None:
    class Nameless:
        def check(self, vocabulary: Vocabulary) -> None: ...

    with pytest.raises(BrokenLawError, match=r"^Nameless: a frozen dataclass with a name of its"):
        check_corruption(Nameless())  # type: ignore[arg-type]


@dataclass(frozen=True)
class Strict(Broken):
    """A corruption that accepts no vocabulary."""

    def check(self, vocabulary: Vocabulary) -> None:
        """Refuse any vocabulary."""
        raise ValueError("no mask token")


def test_a_vocabulary_that_is_refused_is_told() -> None:
    text = "broken: check accepts the vocabulary: expected no error, got ValueError: no mask token"
    with pytest.raises(BrokenLawError, match=text):
        check_corruption(Strict(unchanged))


@dataclass(frozen=True)
class Traced(Broken):
    """A corruption with a trace."""

    origins: Callable[[FlatBatch], list[int]]

    def trace(self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int) -> Trace:
        """Return the origins that the function returns."""
        return Trace(np.array(self.origins(batch), dtype=np.int64), new=(Change.RANDOM,))


def none_left(batch: FlatBatch) -> list[int]:
    return []


def all_from_the_first(batch: FlatBatch) -> list[int]:
    return [0] * len(batch.ids)


def all_new(batch: FlatBatch) -> list[int]:
    return [NEW] * len(batch.ids)


@pytest.mark.parametrize(
    ("origins", "text"),
    [
        (none_left, "an origin for each token, within the sample: expected 8 origins, got []"),
        (all_from_the_first, "each token is the token at its origin"),
        (all_new, "a change for each new token: expected 8, got 1"),
    ],
)
def test_a_broken_trace_is_told(origins: Callable[[FlatBatch], list[int]], text: str) -> None:
    with pytest.raises(BrokenLawError) as caught:
        check_corruption(Traced(unchanged, origins))
    assert text in str(caught.value)
