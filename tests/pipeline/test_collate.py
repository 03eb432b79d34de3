import numpy as np
import pytest
import torch

from noisebeam.pipeline.collate import collate, pad
from noisebeam.transforms.samples import Ragged, offsets_of


def ragged(*rows: list[int], dtype: str = "uint16") -> Ragged:
    values = np.array([value for row in rows for value in row], dtype=dtype)
    return Ragged(values, offsets_of(np.array([len(row) for row in rows])))


INPUTS = ragged([0, 7, 2], [0, 5, 6, 7, 2], [])
LABELS = ragged([0, 7, 8, 2], [0, 2], [2], dtype="int32")


def test_rows_are_padded_at_their_ends_each_field_to_its_own_longest():
    batch = collate({"input_ids": INPUTS, "labels": LABELS}, 0, 3, pad_id=1)
    assert batch["input_ids"].tolist() == [[0, 7, 2, 1, 1], [0, 5, 6, 7, 2], [1, 1, 1, 1, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
    assert batch["labels"].tolist() == [[0, 7, 8, 2], [0, 2, -100, -100], [2, -100, -100, -100]]
    assert {values.dtype for values in batch.values()} == {torch.int64}


def test_the_mask_is_not_fooled_by_the_padding_id_inside_a_row():
    rows = ragged([1, 1, 1], [1])
    assert collate({"input_ids": rows, "labels": rows}, 0, 2, pad_id=1)["attention_mask"].tolist() == [
        [1, 1, 1],
        [1, 0, 0],
    ]


def test_a_part_of_the_rows_is_padded_to_the_longest_of_that_part():
    batch = collate({"input_ids": INPUTS, "labels": LABELS}, 0, 1, pad_id=1)
    assert batch["input_ids"].tolist() == [[0, 7, 2]]


@pytest.mark.parametrize(("multiple", "width"), [(1, 5), (4, 8), (5, 5), (8, 8)])
def test_widths_are_multiples(multiple, width):
    assert pad(INPUTS, 0, 3, fill=1, multiple=multiple).shape == (3, width)


def test_rows_without_tokens_make_an_empty_batch():
    assert pad(ragged([], []), 0, 2, fill=1).shape == (2, 0)


def test_large_ids_stay():
    rows = ragged([2**31 - 1], dtype="uint32")
    assert pad(rows, 0, 1, fill=0).tolist() == [[2**31 - 1]]
