"""Error texts of other libraries, shortened to one line."""

from __future__ import annotations


def one_line(error: BaseException) -> str:
    """Return the text of an error in one line; the name of its class if it has no text.

    >>> one_line(ValueError("expected a mapping,\\n  got a list"))
    'expected a mapping, got a list'
    >>> one_line(TimeoutError())
    'TimeoutError'
    """
    return " ".join(str(error).split()) or type(error).__name__
