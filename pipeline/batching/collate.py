"""Rows of token ids -> the padded int64 tensors that a model takes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from noisebeam.transforms.data.ragged import Ragged

IGNORED = -100  # the label at which a loss does not look
Batch = dict[str, torch.Tensor]


def collate(fields: Mapping[str, Ragged], *, pad_id: int, multiple: int = 1) -> Batch:
    """The fields, each padded to its own longest row, and `attention_mask`, 0 exactly on the
    padding of `input_ids`.

    Widths are multiples of `multiple`. Padding is `pad_id` in `input_ids`, -100 in `labels` and 0
    in other fields.

    >>> batch = collate({"input_ids": Ragged.of([np.array([0, 7, 2]), np.array([0, 2])]),
    ...                  "labels": Ragged.of([np.array([7]), np.array([8, 2])])}, pad_id=1)
    >>> batch["input_ids"].tolist(), batch["attention_mask"].tolist(), batch["labels"].tolist()
    ([[0, 7, 2], [0, 2, 1]], [[1, 1, 1], [1, 1, 0]], [[7, -100], [8, 2]])
    """
    batch = {}
    for name, rows in fields.items():
        mask = rows.mask(_width(rows, multiple))
        batch[name] = torch.from_numpy(rows.padded(mask, _fill(name, pad_id)))
        if name == "input_ids":
            batch["attention_mask"] = torch.from_numpy(mask.astype(np.int64))
    return batch


def prepare(fields: Mapping[str, Ragged], *, pad_id: int) -> None:
    """Do what can be done ahead of `collate`, for the rows of many batches at once."""
    for name, rows in fields.items():
        rows.fill_up(_fill(name, pad_id))


def _fill(name: str, pad_id: int) -> int:
    """What a field is padded with."""
    return {"input_ids": pad_id, "labels": IGNORED}.get(name, 0)


def _width(rows: Ragged, multiple: int) -> int:
    return -(-rows.longest // multiple) * multiple
