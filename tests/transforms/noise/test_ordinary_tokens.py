"""Which tokens may be noised, and the ids that may be drawn."""

from __future__ import annotations

import numpy as np
import pytest

from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.ordinary_tokens import (
    budgets,
    is_special,
    ordinary_id_count,
    ordinary_ids,
    ordinary_tokens,
    special_runs,
)


def test_special_tokens_are_found_anywhere(make_batch, vocabulary) -> None:
    ordinary = ordinary_tokens(make_batch([[[5, 3, 6]], [], [[98, 7]]]), vocabulary)
    assert ordinary.counts.tolist() == [2, 0, 1]
    assert ordinary.positions(np.array([0, 1, 2])).tolist() == [1, 3, 9]


@pytest.mark.parametrize(
    ("sample", "scattered"), [([[5, 6]], False), ([[3, 5, 6]], False), ([[5, 3, 6]], True)]
)
def test_scattered_tells_of_special_tokens_between_ordinary_ones(
    make_batch, vocabulary, sample, scattered
) -> None:
    assert ordinary_tokens(make_batch([[], sample, [[5]]]), vocabulary).scattered is scattered


def test_prefix_and_suffix_are_special_even_if_not_listed() -> None:
    assert special_runs(Vocabulary(size=10, prefix=(4,), suffix=(7, 8))) == ((4, 4), (7, 8))


def test_many_runs_of_special_ids_give_the_same_as_few() -> None:
    many = Vocabulary(size=100, special_ids=tuple(range(0, 100, 3)))
    ids = np.arange(100)
    assert is_special(ids, many).tolist() == [id_ % 3 == 0 for id_ in range(100)]
    assert ordinary_ids(np.arange(ordinary_id_count(many)), many).tolist() == [
        id_ for id_ in range(100) if id_ % 3
    ]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_any_integer_dtype_will_do(vocabulary, dtype) -> None:
    assert is_special(np.array([2, 4, 89, 90], dtype=dtype), vocabulary).tolist() == [
        True,
        False,
        False,
        True,
    ]


def test_ids_up_to_the_largest_of_31_bits() -> None:
    huge = Vocabulary(size=2**31, special_ids=(0, 2**31 - 1))
    assert is_special(np.array([0, 1, 2**31 - 2, 2**31 - 1], dtype=np.int32), huge).tolist() == [
        True,
        False,
        False,
        True,
    ]
    assert ordinary_ids(np.array([ordinary_id_count(huge) - 1]), huge).tolist() == [2**31 - 2]


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [
        (10, 0.15, 2),
        (9, 0.15, 1),
        (510, 0.3, 153),
        (5, 0.3, 2),
        (7, 0.0, 0),
        (7, 1.0, 7),
        (0, 0.5, 0),
        (1, 0.5, 1),
    ],
)
def test_budgets_round_to_the_nearest_and_halves_upwards(count, share, expected) -> None:
    assert budgets(np.array([count]), share).tolist() == [expected]
