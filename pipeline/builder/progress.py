"""Progress of a build on this machine, shown while it runs.

    worker: counts -> UDP datagram -> command line: Tally -> line on standard error

Workers send their counts to the process of the command line, which adds them up and prints a live
line on a terminal, and plain lines elsewhere. A datagram has all counts of its sender so far, so a
lost one changes nothing. The output of the build does not depend on any of it, and nothing remains
after a build.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import apache_beam as beam
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from noisebeam.transforms.beam.common import text_bytes
from noisebeam.transforms.data.documents import DeadLetter, Document
from noisebeam.transforms.data.samples import Sample

_WORKER_SECONDS, _SCREEN_SECONDS, _LINE_SECONDS = 0.5, 0.25, 10.0

Counts = Mapping[str, int]


class TrackProgress(beam.PTransform):  # type: ignore[misc]
    """PTransform that passes elements on unchanged, and sends counts of them to a UDP port of this
    machine.

    `count` returns the counts of one element, by name.
    """

    def __init__(self, port: int, count: Callable[[Any], Counts]) -> None:
        super().__init__()
        self.port = port
        self.count = count

    def expand(self, elements: Any) -> Any:
        return elements | "Count" >> beam.ParDo(_Count(self.port, self.count)).with_output_types(
            elements.element_type
        )


def count_read(document: Document) -> Counts:
    """Return the counts, by name, of one document that was read."""
    return {"documents_read": 1, "bytes_read": text_bytes(document)}


def count_segmented(segmented: tuple[Document, Any]) -> Counts:
    """Return the counts, by name, of one document that was segmented into sentences."""
    return {"documents": 1, "bytes": text_bytes(segmented[0])}


def count_samples(sample: Sample) -> Counts:
    """Return the counts, by name, of one encoded sample."""
    return {"samples": 1, "tokens": len(sample.fields["ids"])}


def count_dead_letters(letter: DeadLetter) -> Counts:
    """Return the counts, by name, of one dead letter (a record that could not be read)."""
    return {} if letter.has_no_text else {"dead_letters": 1}


class _Count(beam.DoFn):  # type: ignore[misc]
    """DoFn that adds up the counts of its elements and sends the sums, at most twice a second and
    after each bundle.
    """

    def __init__(self, port: int, count: Callable[[Any], Counts]) -> None:
        self._port, self._count = port, count

    def setup(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sender = uuid4().hex
        self._counts: dict[str, int] = {}
        self._sent = 0.0

    def process(self, element: Any) -> Iterator[Any]:
        for name, more in self._count(element).items():
            self._counts[name] = self._counts.get(name, 0) + more
        if time.monotonic() - self._sent > _WORKER_SECONDS:
            self._send()
        yield element

    def finish_bundle(self) -> None:
        self._send()

    def teardown(self) -> None:
        self._socket.close()

    def _send(self) -> None:
        self._sent = time.monotonic()
        with suppress(OSError):  # progress is not worth a build
            self._socket.sendto(
                json.dumps([self._sender, self._counts]).encode(), ("127.0.0.1", self._port)
            )


@dataclass
class Tally:
    """Latest counts of each worker (`senders`), and the time in seconds at which the first document
    was segmented.
    """

    senders: dict[str, Counts] = field(default_factory=dict)
    began: float | None = None  # seconds; when the first document was segmented

    def receive(self, datagram: bytes, now: float) -> None:
        """Add the counts of a datagram, which arrived at time `now` in seconds; datagrams of other
        programs are ignored.
        """
        with suppress(ValueError, TypeError):
            sender, counts = json.loads(datagram)
            self.senders[str(sender)] = {
                str(name): int(count) for name, count in dict(counts).items()
            }
            if self.began is None and "documents" in counts:
                self.began = now

    @property
    def counts(self) -> dict[str, int]:
        """Counts of all workers together, by name."""
        names = sorted({name for counts in self.senders.values() for name in counts})
        return {
            name: sum(counts.get(name, 0) for counts in self.senders.values()) for name in names
        }


def fraction_done(counts: Counts, read_first: bool) -> float | None:
    """Return the share of the text that is encoded, 0 to 1; None if it is unknown.

    It is known only if all documents are read before the first one is segmented (`read_first`).
    """
    read, done = counts.get("bytes_read", 0), counts.get("bytes", 0)
    return done / read if read_first and read and done else None


def describe(counts: Counts, seconds: float, done: float | None) -> str:
    """Return a finished build in a few lines; `sentences_cut` is the number of sentences that were
    longer than a window.

    >>> counts = {"documents": 1200, "bytes": 30_000_000, "tokens": 7_000_000, "dead_letters": 2}
    >>> describe(counts, 10, done=0.25)
    '1,200 documents, 3.0 MB/s, 7,000,000 tokens, 2 dead letters, 0:30 left'
    >>> describe({}, 0, done=None)
    'starting'
    >>> describe({"documents_read": 1200, "bytes_read": 30_000_000}, 0, done=None)
    '1,200 documents read, 30.0 MB'
    """
    if not counts:
        return "starting"
    if not counts.get("documents"):
        read = (
            f"{counts.get('documents_read', 0):,} documents read, "
            f"{counts.get('bytes_read', 0) / 1e6:,.1f} MB"
        )
        return read + _dead(counts)
    rate = counts.get("bytes", 0) / 1e6 / max(seconds, 1e-3)
    line = (
        f"{counts['documents']:,} documents, {rate:,.1f} MB/s, {counts.get('tokens', 0):,} "
        f"tokens{_dead(counts)}"
    )
    if done is None:
        return line
    return (
        f"{line}, writing shards"
        if done == 1
        else f"{line}, {_clock(seconds * (1 - done) / done)} left"
    )


def _dead(counts: Counts) -> str:
    """Return the number of dead letters as the end of a line; an empty string if there are none."""
    return f", {counts['dead_letters']:,} dead letters" if counts.get("dead_letters") else ""


def _clock(seconds: float) -> str:
    """Return seconds as minutes:seconds, or hours:minutes:seconds.

    >>> _clock(59.4), _clock(3725)
    ('0:59', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def show_progress(read_first: bool, quiet: bool = False) -> Iterator[int]:
    """Show the progress of a build on standard error; yield the UDP port to which `TrackProgress`
    sends counts.

    `read_first` says that all documents are read before the first is segmented, so that the time
    left is known. With `quiet` nothing is shown.
    """
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(_SCREEN_SECONDS)
    console = Console(file=sys.stderr)
    stop = threading.Event()
    show = _show_nothing if quiet else _show_live if console.is_terminal else _show_lines
    states = _states(receiver, stop, read_first)
    thread = threading.Thread(target=show, args=(states, console), daemon=True)
    thread.start()
    try:
        yield receiver.getsockname()[1]
    finally:
        stop.set()
        thread.join()
        receiver.close()


def _states(
    receiver: socket.socket, stop: threading.Event, read_first: bool
) -> Iterator[tuple[float, str, float | None]]:
    """Yield the progress several times a second until `stop` is set: the time, the line to show,
    and the share done (None if unknown).
    """
    tally, shown = Tally(), 0.0
    while not stop.is_set():
        with suppress(TimeoutError):
            tally.receive(receiver.recv(65536), time.monotonic())
        now = time.monotonic()
        if now - shown >= _SCREEN_SECONDS:
            shown, counts = now, tally.counts
            done = fraction_done(counts, read_first)
            yield now, describe(counts, now - (tally.began or now), done), done


def _show_live(states: Iterator[tuple[float, str, float | None]], console: Console) -> None:
    """Show the progress as a bar and a line that is written over on a terminal."""
    columns = (SpinnerColumn(), BarColumn(24), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=None)
        for _, line, done in states:
            progress.update(
                task, description=line, total=None if done is None else 1, completed=done or 0
            )


def _show_lines(states: Iterator[tuple[float, str, float | None]], console: Console) -> None:
    """Print a line of progress every ten seconds."""
    last = time.monotonic()
    for now, line, _ in states:
        if now - last >= _LINE_SECONDS:
            last = now
            console.print(f"building: {line}", highlight=False, soft_wrap=True, markup=False)


def _show_nothing(states: Iterator[tuple[float, str, float | None]], _: Console) -> None:
    """Receive the progress and show nothing."""
    for _state in states:
        pass
