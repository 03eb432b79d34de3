"""How far a build on this machine has come, while it runs.

Each worker process writes its own small file of counts to a temporary folder, twice a second; the command line adds
them up. Nothing of it reaches the output.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import apache_beam as beam
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from noisebeam.transforms.samples import Sample

_WORKER_SECONDS, _SCREEN_SECONDS, _LINE_SECONDS = 0.5, 0.5, 10.0
COUNTS = ("documents", "samples", "tokens")


class TrackProgress(beam.PTransform):  # type: ignore[misc]
    """Pass samples on, and count them in `folder`."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def expand(self, samples: Any) -> Any:
        return samples | beam.ParDo(_Count(self.folder))


@beam.typehints.with_input_types(Sample)
@beam.typehints.with_output_types(Sample)
class _Count(beam.DoFn):  # type: ignore[misc]
    def __init__(self, folder: str) -> None:
        self._folder = folder

    def setup(self) -> None:
        self._path = Path(self._folder, f"{os.getpid()}-{uuid4().hex}")
        self._counts = dict.fromkeys(COUNTS, 0)
        self._written = 0.0

    def process(self, sample: Sample) -> Iterator[Sample]:
        self._counts["documents"] += sample.window == 0
        self._counts["samples"] += 1
        self._counts["tokens"] += len(sample.fields["ids"])
        if time.monotonic() - self._written > _WORKER_SECONDS:
            self._write()
        yield sample

    def finish_bundle(self) -> None:
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        with suppress(FileNotFoundError):  # the folder goes when the build has ended
            self._path.write_text(" ".join(str(self._counts[name]) for name in COUNTS))


def read_progress(folder: str) -> dict[str, int]:
    """The counts of all workers together."""
    rows = [file.read_text().split() for file in Path(folder).iterdir()]
    complete = [list(map(int, row)) for row in rows if len(row) == len(COUNTS)]
    return {name: sum(row[i] for row in complete) for i, name in enumerate(COUNTS)}


@contextmanager
def show_progress(folder: str) -> Iterator[None]:
    """Show the counts in `folder` on standard error: a live line in a terminal, now and then a plain line elsewhere."""
    console = Console(file=sys.stderr)
    stop = threading.Event()
    show = _show_live if console.is_terminal else _show_lines
    thread = threading.Thread(target=show, args=(folder, console, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _show_live(folder: str, console: Console, stop: threading.Event) -> None:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(24), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=None)
        while not stop.wait(_SCREEN_SECONDS):
            progress.update(task, description=_describe(read_progress(folder)))


def _show_lines(folder: str, console: Console, stop: threading.Event) -> None:
    while not stop.wait(_LINE_SECONDS):
        console.print(f"building: {_describe(read_progress(folder))}", highlight=False)


def _describe(counts: dict[str, int]) -> str:
    return ", ".join(f"{counts[name]:,} {name}" for name in COUNTS)
