"""Loaders of PyTorch around a data set that makes its batches itself."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any


def check_loader() -> None:
    """Raise ValueError if the iteration that begins is that of a loader which collates once more.

    PyTorch's `DataLoader` does unless it has `batch_size=None`, and so does the loader of a plain
    `transformers.Trainer`: batches would be stacked, or fail to be. The loader is found among the
    callers of `iter(dataset)`, since PyTorch does not tell a data set how its items are used.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        # Locals are read of constructors alone: to read them keeps them alive as long as the frame.
        is_constructor = frame.f_code.co_name == "__init__"
        fetcher: Any = frame.f_locals.get("self") if is_constructor else None
        if type(fetcher).__name__ == "_IterableDatasetFetcher":
            if fetcher.auto_collation:
                raise ValueError(
                    "expected a DataLoader with batch_size=None, got one that makes batches of "
                    "batches; write DataLoader(dataset, batch_size=None), and with transformers "
                    "take noisebeam.StreamTrainer in place of Trainer"
                )
            return
        frame = frame.f_back
