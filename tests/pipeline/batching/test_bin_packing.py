import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.pipeline.batching.bin_packing import pack_best_fit


def rows_of(lengths, capacity) -> list[list[int]]:
    rows = pack_best_fit(np.array(lengths, dtype=np.uint16), capacity)
    return [rows.row(i).tolist() for i in range(len(rows.offsets) - 1)]


def slow_best_fit(lengths: list[int], capacity: int) -> list[list[int]]:
    """The fullest row that fits, the one that came to be so last; O(n**2)."""
    rows: list[list[int]] = []
    changed: list[int] = []
    for step, i in enumerate(sorted(range(len(lengths)), key=lambda i: -lengths[i])):
        rooms = [capacity - sum(lengths[j] for j in row) for row in rows]
        fitting = [row for row in range(len(rows)) if rooms[row] >= lengths[i]]
        if fitting:
            row = min(fitting, key=lambda row: (rooms[row], -changed[row]))
            rows[row].append(i)
            changed[row] = step
        else:
            rows.append([i])
            changed.append(step)
    return [sorted(row) for row in sorted(rows)]


@given(st.lists(st.integers(1, 64), max_size=60), st.integers(64, 150))
def test_rows_are_those_of_the_obvious_algorithm(lengths, capacity):
    assert rows_of(lengths, capacity) == slow_best_fit(lengths, capacity)


@given(st.lists(st.integers(1, 64), max_size=200), st.integers(64, 300))
def test_each_sample_is_in_one_row_and_no_row_is_too_long(lengths, capacity):
    rows = rows_of(lengths, capacity)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in row) <= capacity for row in rows)
    assert sum(sum(lengths[i] for i in row) * 2 <= capacity for row in rows) <= 1


def test_golden_rows():
    assert rows_of([5, 9, 3, 1, 6, 2, 4, 10], 10) == [[0, 2, 5], [1, 3], [4, 6], [7]]


@pytest.mark.parametrize(("lengths", "got"), [([4, 9, 2], "2 to 9"), ([0, 3], "0 to 3")])
def test_samples_that_do_not_fit_are_an_error(lengths, got):
    with pytest.raises(
        ValueError, match=f"expected samples of 1 to 8 tokens, got {got}; take longer rows"
    ):
        pack_best_fit(np.array(lengths), 8)
