"""Rows of token ids -> the padded int64 tensors that a model takes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from noisebeam.transforms.samples import IntArray, Ragged

IGNORED = -100  # the label at which a loss does not look
Batch = dict[str, torch.Tensor]


def collate(fields: Mapping[str, Ragged], *, pad_id: int, multiple: int = 1) -> Batch:
    """The fields, each padded to its own longest row, and `attention_mask`, 0 exactly on the padding of `input_ids`.

    Widths are multiples of `multiple`. Padding is `pad_id` in `input_ids`, -100 in `labels` and 0 in other fields.

    >>> batch = collate({"input_ids": Ragged.of([np.array([0, 7, 2]), np.array([0, 2])]),
    ...                  "labels": Ragged.of([np.array([7]), np.array([8, 2])])}, pad_id=1)
    >>> batch["input_ids"].tolist(), batch["attention_mask"].tolist(), batch["labels"].tolist()
    ([[0, 7, 2], [0, 2, 1]], [[1, 1, 1], [1, 1, 0]], [[7, -100], [8, 2]])
    """
    fills = {"input_ids": pad_id, "labels": IGNORED}
    arrays = {name: pad(rows, fills.get(name, 0), multiple) for name, rows in fields.items()}
    width = arrays["input_ids"].shape[1]
    arrays["attention_mask"] = _within(fields["input_ids"], width).astype(np.int64)
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


def pad(rows: Ragged, fill: int, multiple: int = 1) -> IntArray:
    """(rows, width) int64: the rows, filled up at their ends.

    >>> pad(Ragged.of([np.array([5]), np.array([6, 7])]), fill=0, multiple=4).tolist()
    [[5, 0, 0, 0], [6, 7, 0, 0]]
    """
    width = -(-int(rows.lengths.max(initial=0)) // multiple) * multiple
    padded = np.full((len(rows.lengths), width), fill, dtype=np.int64)
    padded[_within(rows, width)] = rows.values
    return padded


def _within(rows: Ragged, width: int) -> npt.NDArray[np.bool_]:
    """(rows, width): where a row has values."""
    return np.arange(width, dtype=np.uint32) < rows.lengths[:, None].astype(np.uint32)
