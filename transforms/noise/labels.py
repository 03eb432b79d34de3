"""Labels of single tokens: the id of a token that the loss predicts, -100 for other tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray, Ragged
from noisebeam.transforms.data.samples import FlatBatch

IGNORED = -100  # label of a token that the loss ignores


def label_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of labels that may be -100, for ids of `dtype`: int32, or int64 if int32
    cannot hold the ids.
    """
    return np.dtype(np.int64 if dtype.itemsize > 4 or dtype == np.uint32 else np.int32)


def labels_at(batch: FlatBatch, positions: IntArray) -> Ragged:
    """Return labels of a flat batch, a row for each sample: the id at the given `positions` in
    `batch.ids`, -100 elsewhere.
    """
    labels: Array = np.full(len(batch.ids), IGNORED, dtype=label_dtype(batch.ids.dtype))
    labels[positions] = batch.ids[positions]
    return Ragged(labels, batch.offsets)
