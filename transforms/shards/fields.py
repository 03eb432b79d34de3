"""Fields of a shard: which arrays a block stores, and which are omitted because they equal another
array.

Without this, a corpus with baked noise would be a half larger: the labels of a denoising objective
are the clean ids. What is omitted is the same for the whole shard, and follows from the arrays that
are there:

- `ids` and `lengths`, if `labels` are the clean ids; `sentence_lengths` then refer to the labels.
- `label_lengths`, if they equal `input_lengths`, or `lengths` if those are omitted too.
- `input_lengths`, if they equal `lengths`.
- In the classic form, with one sample a block, all lengths: a member is a row.

A reader of plain `.npy` members always finds `input_ids` and `labels` in a shard with baked noise.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from noisebeam.transforms.data.ragged import Array, Ragged

LENGTHS = {
    "ids": "lengths",
    "sentence_lengths": "sentence_counts",
    "head_lengths": "sentence_counts",
    "alternative_lengths": "sentence_counts",
    "alternatives": "alternative_lengths",
    "input_ids": "input_lengths",
    "labels": "label_lengths",
    "position_ids": "input_lengths",
    "block_position_ids": "input_lengths",
}
"""Array with the row lengths of each field: a number a sample (`alternatives`: a sentence)."""

_SAME_LENGTHS = {
    "lengths": ("label_lengths", "input_lengths"),
    "input_lengths": ("lengths",),
    "label_lengths": ("input_lengths", "lengths"),
}


Column = Array | Ragged  # an item a sample, or a row a sample


def redundant_fields(
    columns: Mapping[str, Column], dtypes: Mapping[str, np.dtype[np.generic]]
) -> set[str]:
    """Return the names of the arrays that a shard omits, given all arrays of its samples and their
    dtypes.

    >>> n = np.array([2, 1])
    >>> ids, noised = np.array([5, 6, 7]), np.array([5, 9, 7])
    >>> columns = {"sentence_lengths": np.array([2, 1]), "ids": ids, "lengths": n,
    ...            "input_ids": noised, "input_lengths": n, "labels": ids, "label_lengths": n}
    >>> sorted(redundant_fields(columns, dict.fromkeys(columns, np.dtype("u2"))))
    ['ids', 'label_lengths', 'lengths']
    """

    def same(first: str, second: str) -> bool:
        there = first in columns and second in columns and dtypes[first] == dtypes[second]
        return there and np.array_equal(_flat(columns[first]), _flat(columns[second]))

    out = set()
    if same("lengths", "label_lengths") and "sentence_lengths" in columns and same("ids", "labels"):
        out |= {"ids", "lengths"}
    elif same("input_lengths", "lengths"):
        out.add("input_lengths")
    if same("label_lengths", "input_lengths"):
        out.add("label_lengths")
    return out


def fields_of(arrays: Collection[str]) -> tuple[str, ...]:
    """Return the names of the fields of samples, given the names of the arrays that their blocks
    store.

    >>> fields_of(["keys", "labels", "label_lengths", "sentence_lengths"])
    ('ids', 'sentence_lengths', 'labels')
    """
    return tuple(name for name in LENGTHS if stored_field(name, arrays) in arrays)


def stored_field(field: str, arrays: Collection[str]) -> str:
    """Return the name of the array that stores a field, given the names of all stored arrays."""
    labels_are_ids = field == "ids" and "ids" not in arrays and "sentence_lengths" in arrays
    return "labels" if labels_are_ids else field


def stored_lengths(field: str, arrays: Collection[str]) -> str | None:
    """Return the name of the array that stores the row lengths of a field; None if each block has
    one row, so that lengths are omitted.

    >>> stored_lengths("labels", ["lengths", "ids", "input_ids", "labels"])
    'lengths'
    """
    own = LENGTHS[stored_field(field, arrays)]
    return next((name for name in (own, *_SAME_LENGTHS.get(own, ())) if name in arrays), None)


def _flat(column: Column) -> Array:
    """Return the flat values of a column: an array, or the values of a ragged array."""
    return column.values if isinstance(column, Ragged) else column
