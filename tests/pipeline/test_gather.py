import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.pipeline.gather import Column, RowMatrix, gather
from noisebeam.transforms.samples import Ragged, within

LISTS = st.lists(st.lists(st.integers(0, 999), max_size=9), min_size=1, max_size=9)


def ragged(lists: list[list[int]]) -> Ragged:
    return Ragged.of([np.array(row, np.uint16) for row in lists])


def lists_of(rows: Ragged) -> list[list[int]]:
    return [row.tolist() for row in rows.rows()]


@given(st.lists(LISTS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_rows_of_blocks_in_any_order_are_those_taken_one_by_one(blocks, random):
    """Each block in an order of its own, its rows taken any number of times and put anywhere."""
    orders = [random.sample(range(len(block)), len(block)) for block in blocks]
    wanted = [(b, random.randrange(len(block))) for b, block in enumerate(blocks) for _ in range(2 * len(block))]
    random.shuffle(wanted)
    parts = []
    for b, (block, order) in enumerate(zip(blocks, orders, strict=True)):
        to = np.array([at for at, (of, _) in enumerate(wanted) if of == b])
        parts.append((to, Column.of(ragged(block), np.array(order)), np.array([wanted[at][1] for at in to])))
    rows = gather(parts, len(wanted))
    expected = [blocks[b][orders[b][row]] for b, row in wanted]
    assert lists_of(rows) == expected
    assert lists_of(Ragged(rows.values, rows.offsets)) == expected


@given(LISTS, st.integers(0, 9), st.integers(0, 12))
def test_a_matrix_of_rows_does_as_flat_rows_do(lists, first, more):
    flat, column = ragged(lists), Column.of(ragged(lists), np.arange(len(lists)))
    matrix = gather([(np.arange(len(lists)), column, np.arange(len(lists)))], len(lists))
    first = min(first, len(lists))
    flat, part = flat.between(first, first + more), matrix.between(first, first + more)
    assert isinstance(part, RowMatrix)
    assert lists_of(part) == lists_of(flat)
    for width in {int(flat.lengths.max(initial=0)), 40}:
        mask = within(flat.lengths, width)
        np.testing.assert_array_equal(part.padded(mask, -100), flat.padded(mask, -100))


@pytest.mark.parametrize("dtypes", [("uint16", "uint32"), ("uint16", "int32")])
def test_blocks_of_different_dtypes_keep_their_values(dtypes):
    columns = [
        Column.of(Ragged.of([np.array([top], dtype)]), np.array([0]))
        for top, dtype in zip((9, 70000), dtypes, strict=True)
    ]
    rows = gather([(np.array([at]), column, np.array([0])) for at, column in enumerate(columns)], 2)
    assert lists_of(rows) == [[9], [70000]]
