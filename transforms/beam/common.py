"""What the PTransforms share: metrics by name, dead letters, how samples travel between workers."""

from __future__ import annotations

from typing import Any

from apache_beam.coders import Coder, registry
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from noisebeam.transforms.documents import DeadLetter, Document
from noisebeam.transforms.formats import record_of
from noisebeam.transforms.samples import Sample, sample_from_bytes, sample_to_bytes

NAMESPACE = "noisebeam"
DEAD_LETTERS = "dead_letters"


def counter(name: str) -> Any:
    """The counter of this name, in Noisebeam's namespace."""
    return Metrics.counter(NAMESPACE, name)


def distribution(name: str) -> Any:
    """The distribution of this name, in Noisebeam's namespace."""
    return Metrics.distribution(NAMESPACE, name)


def dead_letter(letter: DeadLetter) -> TaggedOutput:
    """Send `letter` to the dead-letter output, and count it."""
    counter("dead-letters").inc()
    return TaggedOutput(DEAD_LETTERS, letter)


def rejected(document: Document, reason: str) -> TaggedOutput:
    """Send a document that was read well to the dead-letter output after all."""
    return dead_letter(DeadLetter(document.source, document.position, reason, record_of(document)))


class SampleCoder(Coder):  # type: ignore[misc]
    """Samples between workers: plain bytes, no pickle."""

    def encode(self, value: Sample) -> bytes:
        return sample_to_bytes(value)

    def decode(self, encoded: bytes) -> Sample:
        return sample_from_bytes(encoded)

    def estimate_size(self, value: Sample) -> int:
        return 200 + sum(array.nbytes for array in value.fields.values())

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> type[Sample]:
        return Sample

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return 0


registry.register_coder(Sample, SampleCoder)
