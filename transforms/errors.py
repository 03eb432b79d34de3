"""Errors of other code, as a part of one line."""

from __future__ import annotations


def one_line(error: BaseException) -> str:
    """The text of an error, with single spaces for its line ends and indents.

    >>> one_line(ValueError("expected a mapping,\\n  got a list"))
    'expected a mapping, got a list'
    """
    return " ".join(str(error).split())
