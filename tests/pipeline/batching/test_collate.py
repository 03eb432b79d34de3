import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.pipeline.batching.collate import Batch, collate
from noisebeam.transforms.data.ragged import Ragged, within


def rows(*values: list[int], dtype: str = "uint16") -> Ragged:
    return Ragged.of([np.array(row, dtype=dtype) for row in values])


INPUTS = rows([0, 7, 2], [0, 5, 6, 7, 2], [])
LABELS = rows([0, 7, 8, 2], [0, 2], [2], dtype="int32")


def collated(inputs: Ragged, labels: Ragged) -> Batch:
    return collate({"input_ids": inputs, "labels": labels}, pad_id=1)


def test_rows_are_padded_at_their_ends_each_field_to_its_own_longest():
    batch = collated(INPUTS, LABELS)
    assert batch["input_ids"].tolist() == [[0, 7, 2, 1, 1], [0, 5, 6, 7, 2], [1, 1, 1, 1, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
    assert batch["labels"].tolist() == [[0, 7, 8, 2], [0, 2, -100, -100], [2, -100, -100, -100]]
    assert {values.dtype for values in batch.values()} == {torch.int64}


def test_the_mask_is_not_fooled_by_the_padding_id_inside_a_row():
    ids = rows([1, 1, 1], [1])
    assert collated(ids, ids)["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


@given(st.lists(st.integers(0, 40)), st.integers(0, 40))
def test_a_mask_is_true_where_a_row_has_values(lengths, width):
    mask = within(np.array(lengths, dtype=np.int64), width)
    assert mask.tolist() == [[place < length for place in range(width)] for length in lengths]


def test_labels_that_are_ignored_stay():
    labels = rows([-100, 8, -100], dtype="int32")
    assert collated(labels, labels)["labels"].tolist() == [[-100, 8, -100]]


@pytest.mark.parametrize(("multiple", "width"), [(1, 5), (4, 8), (5, 5), (8, 8)])
def test_widths_are_multiples(multiple, width):
    batch = collate({"input_ids": INPUTS}, pad_id=1, multiple=multiple)
    assert batch["input_ids"].shape == (3, width)


def test_rows_without_tokens_make_an_empty_batch():
    assert collate({"input_ids": rows([], [])}, pad_id=1)["input_ids"].shape == (2, 0)
    assert collate({"input_ids": rows()}, pad_id=1)["input_ids"].shape == (0, 0)


def test_other_fields_are_padded_with_zeros():
    fields = {"input_ids": rows([5, 6], [7]), "position_ids": rows([0, 1], [0])}
    assert collate(fields, pad_id=9)["position_ids"].tolist() == [[0, 1], [0, 0]]


def test_large_ids_stay():
    batch = collate({"input_ids": rows([2**31 - 1], dtype="uint32")}, pad_id=0)
    assert batch["input_ids"].tolist() == [[2**31 - 1]]
