"""A segmenter that fails at random or takes its time, as files in the folder HOSTILE_FOLDER tell it
to.

`failures`: how many more calls, of all processes together, fail. `seconds`: how long a call takes.
Each call leaves a file in `calls` that is named by the worker's process and its parent.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from noisebeam.transforms.segmenters.segmenters import (
    Segmenter,
    SegmenterOptions,
    Spans,
    load_segmenter,
)

FAILING_SHARE = 0.75


class HostileSegmenter:
    """The default segmenter, with mishaps."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segmenter: Segmenter = load_segmenter(SegmenterOptions())

    def segment(self, texts: Sequence[str], langs: Sequence[str | None]) -> list[Spans]:
        """The spans that sentencex finds, unless this call fails."""
        (self._folder / f"calls/{os.getppid()}-{os.getpid()}-{uuid4().hex}").touch()
        for wish in self._folder.glob("seconds-*"):
            time.sleep(float(wish.name.removeprefix("seconds-")))
        for failure in sorted(self._folder.glob("failure-*")):
            if random.random() < FAILING_SHARE:
                with suppress(FileNotFoundError):  # another worker has taken it
                    failure.rename(self._folder / f"done-{failure.name}")
                    raise RuntimeError("a mishap")
        return self._segmenter.segment(texts, langs)


def segmenter() -> HostileSegmenter:
    """For `--segmenter support.hostile_segmenter:segmenter`."""
    return HostileSegmenter(Path(os.environ["HOSTILE_FOLDER"]))
