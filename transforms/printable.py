"""Text of strangers made safe to print: no character controls a terminal or reorders a line."""

from __future__ import annotations

import re

# C0 controls but tab and line feed, DEL, C1 controls, marks and overrides of direction, separators
# of lines, and lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Return a text with each control character, mark of direction and lone surrogate escaped.

    Tabs and line feeds stay. An escape sequence of a terminal can then neither move the cursor nor
    make a link, and no text can be shown in another order than it has.

    >>> printable("a\x1b[31m \u202eb\n\ud800")
    'a\\x1b[31m \\u202eb\n\\ud800'
    """
    return _UNSAFE.sub(lambda found: _escaped(ord(found[0])), text)


def _escaped(code: int) -> str:
    """Return a character's code as an escape of Python."""
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
