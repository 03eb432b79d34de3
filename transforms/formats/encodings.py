"""Encodings of text files, and records that are too long."""

from __future__ import annotations

import codecs


def is_wide(encoding: str) -> bool:
    """Return whether an encoding has units of two or four bytes, so that a line feed is several
    bytes.

    >>> is_wide("UTF16"), is_wide("utf-8")
    (True, False)
    """
    return codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))


def longer_than(longest: int) -> str:
    """Return the reason of the dead letter of a record that is longer than `longest` bytes."""
    return (
        f"expected a record of at most {longest} bytes, got a longer one, whose beginning this is"
    )
