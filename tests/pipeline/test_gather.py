import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.pipeline.gather import RowMatrix, RowTable, RowViews
from noisebeam.transforms.samples import Ragged, within

LISTS = st.lists(st.lists(st.integers(0, 999), max_size=9), min_size=1, max_size=9)


def ragged(lists: list[list[int]]) -> Ragged:
    return Ragged.of([np.array(row, np.uint16) for row in lists])


def lists_of(rows: Ragged) -> list[list[int]]:
    return [row.tolist() for row in rows.rows()]


@given(st.lists(LISTS, min_size=1, max_size=6), st.integers(1, 3), st.randoms(use_true_random=False))
def test_rows_of_blocks_are_those_that_were_put_last(blocks, slots, random):
    """Each block in an order of its own, in a slot that may be taken or one more than there was room for."""
    table, views, held = RowTable(slots), RowViews(slots), {}
    for block in blocks:
        slot, order = random.randrange(len(held) + 1), random.sample(range(len(block)), len(block))
        for rows in (table, views):
            rows.put(slot, ragged(block), np.array(order))
        held[slot] = [block[row] for row in order]
        wanted = [(slot, random.randrange(len(held[slot]))) for slot in random.choices(sorted(held), k=20)]
        at = tuple(np.array(numbers) for numbers in zip(*wanted, strict=True))
        expected = [held[slot][row] for slot, row in wanted]
        taken = table.take(*at)
        assert lists_of(taken) == lists_of(Ragged(taken.values, taken.offsets)) == expected
        assert [row.tolist() for row in views.take(*at)] == expected


def test_what_was_taken_from_a_table_stays_as_it_was():
    table, place = RowTable(1), (np.array([0]), np.array([0]))
    table.put(0, ragged([[5, 6]]), np.array([0]))
    taken = table.take(*place)
    table.put(0, ragged([[7]]), np.array([0]))
    assert (lists_of(taken), lists_of(table.take(*place))) == ([[5, 6]], [[7]])


@given(LISTS, st.integers(0, 9), st.integers(0, 12))
def test_a_matrix_of_rows_does_as_flat_rows_do(lists, first, more):
    table, numbers = RowTable(1), np.arange(len(lists))
    table.put(0, ragged(lists), numbers)
    first = min(first, len(lists))
    flat, part = (
        ragged(lists).between(first, first + more),
        table.take(0 * numbers, numbers).between(first, first + more),
    )
    assert isinstance(part, RowMatrix)
    assert lists_of(part) == lists_of(flat)
    for width in {int(flat.lengths.max(initial=0)), 40}:
        mask = within(flat.lengths, width)
        np.testing.assert_array_equal(part.padded(mask, -100), flat.padded(mask, -100))


@pytest.mark.parametrize("dtypes", [("uint16", "uint32"), ("uint16", "int32")])
def test_blocks_of_different_dtypes_keep_their_values(dtypes):
    table = RowTable(2)
    for slot, (top, dtype) in enumerate(zip((9, 70000), dtypes, strict=True)):
        table.put(slot, Ragged.of([np.array([top], dtype)]), np.array([0]))
    assert lists_of(table.take(np.array([0, 1]), np.array([0, 0]))) == [[9], [70000]]
