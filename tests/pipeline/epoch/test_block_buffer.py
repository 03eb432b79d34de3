from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.pipeline.epoch.block_buffer import RowMatrix, RowTable
from noisebeam.transforms.data.ragged import Ragged, within
from noisebeam.transforms.shards.reader import ShardError

LISTS = st.lists(st.lists(st.integers(0, 999), max_size=9), min_size=1, max_size=9)


def ragged(lists: list[list[int]]) -> Ragged:
    return Ragged.of([np.array(row, np.uint16) for row in lists])


def put(held: RowTable, slot: int, rows: Ragged, order: list[int]) -> None:
    """Bring rows into a slot as they are read from a file: as bytes."""
    (memory,) = held.room([slot], [rows.values.nbytes])
    memory[:] = rows.values.view(np.uint8)
    held.put(slot, {"ids": Ragged(memory.view(rows.values.dtype), rows.offsets)}, np.array(order))


def take(held: RowTable, slots: list[int], rows: list[int]) -> Any:
    return held.take(np.array(slots), np.array(rows))["ids"]


def lists_of(rows: Ragged) -> list[list[int]]:
    return [row.tolist() for row in rows.rows()]


@given(
    st.lists(LISTS, min_size=1, max_size=6), st.integers(1, 3), st.randoms(use_true_random=False)
)
def test_rows_of_blocks_are_those_that_were_put_last(blocks, slots, random):
    """Each block in an order of its own, in a slot that may be taken or one more than there was
    room for.
    """
    table, held = RowTable(slots), {}
    for block in blocks:
        slot, order = random.randrange(len(held) + 1), random.sample(range(len(block)), len(block))
        put(table, slot, ragged(block), order)
        held[slot] = [block[row] for row in order]
        wanted = [
            (slot, random.randrange(len(held[slot]))) for slot in random.choices(sorted(held), k=20)
        ]
        at = tuple(map(list, zip(*wanted, strict=True)))
        expected = [held[slot][row] for slot, row in wanted]
        taken = take(table, *at)
        assert lists_of(taken) == lists_of(Ragged(taken.values, taken.offsets)) == expected


def test_what_was_taken_from_a_table_stays_as_it_was():
    table = RowTable(1)
    put(table, 0, ragged([[5, 6]]), [0])
    taken = take(table, [0], [0])
    put(table, 0, ragged([[7]]), [0])
    assert (lists_of(taken), lists_of(take(table, [0], [0]))) == ([[5, 6]], [[7]])


@given(LISTS, st.sets(st.integers(1, 9)), st.sampled_from([None, 7, -100]))
def test_a_matrix_of_rows_does_as_flat_rows_do(lists, cuts, behind):
    table, numbers = RowTable(1), list(range(len(lists)))
    put(table, 0, ragged(lists), numbers)
    bounds = np.array([0, *sorted(cut for cut in cuts if cut < len(lists)), len(lists)])
    flat, matrix = ragged(lists), take(table, [0] * len(lists), numbers)
    if behind is not None:
        matrix.fill_up(behind)  # which its dtype may not have
    for rows, part in zip(
        [flat, *flat.split(bounds)], [matrix, *matrix.split(bounds)], strict=True
    ):
        assert isinstance(part, RowMatrix)
        assert lists_of(part) == lists_of(rows)
        assert part.longest == rows.longest == max(map(len, lists_of(rows)))
        for width in (part.longest, 40):
            mask = part.mask(width)
            np.testing.assert_array_equal(mask, within(rows.lengths, width))
            for fill in (7, -100):
                np.testing.assert_array_equal(part.padded(mask, fill), rows.padded(mask, fill))


def test_blocks_of_different_dtypes_are_an_error():
    table = RowTable(2)
    put(table, 0, Ragged.of([np.array([9], np.uint16)]), [0])
    with pytest.raises(
        ShardError,
        match="expected ids as uint16 in all shards, got int32; build them again together",
    ):
        put(table, 1, Ragged.of([np.array([70000], np.int32)]), [0])
