"""Attention masks as numpy arrays: True where a query (row) may see a key (column)."""

from __future__ import annotations

import numpy as np

from noisebeam.transforms.data.ragged import IntArray, Mask


def causal(size: int, *, strict: bool = False) -> Mask:
    """Return a bool mask (size, size) in which each position sees itself and those before it.

    If `strict` is True, a position sees only those before it. Entry [i, j] is True if position i
    sees position j.

    >>> causal(3).astype(int).tolist()
    [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    """
    return np.tri(size, k=-1 if strict else 0, dtype=np.bool_)


def prefix(lengths: IntArray, size: int) -> Mask:
    """Return a bool mask (rows, size, size) in which all positions of a row see the prefix of the
    row.

    `lengths` (rows,) are the lengths of the prefixes. Positions behind the prefix also see
    themselves and the positions before them.

    >>> prefix(np.array([2]), 3).astype(int).tolist()
    [[[1, 1, 0], [1, 1, 0], [1, 1, 1]]]
    """
    # (rows, 1, size) keys in the prefix | (size, size) causal -> (rows, size, size)
    return (np.arange(size) < lengths[:, None])[:, None] | causal(size)


def packed(documents: IntArray) -> Mask:
    """Return a bool mask (rows, size, size) in which each position sees the positions of its own
    document.

    `documents` (rows, size) has the number of the document at each position of a row; a negative
    number is padding, which sees nothing and is not seen.

    >>> packed(np.array([[0, 1, 1, -1]])).astype(int).tolist()
    [[[1, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]]
    """
    # (rows, size, 1) queries == (rows, 1, size) keys -> (rows, size, size)
    same: Mask = documents[:, :, None] == documents[:, None, :]
    same &= (documents >= 0)[:, None]  # in place: a second array of this size takes as long
    return same
