"""The end of a build: dead letters on disk, and a manifest if, and only if, everything is there.

The manifest is written last, so a folder without one is an unfinished build. A build that must not
count as finished leaves `failure.json` instead, which says why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from noisebeam.transforms.data.documents import DeadLetter
from noisebeam.transforms.io.storage import exists, join, list_names, publish, read_bytes, remove
from noisebeam.transforms.output.manifest import (
    MANIFEST_NAME,
    Manifest,
    read_manifest,
    write_manifest,
)
from noisebeam.transforms.shards.writer import ShardInfo

DEAD_LETTERS_FOLDER = "dead_letters"
TOKENIZER_FOLDER = "tokenizer"
FAILURE_NAME = "failure.json"

_NAMED_FILES = 3
_FAILURE_BYTES = 2**24  # what nobody's failure has
_OURS = re.compile(
    r"(shard|dead-letters)-\d+-of-\d+\.(tar|index\.npz|json|jsonl)|\.writable-[0-9a-f]{32}|\..*\.[0-9a-f]{32}\.tmp"
)


@dataclass(frozen=True)
class DeadLetterPart:
    """One file of dead letters: how many records it holds, and the files that could not be read to
    their end.
    """

    name: str
    records: int
    bad_files: tuple[str, ...]  # source and reason of each


@dataclass(frozen=True)
class Failure:
    """Why a build did not finish."""

    reason: str
    bad_files: bool  # the input itself is at fault, not the share of bad records in it
    counts: dict[str, int]


def write_dead_letters(
    url: str, letters: Iterable[DeadLetter], part: int, parts: int
) -> DeadLetterPart:
    """Write dead letters, sorted, to a file in the folder of dead letters of the output `url`."""
    name = f"dead-letters-{part:05d}-of-{parts:05d}.jsonl"
    lines, bad_files = [], []
    for letter in letters:
        lines.append(f"{letter.to_json()}\n".encode())
        if letter.record is None:
            bad_files.append(f"{letter.source}: {letter.reason}")
    records = len(lines) - len(bad_files)
    publish(join(join(url, DEAD_LETTERS_FOLDER), name), b"".join(sorted(lines)))
    return DeadLetterPart(name, records, tuple(sorted(bad_files)))


def finish_build(
    url: str,
    header: Manifest,
    shards: Sequence[ShardInfo],
    dead_letters: Sequence[DeadLetterPart],
    max_bad_fraction: float,
    counted: Iterable[tuple[str, int]] = (),
) -> Manifest | Failure:
    """Write the manifest, `header` with shards and counts, and remove files of older builds; or
    else `failure.json`.

    `counted` are more counts, by name.
    """
    shards = sorted(shards, key=lambda shard: shard.name)
    counts = {**_counts(shards, dead_letters), **dict(counted)}
    reason = _reason_to_fail(counts, dead_letters, max_bad_fraction)
    if reason is None:
        manifest = replace(header, shards=tuple(shards), counts=counts)
        remove(join(url, FAILURE_NAME))
        _sweep(url, shards, dead_letters)
        write_manifest(url, manifest)
        return manifest
    failure = Failure(reason, any(part.bad_files for part in dead_letters), counts)
    _sweep(url, shards, dead_letters)
    return fail_build(url, failure)


def fail_build(url: str, failure: Failure) -> Failure:
    """Write down in the folder `url` why its build did not finish."""
    publish(join(url, FAILURE_NAME), json.dumps(asdict(failure), indent=1, sort_keys=True).encode())
    return failure


def read_failure(url: str) -> Failure | None:
    """Why the last build into `url` did not finish, if it said so."""
    path = join(url, FAILURE_NAME)
    return Failure(**json.loads(read_bytes(path, _FAILURE_BYTES))) if exists(path) else None


def is_finished(url: str, header: Manifest) -> bool:
    """Whether the folder `url` holds the finished build of this header; False also where nobody can
    tell.
    """
    with suppress(OSError, ValueError):
        return replace(read_manifest(url), shards=(), counts={}).to_json() == header.to_json()
    return False


def clear_verdict(url: str) -> None:
    """Take the manifest and the failure away, before a build begins to replace what they speak
    of.
    """
    for name in (MANIFEST_NAME, FAILURE_NAME):
        remove(join(url, name))


def _counts(shards: Sequence[ShardInfo], dead_letters: Sequence[DeadLetterPart]) -> dict[str, int]:
    sums: dict[str, int] = {
        name: sum(getattr(shard, name) for shard in shards)
        for name in ("documents", "samples", "tokens", "duplicate_documents", "duplicate_samples")
    }
    return {**sums, "dead_letters": sum(part.records for part in dead_letters)}


def _reason_to_fail(
    counts: dict[str, int], dead_letters: Sequence[DeadLetterPart], max_bad_fraction: float
) -> str | None:
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
        return f"no document is left: cleaning dropped all {dropped:,}; drop less"
    if not good:
        return f"no document was read well ({bad:,} bad records); see {DEAD_LETTERS_FOLDER}/"
    if bad > max_bad_fraction * (good + bad):
        return (
            f"{bad:,} of {good + bad:,} records are bad ({bad / (good + bad):.2%}; {max_bad_fraction:.2%} is allowed): "
            f"see {DEAD_LETTERS_FOLDER}/, mend the input or raise --max-bad-fraction"
        )
    return None


def _sweep(url: str, shards: Sequence[ShardInfo], dead_letters: Sequence[DeadLetterPart]) -> None:
    """Remove what older builds into the same folder left, and killed writers: shards, dead letters,
    temporary files.

    The records of this build's shards go too. All that before the manifest comes, so that a folder
    which has one is clean.
    """
    shard_files = {name for shard in shards for name in (shard.name, shard.index_name)}
    for folder, kept in (
        (url, shard_files),
        (join(url, DEAD_LETTERS_FOLDER), {part.name for part in dead_letters}),
        (join(url, TOKENIZER_FOLDER), set()),
    ):
        for name in list_names(folder):
            if _OURS.fullmatch(name) and name not in kept:
                remove(join(folder, name))
