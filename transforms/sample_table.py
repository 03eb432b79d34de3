"""Many samples as columns: how they travel between workers, and what a shard is made of.

A sample by itself costs Python objects, a header and a step of the runner's; in a table it costs its tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from noisebeam.transforms.hashing import UInts
from noisebeam.transforms.samples import Array, IntArray, Ragged, Sample, offsets_of
from noisebeam.transforms.shard_fields import LENGTHS


@dataclass(frozen=True, slots=True, eq=False)
class SampleTable:
    """Samples that have the same fields: a row a sample in every column."""

    keys: UInts  # (samples,) uint64
    windows: IntArray  # (samples,)
    documents: list[str]
    fields: Mapping[str, Ragged]

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> SampleTable:
        """These samples, in this order; ValueError if they differ in their fields."""
        fields = samples[0].fields.keys() if samples else ()
        for sample in samples:
            if sample.fields.keys() != fields:
                raise ValueError(_different(fields, samples[0].document, sample.fields.keys(), sample.document))
        return cls(
            np.array([sample.key for sample in samples], dtype=np.uint64),
            np.array([sample.window for sample in samples], dtype=np.int64),
            [sample.document for sample in samples],
            {name: Ragged.of([sample.fields[name] for sample in samples]) for name in _in_order(fields)},
        )

    @classmethod
    def joined(cls, tables: Iterable[SampleTable]) -> SampleTable:
        """The samples of all tables, one after the other; ValueError if they differ in their fields."""
        full = [table for table in tables if len(table)]
        if not full:
            return cls.of([])
        first = full[0]
        for table in full:
            if table.fields.keys() != first.fields.keys():
                raise ValueError(_different(first.fields, first.documents[0], table.fields, table.documents[0]))
        return cls(
            np.concatenate([table.keys for table in full]),
            np.concatenate([table.windows for table in full]),
            [document for table in full for document in table.documents],
            {name: Ragged.joined([table.fields[name] for table in full]) for name in first.fields},
        )

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: IntArray) -> SampleTable:
        """The samples of these numbers, in this order."""
        documents = [self.documents[i] for i in rows.tolist()]
        fields = {name: column.take(rows) for name, column in self.fields.items()}
        return SampleTable(self.keys[rows], self.windows[rows], documents, fields)

    def split(self, parts: IntArray) -> Iterator[tuple[int, SampleTable]]:
        """The samples of each part, in their order, where `parts` tells whose each sample is.

        >>> table = SampleTable.of([Sample(i, f"d{i}", 0, {"ids": np.arange(i)}) for i in range(4)])
        >>> [(part, samples.documents) for part, samples in table.split(np.array([5, 2, 5, 5]))]
        [(2, ['d1']), (5, ['d0', 'd2', 'd3'])]
        """
        for part in np.unique(parts).tolist():
            yield part, self.take(np.flatnonzero(parts == part))

    def to_bytes(self) -> bytes:
        """The samples as bytes, the same for equal samples. No pickle: reading it can do no more than make samples."""
        columns = {"keys": self.keys, "windows": self.windows}
        for name, rows in self.fields.items():
            columns |= {name: rows.values, f"{name} lengths": _narrow(rows.lengths)}
        arrays = [(name, array.dtype.str, len(array)) for name, array in columns.items()]
        text = json.dumps([self.documents, arrays], separators=(",", ":")).encode()
        return b"".join([len(text).to_bytes(8, "little"), text, *(array.tobytes() for array in columns.values())])

    @classmethod
    def from_bytes(cls, data: bytes) -> SampleTable:
        """The inverse of `to_bytes`."""
        position = 8 + int.from_bytes(data[:8], "little")
        documents, arrays = json.loads(data[8:position])
        columns: dict[str, Array] = {}
        for name, dtype, length in arrays:
            columns[name] = np.frombuffer(data, np.dtype(dtype), length, position)
            position += columns[name].nbytes
        fields = [name for name in columns if f"{name} lengths" in columns]
        rows = {name: Ragged(columns[name], offsets_of(columns[f"{name} lengths"])) for name in fields}
        return cls(columns["keys"], columns["windows"], documents, rows)


def _in_order(fields: Iterable[str]) -> list[str]:
    """The fields that shards have, in the order in which they lie there, and then others."""
    return sorted(fields, key=[*LENGTHS, *fields].index)


def _narrow(lengths: IntArray) -> Array:
    return lengths.astype(np.min_scalar_type(int(lengths.max(initial=0))))


def _different(fields: Iterable[str], document: str, others: Iterable[str], other: str) -> str:
    return (
        f"expected the same fields in all samples, got {sorted(fields)} in document {document!r} and {sorted(others)} "
        f"in document {other!r}; encode all of them with one tokenizer and one recipe"
    )
