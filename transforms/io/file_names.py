"""Names of input files: their endings tell the format and the compression."""

from __future__ import annotations

from pathlib import PurePosixPath

COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")


class InputError(ValueError):
    """Error: the input cannot be used, since no file matches or its format is unknown."""


def name_endings(url: str) -> tuple[str, str]:
    """Return two endings of the name of a file: that of its format and that of its compression,
    each "" if there is none.

    >>> name_endings("s3://bucket/a.b.JSONL.gz"), name_endings("notes.txt")
    (('.jsonl', '.gz'), ('.txt', ''))
    """
    endings = PurePosixPath(url.partition("::")[0].lower()).suffixes
    compression = endings.pop() if endings and endings[-1] in COMPRESSIONS else ""
    return (endings[-1] if endings else ""), compression
