"""Rows of token ids -> the padded int64 tensors that a model takes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch

from noisebeam.transforms.samples import IntArray, Ragged

IGNORED = -100  # the label at which a loss does not look
Batch = dict[str, torch.Tensor]


def collate(fields: Mapping[str, Ragged], start: int, end: int, *, pad_id: int, multiple: int = 1) -> Batch:
    """Rows `start` up to `end` of `input_ids` and `labels`, each padded to its own longest row.

    Widths are multiples of `multiple`. `attention_mask` is 0 exactly on padding, and labels are -100 there.

    >>> rows = Ragged(np.array([0, 7, 2, 0, 2]), np.array([0, 3, 5]))
    >>> batch = collate({"input_ids": rows, "labels": rows}, 0, 2, pad_id=1)
    >>> batch["input_ids"].tolist(), batch["attention_mask"].tolist(), batch["labels"].tolist()
    ([[0, 7, 2], [0, 2, 1]], [[1, 1, 1], [1, 1, 0]], [[0, 7, 2], [0, 2, -100]])
    """
    inputs, labels = fields["input_ids"], fields["labels"]
    input_ids = pad(inputs, start, end, pad_id, multiple)
    lengths = np.diff(inputs.offsets[start : end + 1])
    mask = (np.arange(input_ids.shape[1]) < lengths[:, None]).astype(np.int64)
    return {
        "input_ids": torch.from_numpy(input_ids),
        "attention_mask": torch.from_numpy(mask),
        "labels": torch.from_numpy(pad(labels, start, end, IGNORED, multiple)),
    }


def pad(rows: Ragged, start: int, end: int, fill: int, multiple: int = 1) -> IntArray:
    """(rows, width) int64: rows `start` up to `end`, filled up at their ends.

    >>> pad(Ragged(np.array([5, 6, 7]), np.array([0, 1, 3])), 0, 2, fill=0, multiple=4).tolist()
    [[5, 0, 0, 0], [6, 7, 0, 0]]
    """
    offsets = rows.offsets[start : end + 1].tolist()
    longest = max((after - before for before, after in pairwise(offsets)), default=0)
    padded = np.full((end - start, -(-longest // multiple) * multiple), fill, dtype=np.int64)
    for row, (before, after) in zip(padded, pairwise(offsets), strict=True):
        row[: after - before] = rows.values[before:after]
    return padded
