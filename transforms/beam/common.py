"""Parts that several PTransforms use: metrics, dead letters, and the coders of elements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any, TypeVar

from apache_beam.coders import Coder, registry
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from noisebeam.transforms.data.documents import DeadLetter, Document
from noisebeam.transforms.data.samples import Sample, sample_from_bytes, sample_to_bytes
from noisebeam.transforms.data.spans import Spans
from noisebeam.transforms.formats.record import record_of
from noisebeam.transforms.shards.sample_table import SampleTable

NAMESPACE = "noisebeam"
DEAD_LETTERS = "dead_letters"

SegmentedDocument = tuple[Document, Spans]  # with the spans of its sentences
Value = TypeVar("Value")


def counter(name: str) -> Any:
    """Return the Beam counter with this name, in Noisebeam's namespace."""
    return Metrics.counter(NAMESPACE, name)


def distribution(name: str) -> Any:
    """Return the Beam distribution with this name, in Noisebeam's namespace."""
    return Metrics.distribution(NAMESPACE, name)


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Add the duration of the block, in microseconds, to the Beam distribution `STEP-usec`."""
    began = perf_counter_ns()
    yield
    distribution(f"{step}-usec").update((perf_counter_ns() - began) // 1000)


def timed_each(step: str, values: Iterable[Value]) -> Iterator[Value]:
    """Yield the values, and add the time that it takes to produce all of them to the Beam
    distribution `STEP-usec`.

    The time that the consumer spends between two values is not included.
    """
    spent, began = 0, perf_counter_ns()
    for value in values:
        spent += perf_counter_ns() - began
        yield value
        began = perf_counter_ns()
    distribution(f"{step}-usec").update((spent + perf_counter_ns() - began) // 1000)


def text_bytes(document: Document) -> int:
    """Return the size of a document's text in UTF-8, in bytes."""
    return len(document.text) if document.text.isascii() else len(document.text.encode())


def dead_letter(letter: DeadLetter) -> TaggedOutput:
    """Count a dead letter, and return it as an element of the dead-letter output."""
    counter("empty-documents" if letter.has_no_text else "dead-letters").inc()
    return TaggedOutput(DEAD_LETTERS, letter)


def rejected(document: Document, reason: str) -> TaggedOutput:
    """Return the dead letter of a document that a later step cannot process, as an element of the
    dead-letter output.
    """
    return dead_letter(DeadLetter(document.source, document.position, reason, record_of(document)))


class _PlainCoder(Coder):  # type: ignore[misc]
    """Base class of Beam coders whose bytes are equal for equal values, and whose decoding runs no
    code.
    """

    def is_deterministic(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return 0


class DocumentCoder(_PlainCoder):
    """Beam coder of documents that are sent between workers."""

    def encode(self, value: Document) -> bytes:
        return value.to_bytes()

    def decode(self, encoded: bytes) -> Document:
        return Document.from_bytes(encoded)

    def estimate_size(self, value: Document) -> int:
        return 200 + len(value.text)

    def to_type_hint(self) -> type[Document]:
        return Document


class SampleCoder(_PlainCoder):
    """Beam coder of samples that are sent between workers."""

    def encode(self, value: Sample) -> bytes:
        return sample_to_bytes(value)

    def decode(self, encoded: bytes) -> Sample:
        return sample_from_bytes(encoded)

    def estimate_size(self, value: Sample) -> int:
        return 200 + sum(array.nbytes for array in value.fields.values())

    def to_type_hint(self) -> type[Sample]:
        return Sample


class SampleTableCoder(_PlainCoder):
    """Beam coder of tables of samples that are sent between workers."""

    def encode(self, value: SampleTable) -> bytes:
        return value.to_bytes()

    def decode(self, encoded: bytes) -> SampleTable:
        return SampleTable.from_bytes(encoded)

    def to_type_hint(self) -> type[SampleTable]:
        return SampleTable


registry.register_coder(Document, DocumentCoder)
registry.register_coder(Sample, SampleCoder)
registry.register_coder(SampleTable, SampleTableCoder)
