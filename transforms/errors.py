"""Errors of other code, as a part of one line."""

from __future__ import annotations


def one_line(error: BaseException) -> str:
    """The text of an error, with single spaces for its line ends and indents; its kind if it has no
    text.

    >>> one_line(ValueError("expected a mapping,\\n  got a list"))
    'expected a mapping, got a list'
    >>> one_line(TimeoutError())
    'TimeoutError'
    """
    return " ".join(str(error).split()) or type(error).__name__
