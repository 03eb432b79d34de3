"""Rows of token ids -> the padded int64 tensors that a model takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from noisebeam.transforms.samples import Array, IntArray

IGNORED = -100  # the label at which a loss does not look
Batch = dict[str, torch.Tensor]


def collate(input_ids: Sequence[Array], labels: Sequence[Array], *, pad_id: int, multiple: int = 1) -> Batch:
    """`input_ids` and `labels`, each padded to its own longest row, and `attention_mask`, 0 exactly on padding.

    Widths are multiples of `multiple`. Labels are -100 on padding.

    >>> batch = collate([np.array([0, 7, 2]), np.array([0, 2])], [np.array([7]), np.array([8, 2])], pad_id=1)
    >>> batch["input_ids"].tolist(), batch["attention_mask"].tolist(), batch["labels"].tolist()
    ([[0, 7, 2], [0, 2, 1]], [[1, 1, 1], [1, 1, 0]], [[7, -100], [8, 2]])
    """
    inputs = pad(input_ids, pad_id, multiple)
    lengths = np.fromiter(map(len, input_ids), dtype=np.uint32, count=len(input_ids))
    mask = (np.arange(inputs.shape[1], dtype=np.uint32) < lengths[:, None]).astype(np.int64)
    return {
        "input_ids": torch.from_numpy(inputs),
        "attention_mask": torch.from_numpy(mask),
        "labels": torch.from_numpy(pad(labels, IGNORED, multiple)),
    }


def pad(rows: Sequence[Array], fill: int, multiple: int = 1) -> IntArray:
    """(rows, width) int64: the rows, filled up at their ends.

    >>> pad([np.array([5]), np.array([6, 7])], fill=0, multiple=4).tolist()
    [[5, 0, 0, 0], [6, 7, 0, 0]]
    """
    width = max(map(len, rows), default=0)
    padded = np.full((len(rows), -(-width // multiple) * multiple), fill, dtype=np.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded
