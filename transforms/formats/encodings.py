"""Encodings of text files, and the error text for records that are too long."""

from __future__ import annotations

import codecs


def is_wide(encoding: str) -> bool:
    """Return True if an encoding has units of two or four bytes, so that a line feed takes several
    bytes.

    >>> is_wide("UTF16"), is_wide("utf-8")
    (True, False)
    """
    return codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))


def longer_than(longest: int) -> str:
    """Return the reason, for a dead letter, that a record is longer than `longest` bytes."""
    return (
        f"expected a record of at most {longest} bytes, got a longer one, whose beginning this is"
    )
