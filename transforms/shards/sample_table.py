"""Tables of samples: how samples are sent between workers, and what a shard is made of.

    keys, windows, copies (samples,)   documents [str]   fields: name -> Ragged, a row a sample

A single sample costs Python objects, a header and a step of the runner; in a table it costs its
tokens. Copies of a sample are one row with their number, so that a text with ten million copies
fills no worker's memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from noisebeam.transforms.data.hashing import UInts
from noisebeam.transforms.data.ragged import (
    Array,
    IntArray,
    LazyRagged,
    Ragged,
    in_smallest_dtype,
    offsets_of,
)
from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.shards.fields import LENGTHS


class RowList(LazyRagged):
    """Ragged array whose rows are separate arrays until `values` are first used.

    `lengths` (rows,) are the lengths of the rows; None computes them.

    >>> rows = RowList([np.array([5, 6]), np.array([7])]).take(np.array([1, 0]))
    >>> rows.values.tolist(), rows.offsets.tolist()
    ([7, 5, 6], [0, 1, 3])
    """

    def __init__(self, rows: Sequence[Array] | Array, lengths: IntArray | None = None) -> None:
        self._rows = rows if isinstance(rows, np.ndarray) else np.fromiter(rows, object, len(rows))
        super().__init__(
            np.fromiter(map(len, rows), np.int64, len(rows)) if lengths is None else lengths
        )

    def take(self, rows: IntArray) -> RowList:
        """Return the rows with these indexes, without copying them."""
        return RowList(self._rows[rows], self._lengths[rows])

    def _joined(self) -> Array:
        """Return the values of all rows, one row after another: (total,)."""
        rows = self._rows.tolist()
        dtypes = [row.dtype for row in rows]
        if rows and dtypes.count(dtypes[0]) == len(rows):
            with suppress(TypeError):  # a row does not lie in one piece
                # in two thirds of the time of numpy.concatenate
                return np.frombuffer(b"".join(rows), dtypes[0])
        return Ragged.of(rows).values


@dataclass(frozen=True, slots=True, eq=False)
class SampleTable:
    """Samples with the same fields, as columns: row i of every column belongs to sample i.

    `keys` (samples,) uint64, `windows` (samples,) and `documents` are those of the samples;
    `fields` are ragged arrays by name. `copies` (samples,) says how many times each sample occurs,
    1 or more.
    """

    keys: UInts  # (samples,) uint64
    windows: IntArray  # (samples,)
    documents: list[str]
    fields: Mapping[str, Ragged]
    copies: IntArray  # (samples,): how many of each sample there are, 1 or more

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> SampleTable:
        """Return a table of a list of samples, in order; raise ValueError if they have different
        fields.
        """
        fields = samples[0].fields.keys() if samples else ()
        for sample in samples:
            if sample.fields.keys() != fields:
                raise ValueError(
                    _different(fields, samples[0].document, sample.fields.keys(), sample.document)
                )
        return cls(
            np.array([sample.key for sample in samples], dtype=np.uint64),
            np.array([sample.window for sample in samples], dtype=np.int64),
            [sample.document for sample in samples],
            {
                name: RowList([sample.fields[name] for sample in samples])
                for name in _in_order(fields)
            },
            np.ones(len(samples), dtype=np.int64),
        )

    @classmethod
    def joined(cls, tables: Iterable[SampleTable]) -> SampleTable:
        """Return the samples of several tables as one table, in order; raise ValueError if they
        have different fields.
        """
        full = [table for table in tables if len(table)]
        if not full:
            return cls.of([])
        first = full[0]
        for table in full:
            if table.fields.keys() != first.fields.keys():
                raise ValueError(
                    _different(first.fields, first.documents[0], table.fields, table.documents[0])
                )
        return cls(
            np.concatenate([table.keys for table in full]),
            np.concatenate([table.windows for table in full]),
            [document for table in full for document in table.documents],
            {name: Ragged.joined([table.fields[name] for table in full]) for name in first.fields},
            np.concatenate([table.copies for table in full]),
        )

    def __len__(self) -> int:
        return len(self.keys)

    def distinct(self) -> SampleTable:
        """Return a table in which each sample occurs once, with the number of its copies.

        Copies have the same key, window and document. Their fields may differ, as those of a text
        that was segmented as two languages; the copy with the smallest values is kept, whatever the
        order.

        >>> one, other = (Sample(7, "a", 0, {"ids": np.array([i])}) for i in (5, 4))
        >>> table = SampleTable.of([one, other, one]).distinct()
        >>> table.fields["ids"].values.tolist(), table.copies.tolist()
        ([4], [3])
        """
        if len(np.unique(self.keys)) == len(self):
            return self
        alike: dict[tuple[int, int, str], list[int]] = {}
        for row, name in enumerate(
            zip(self.keys.tolist(), self.windows.tolist(), self.documents, strict=True)
        ):
            alike.setdefault(name, []).append(row)
        kept = [
            rows[0] if len(rows) == 1 else min(rows, key=self._values) for rows in alike.values()
        ]
        copies = [int(self.copies[rows].sum()) for rows in alike.values()]
        return replace(self.take(np.array(kept, np.int64)), copies=np.array(copies, np.int64))

    def _values(self, row: int) -> list[list[int]]:
        """Return the values of all fields of one sample as lists, to compare samples."""
        return [column.row(row).tolist() for column in self.fields.values()]

    def take(self, rows: IntArray) -> SampleTable:
        """Return a table of the samples with these indexes, in this order."""
        documents = [self.documents[i] for i in rows.tolist()]
        fields = {name: column.take(rows) for name, column in self.fields.items()}
        return SampleTable(
            self.keys[rows], self.windows[rows], documents, fields, self.copies[rows]
        )

    def split(self, parts: IntArray) -> Iterator[tuple[int, SampleTable]]:
        """Yield, for each number that occurs in `parts`, ascending, the number and a table of the
        samples that have it.

        `parts` is (samples,).

        >>> table = SampleTable.of([Sample(i, f"d{i}", 0, {"ids": np.arange(i)}) for i in range(4)])
        >>> [(part, samples.documents) for part, samples in table.split(np.array([5, 2, 5, 5]))]
        [(2, ['d1']), (5, ['d0', 'd2', 'd3'])]
        """
        for part in np.unique(parts).tolist():
            rows = np.flatnonzero(parts == part)
            yield part, self if len(rows) == len(self) else self.take(rows)

    def to_bytes(self) -> bytes:
        """Return the table as bytes, the same for equal samples; reading the bytes runs no code."""
        columns = {"keys": self.keys, "windows": self.windows}
        for name, rows in self.fields.items():
            columns |= {name: rows.values, f"{name} lengths": in_smallest_dtype(rows.lengths)}
        if self.copies.sum() > len(self):
            columns["copies"] = self.copies
        arrays = [(name, array.dtype.str, len(array)) for name, array in columns.items()]
        text = json.dumps([self.documents, arrays], separators=(",", ":")).encode()
        return b"".join(
            [
                len(text).to_bytes(8, "little"),
                text,
                *(array.tobytes() for array in columns.values()),
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> SampleTable:
        """Return the table that `to_bytes` wrote."""
        position = 8 + int.from_bytes(data[:8], "little")
        documents, arrays = json.loads(data[8:position])
        columns: dict[str, Array] = {}
        for name, dtype, length in arrays:
            columns[name] = np.frombuffer(data, np.dtype(dtype), length, position)
            position += columns[name].nbytes
        fields = [name for name in columns if f"{name} lengths" in columns]
        rows = {
            name: Ragged(columns[name], offsets_of(columns[f"{name} lengths"])) for name in fields
        }
        copies = columns.get("copies", np.ones(len(documents), dtype=np.int64))
        return cls(columns["keys"], columns["windows"], documents, rows, copies)


def _in_order(fields: Iterable[str]) -> list[str]:
    """Return names of fields in the order in which shards store them, unknown ones last."""
    return sorted(fields, key=[*LENGTHS, *fields].index)


def _different(fields: Iterable[str], document: str, others: Iterable[str], other: str) -> str:
    """Return the error text for two samples, given their documents, that have different fields."""
    return (
        f"expected the same fields in all samples, got {sorted(fields)} in document {document!r} "
        f"and {sorted(others)} "
        f"in document {other!r}; encode all of them with one tokenizer and one recipe"
    )
