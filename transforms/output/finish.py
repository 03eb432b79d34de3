"""How a build ends: its counts, and whether it succeeds or fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from noisebeam.transforms.shards.info import ShardInfo

DEAD_LETTERS_FOLDER = "dead_letters"

_NAMED_FILES = 3


@dataclass(frozen=True)
class DeadLetterPart:
    """One written file of dead letters: its name, its number of records, and the damaged input
    files.

    `bad_files` has the source and the reason of each input file that could not be read to its end.
    """

    name: str
    records: int
    bad_files: tuple[str, ...]  # source and reason of each
    empty: int = 0  # records without text, which are not in the file
    reasons: tuple[
        tuple[str, int], ...
    ] = ()  # what was expected of bad records, with their numbers


@dataclass(frozen=True)
class Failure:
    """Why a build failed: the content of `failure.json`.

    `bad_files` is True if an input file could not be read to its end. `counts` are the numbers of
    documents, samples, dead letters and others.
    """

    reason: str
    bad_files: bool  # whether an input file could not be read to its end
    counts: dict[str, int]


def count_all(
    shards: Sequence[ShardInfo], dead_letters: Sequence[DeadLetterPart]
) -> dict[str, int]:
    """Return the counts of a build, by name: documents, samples, tokens and duplicates of all
    shards, and dead letters.
    """
    sums: dict[str, int] = {
        name: sum(getattr(shard, name) for shard in shards)
        for name in ("documents", "samples", "tokens", "duplicate_documents", "duplicate_samples")
    }
    counts = {**sums, "dead_letters": sum(part.records for part in dead_letters)}
    empty = sum(part.empty for part in dead_letters)
    return {**counts, "dropped_empty": empty} if empty else counts


def reason_to_fail(
    counts: dict[str, int], dead_letters: Sequence[DeadLetterPart], max_bad_fraction: float
) -> str | None:
    """Return why a build must fail; None if it succeeds.

    It fails if an input file is damaged, no document is left, or the share of bad records is above
    `max_bad_fraction`. `counts` are those of the build.
    """
    if bad_files := sorted(bad for part in dead_letters for bad in part.bad_files):
        more = (
            f"; and {len(bad_files) - _NAMED_FILES} more" if len(bad_files) > _NAMED_FILES else ""
        )
        return f"input cannot be read to its end: {'; '.join(bad_files[:_NAMED_FILES])}{more}"
    dropped = sum(number for name, number in counts.items() if name.startswith("dropped_"))
    good, bad = (
        counts["documents"] + counts["duplicate_documents"] + dropped,
        counts["dead_letters"],
    )
    if good and good == dropped:
        if counts.get("dropped_empty") == dropped:
            return f"no document is left: all {dropped:,} records have no text"
        return f"no document is left: cleaning dropped all {dropped:,}; drop less"
    often = _commonest(dead_letters)
    if not good:
        return f"no document was read well ({bad:,} bad records{often}); see {DEAD_LETTERS_FOLDER}/"
    if bad > max_bad_fraction * (good + bad):
        return (
            f"{bad:,} of {good + bad:,} records are bad ({bad / (good + bad):.2%}; "
            f"{max_bad_fraction:.2%} is allowed){often}; see {DEAD_LETTERS_FOLDER}/, "
            "mend the input or raise --max-bad-fraction"
        )
    return None


def _commonest(dead_letters: Sequence[DeadLetterPart]) -> str:
    """Return the commonest reason of bad records and its number, as the end of a phrase."""
    total: Counter[str] = Counter()
    for part in dead_letters:
        total.update(dict(part.reasons))
    if not total:
        return ""
    reason, number = min(total.items(), key=lambda entry: (-entry[1], entry[0]))
    return f", {number:,} of them for: {reason}"
