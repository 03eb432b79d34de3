"""Error texts: those of other libraries in one line, and suggestions for unknown names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_UNKNOWN_PROTOCOL = "Protocol not known: "  # of fsspec


def one_line(error: BaseException) -> str:
    """Return the text of an error in one line; the name of its class if it has no text.

    >>> one_line(ValueError("expected a mapping,\\n  got a list"))
    'expected a mapping, got a list'
    >>> one_line(TimeoutError())
    'TimeoutError'
    >>> one_line(ValueError("Protocol not known: s4"))
    "Protocol not known: s4; did you mean 's3'?"
    """
    text = " ".join(str(error).split()) or type(error).__name__
    if text.startswith(_UNKNOWN_PROTOCOL):
        from fsspec import available_protocols

        return text + did_you_mean(text.removeprefix(_UNKNOWN_PROTOCOL), available_protocols())
    return text


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return the closest known name as the end of an error text; "" if none is close.

    >>> did_you_mean("brat", ["bart", "bert"]), did_you_mean("x", ["bart"])
    ("; did you mean 'bart'?", '')
    """
    least = 0.5 if len(str(name)) < 4 else 0.7  # as `s4` for `s3`, and `brat` for `bart`
    close = difflib.get_close_matches(str(name), list(known), n=5, cutoff=least)
    close.sort(key=lambda other: sorted(other) != sorted(str(name)))  # two letters exchanged
    return f"; did you mean {close[0]!r}?" if close else ""
