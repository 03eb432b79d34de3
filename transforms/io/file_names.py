"""Names of input files: what their endings say of format and compression."""

from __future__ import annotations

from pathlib import PurePosixPath

COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")


class InputError(ValueError):
    """The input cannot be used as given: no file matches, or its format is not known."""


def name_endings(url: str) -> tuple[str, str]:
    """The ending of a file's name that tells its format, and the one that tells its compression (""
    if there is none).

    >>> name_endings("s3://bucket/a.b.JSONL.gz"), name_endings("notes.txt")
    (('.jsonl', '.gz'), ('.txt', ''))
    """
    endings = PurePosixPath(url.partition("::")[0].lower()).suffixes
    compression = endings.pop() if endings and endings[-1] in COMPRESSIONS else ""
    return (endings[-1] if endings else ""), compression
