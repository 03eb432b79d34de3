"""Padding: ragged rows of token ids become the int64 tensors that a model takes.

input_ids  5 6 7 | 8        ->  input_ids      5 6 7     attention_mask  1 1 1
(a row a sample)                               8 1 1                     1 0 0
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from noisebeam.transforms.data.ragged import Ragged
from noisebeam.transforms.noise.labels import IGNORED

Batch = dict[str, torch.Tensor]


def collate(fields: Mapping[str, Ragged], *, pad_id: int, multiple: int = 1) -> Batch:
    """Return each field as a padded int64 tensor (rows, width), and `attention_mask` (rows, width).

    `fields` has ragged rows by name, among them `input_ids`. A field is as wide as its own longest
    row, rounded up to a multiple of `multiple`. The padding is `pad_id` in `input_ids`, -100 in
    `labels` and 0 in other fields. The mask is 0 on the padding of `input_ids`, else 1.

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
    """Write the padding behind the end of the rows of many batches at once, so that `collate` only
    has to copy. Modifies `fields`.
    """
    for name, rows in fields.items():
        rows.fill_up(_fill(name, pad_id))


def _fill(name: str, pad_id: int) -> int:
    """Return the padding value of a field, given its name: `pad_id` for `input_ids`, -100 for
    `labels`, 0 for others.
    """
    return {"input_ids": pad_id, "labels": IGNORED}.get(name, 0)


def _width(rows: Ragged, multiple: int) -> int:
    """Return the length of the longest row, rounded up to a multiple of `multiple`."""
    return -(-rows.longest // multiple) * multiple
