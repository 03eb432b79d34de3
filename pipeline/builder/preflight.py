"""A look at the input before the build: that it is mostly dirt is told in seconds, not at the end
of hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice

from noisebeam.transforms.data.documents import DeadLetter
from noisebeam.transforms.formats import ReadOptions, read_documents
from noisebeam.transforms.formats.options import longer_than
from noisebeam.transforms.io.input_files import FilePart

# the share of bad ones among so many is within 5 points of that in all they were drawn from
_RECORDS = 1024
_PLACES = 256
_AT_A_TIME = 4
_LONGEST = 2**24  # bytes; a record that is longer is not judged here, as it would take much memory
_PLACE_BYTES = 2**22  # of one place are enough, however few records they are


class TooManyBadRecordsError(RuntimeError):
    """The input is mostly dirt; the text says how much was looked at, and names one bad record."""


@dataclass(frozen=True)
class Probe:
    """What was seen in the first records of some parts of the input."""

    places: int
    records: int
    bad: int
    first_bad: DeadLetter | None  # in the first place that has one

    def reason_to_stop(self, max_bad_fraction: float) -> str | None:
        """Why the input is not worth a build; None if it may be.

        The limit lies halfway between the share that is allowed and all, so that only what is
        mostly dirt stops a build here. At least 512 records must have been seen: a smaller input is
        built, and judged at its end.
        """
        share = self.bad / max(1, self.records)
        if (
            self.first_bad is None
            or self.records < _RECORDS // 2
            or share <= (1 + max_bad_fraction) / 2
        ):
            return None
        return (
            f"stopped before the build: {self.bad:,} of {self.records:,} records looked at in {self.places:,} places "
            f"are bad ({share:.2%}; {max_bad_fraction:.2%} of all are allowed). The first, in {self.first_bad.source} "
            f"at {self.first_bad.position}: {self.first_bad.reason}. Mend the input or raise --max-bad-fraction"
        )


def probe_input(parts: Sequence[FilePart], options: ReadOptions) -> Probe:
    """Look at the first records of up to 256 parts, spread evenly over the input: about 1,024
    records in all.

    The same input gives the same probe.
    """
    step = max(1.0, len(parts) / _PLACES)
    chosen = [parts[int(i * step)] for i in range(min(len(parts), _PLACES))]
    most = -(-_RECORDS // max(1, len(chosen)))
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        looks = list(pool.map(lambda part: _look(part, options, most), chosen))
    first_bad = next((look.first_bad for look in looks if look.first_bad is not None), None)
    return Probe(
        len(looks), sum(look.records for look in looks), sum(look.bad for look in looks), first_bad
    )


def _look(part: FilePart, options: ReadOptions, most: int) -> Probe:
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
        if size > _PLACE_BYTES:
            break
    return Probe(1, records, bad, first_bad)
