"""Checks of laws: what every plugin of a kind must do with any input, and the error for a broken
law.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from noisebeam.transforms.errors import one_line

_SHOWN = 200  # characters of an input or a value in an error


class BrokenLawError(AssertionError):
    """Error: a plugin broke a law; the text is one line with the plugin, the law and the input."""


def require(
    condition: bool, plugin: str, law: str, *, expected: object, got: object, given: object
) -> None:
    """Raise BrokenLawError unless `condition` is True; the text has the plugin, the law, what was
    expected, what was found and the input.

    >>> require(True, "my-swap", "same samples", expected=2, got=2, given="[[5]]")
    """
    if not condition:
        texts = (shorten(value) for value in (expected, got, given))
        raise BrokenLawError("{}: {}: expected {}, got {}; input: {}".format(plugin, law, *texts))


@contextmanager
def no_error(plugin: str, law: str, given: object) -> Iterator[None]:
    """Turn any exception in the block into a BrokenLawError that names the plugin, the law and the
    input.
    """
    try:
        yield
    except BrokenLawError:
        raise
    except Exception as error:  # the code of a plugin may raise anything
        require(False, plugin, law, expected="no error", got=describe(error), given=given)


def describe(error: Exception) -> str:
    """Return the type and the text of an error in one line."""
    return f"{type(error).__name__}: {one_line(error)}"


def shorten(value: object) -> str:
    """Return a value as one line of at most 200 characters; strings are not quoted.

    >>> shorten("a" * 300)[-6:]
    'aaa...'
    """
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
