"""Names of input files, whose endings are those of format and compression."""

from __future__ import annotations

from pathlib import PurePosixPath

COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")


class InputError(ValueError):
    """The input cannot be used: no file matches, or its format is unknown."""


def name_endings(url: str) -> tuple[str, str]:
    """Return the ending of a file's name for its format, and the one for its compression ("" for
    none).

    >>> name_endings("s3://bucket/a.b.JSONL.gz"), name_endings("notes.txt")
    (('.jsonl', '.gz'), ('.txt', ''))
    """
    endings = PurePosixPath(url.partition("::")[0].lower()).suffixes
    compression = endings.pop() if endings and endings[-1] in COMPRESSIONS else ""
    return (endings[-1] if endings else ""), compression
