"""Labels of single tokens: the id where a loss predicts a token, -100 elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray, Ragged
from noisebeam.transforms.data.samples import FlatBatch

IGNORED = -100  # label of a token that the loss ignores


def label_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of labels that may be -100: int32, or int64 if int32 cannot hold the ids."""
    return np.dtype(np.int64 if dtype.itemsize > 4 or dtype == np.uint32 else np.int32)


def labels_at(batch: FlatBatch, positions: IntArray) -> Ragged:
    """Return the ids of a batch at some positions in `ids`, and -100 at all others."""
    labels: Array = np.full(len(batch.ids), IGNORED, dtype=label_dtype(batch.ids.dtype))
    labels[positions] = batch.ids[positions]
    return Ragged(labels, batch.offsets)
