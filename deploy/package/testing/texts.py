"""Generated texts for tests: hard ones written by hand, and random mixtures of scripts, punctuation
and white space.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

HARD_TEXTS = (
    "",
    " \n\t\u00a0\u3000",
    "a",
    ".",
    "It rains. We stay.",
    "It rains.We stay.  \r\n\r\n  It rains again!\rSo what?",
    "Dr. A. B. Smith paid $1.50 (i.e. too much) at 3 p.m. on Jan. 5. He left.",
    'He said: "Stop. Now." She (laughing!) went on...',
    "“An unbalanced quotation. It never ends. Never.",
    "下雨了。我们留下。“真的?”他说。",
    "一行\n没有句号\n\n第二段。",
    "ฝนตก เราอยู่บ้าน",
    "هل تمطر؟ نعم. حسنا،",
    "बारिश हो रही है। हम रुकेंगे।",
    "e\u0301. \u0301A combining mark after a stop.\u0301 Next.",
    "👩\u200d👩\u200d👧. 👍🏽! 🙂",
    "one\u2028two\u2029three\x0bfour\x0cfive\x85six",
    "\ufeffA byte order mark. \u200bA zero width space.\u202eReversed.",
    "no end at all " * 40,
    "A. " * 200,
    "x" * 3000,
)
"""Texts that segmenters and tokenizers often get wrong: none holds NUL or a lone surrogate."""

_PIECES = (
    *("a", "The", "rain", "Dr.", "e.g.", "1.5", "U.S.", "下雨了", "我们", "ฝนตก", "дождь"),
    *(".", "!", "?", "...", "。", "?", "।", "؟", ",", ";", ":", '"', "“", "”", "(", ")", "'"),
    *(" ", " ", " ", "  ", "\n", "\n\n", "\r\n", "\t", "\u3000", "\u00a0", "\u2028"),
    *("\u0301", "\u200d", "😀", "🏽", "\u200b"),
)


def random_texts(seed: int, count: int) -> Iterator[str]:
    """Yield `count` random texts, short ones first; the same texts for the same seed."""
    source = random.Random(seed)
    for i in range(count):
        yield "".join(source.choice(_PIECES) for _ in range(source.randrange(2 + i)))
