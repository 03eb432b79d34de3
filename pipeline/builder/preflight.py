"""A look at the beginning of some parts of the input, to stop builds of mostly bad records
early.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice

from noisebeam.transforms.data.documents import DeadLetter
from noisebeam.transforms.formats import read_documents
from noisebeam.transforms.formats.encodings import longer_than
from noisebeam.transforms.formats.options import ReadOptions
from noisebeam.transforms.io.input_files import FilePart

# The share of bad records among so many is within 5 points of the share in the whole input.
_RECORDS = 1024
_PARTS = 256  # to look at
_THREADS = 4
_LONGEST = 2**24  # bytes; longer records are skipped, since they would take much memory
_PART_BYTES = 2**22  # to read of a part, however few records these are


class TooManyBadRecordsError(RuntimeError):
    """The input is mostly bad records; the text has the counts, and one bad record."""


@dataclass(frozen=True)
class Look:
    """Counts of good and bad records at the beginning of some parts of the input."""

    parts: int
    records: int
    bad: int
    first_bad: DeadLetter | None  # in the first part that has one

    def reason_to_stop(self, max_bad_fraction: float) -> str | None:
        """Return why the build should stop; None if it should run.

        The limit is halfway between `max_bad_fraction` and 1, so that only input of mostly bad
        records stops a build here. With fewer than 512 records the build runs, and is judged at its
        end.
        """
        share = self.bad / max(1, self.records)
        if (
            self.first_bad is None
            or self.records < _RECORDS // 2
            or share <= (1 + max_bad_fraction) / 2
        ):
            return None
        return (
            f"stopped before the build: {self.bad:,} of {self.records:,} records looked at in "
            f"{self.parts:,} places are bad ({share:.2%}; {max_bad_fraction:.2%} of all are "
            f"allowed). The first, in {self.first_bad.source} at {self.first_bad.position}: "
            f"{self.first_bad.reason}. Mend the input or raise --max-bad-fraction"
        )


def look_at_input(parts: Sequence[FilePart], options: ReadOptions) -> Look:
    """Look at the first records of up to 256 parts, spread evenly over the input.

    These are about 1,024 records in all, the same ones for the same input.
    """
    step = max(1.0, len(parts) / _PARTS)
    chosen = [parts[int(i * step)] for i in range(min(len(parts), _PARTS))]
    most = -(-_RECORDS // max(1, len(chosen)))
    with ThreadPoolExecutor(_THREADS) as pool:
        looks = list(pool.map(lambda part: _look_at_part(part, options, most), chosen))
    first_bad = next((look.first_bad for look in looks if look.first_bad is not None), None)
    return Look(
        len(looks), sum(look.records for look in looks), sum(look.bad for look in looks), first_bad
    )


def _look_at_part(part: FilePart, options: ReadOptions, most: int) -> Look:
    """Look at the first `most` records of a part."""
    options = replace(options, max_record_bytes=min(_LONGEST, options.max_record_bytes))
    records, bad, size, first_bad = 0, 0, 0, None
    for record in islice(read_documents(part, options), most):
        if isinstance(record, DeadLetter) and record.reason == longer_than(_LONGEST):
            break
        records += 1
        if isinstance(record, DeadLetter):
            bad, first_bad = bad + 1, first_bad or replace(record, record=None)
            size += len(record.record or b"")
        else:
            size += len(record.text)
        if size > _PART_BYTES:
            break
    return Look(1, records, bad, first_bad)
