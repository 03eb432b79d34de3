"""Preview of the input before a build: reads the beginning of some parts, to stop a build of mostly
bad records early.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice

from noisebeam.transforms.data.documents import NO_FIELD, DeadLetter
from noisebeam.transforms.formats import read_documents
from noisebeam.transforms.formats.encodings import longer_than
from noisebeam.transforms.formats.options import ReadOptions
from noisebeam.transforms.io.input_files import FilePart

# The share of bad records among so many is within 5 points of the share in the whole input.
_RECORDS = 1024
_PARTS = 256  # to preview at
_THREADS = 4
_LONGEST = 2**24  # bytes; longer records are skipped, since they would take much memory
_PART_BYTES = 2**22  # to read of a part, however few records these are


class TooManyBadRecordsError(RuntimeError):
    """The input is mostly bad records; the text has the counts, and one bad record."""


@dataclass(frozen=True)
class Preview:
    """Counts of good and bad records at the beginning of some parts of the input.

    `first_bad` is the bad record of the first part that has one; None if there is none.
    """

    parts: int
    records: int
    bad: int
    first_bad: DeadLetter | None  # in the first part that has one
    without_field: int = 0  # records without the field of the text

    def reason_to_stop(self, max_bad_fraction: float) -> str | None:
        """Return why a build of this input should stop; None if it should run.

        If no record has the field of the text, the fields that there are are named. The limit of
        bad records is halfway between `max_bad_fraction` and 1, so that only input of mostly bad
        records stops a build here. With fewer than 512 records the build runs, and its share of bad
        records is judged at its end.
        """
        share = self.bad / max(1, self.records)
        if self.first_bad is not None and self.without_field == self.records:
            return (
                f"stopped before the build: {self.first_bad.reason}, as in all "
                f"{self.records:,} records looked at; name the field with --text-field"
            )
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


def preview_input(parts: Sequence[FilePart], options: ReadOptions) -> Preview:
    """Read the first records of up to 256 parts, spread evenly over the input, and count good and
    bad ones.

    These are about 1,024 records in all, the same ones for the same input.
    """
    step = max(1.0, len(parts) / _PARTS)
    chosen = [parts[int(i * step)] for i in range(min(len(parts), _PARTS))]
    most = -(-_RECORDS // max(1, len(chosen)))
    with ThreadPoolExecutor(_THREADS) as pool:
        previews = list(pool.map(lambda part: _preview_part(part, options, most), chosen))
    first_bad = next((one.first_bad for one in previews if one.first_bad is not None), None)
    return Preview(
        len(previews),
        sum(preview.records for preview in previews),
        sum(preview.bad for preview in previews),
        first_bad,
        sum(one.without_field for one in previews),
    )


def _preview_part(part: FilePart, options: ReadOptions, most: int) -> Preview:
    """Read the first `most` records of a part of the input, and count good and bad ones."""
    options = replace(options, max_record_bytes=min(_LONGEST, options.max_record_bytes))
    records, bad, size, first_bad, without_field = 0, 0, 0, None, 0
    for record in islice(read_documents(part, options), most):
        if isinstance(record, DeadLetter) and record.reason == longer_than(_LONGEST):
            break
        records += 1
        if isinstance(record, DeadLetter) and record.has_no_text:
            size += len(record.record or b"")
        elif isinstance(record, DeadLetter):
            without_field += record.reason.startswith(NO_FIELD)
            bad, first_bad = bad + 1, first_bad or replace(record, record=None)
            size += len(record.record or b"")
        else:
            size += len(record.text)
        if size > _PART_BYTES:
            break
    return Preview(1, records, bad, first_bad, without_field)
