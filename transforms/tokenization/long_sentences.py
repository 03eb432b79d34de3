"""Sentences that are longer than a window, divided into parts: between words where possible."""

from __future__ import annotations

from collections.abc import Iterator

from tokenizers import Tokenizer

from noisebeam.transforms.tokenization.safe_splits import SafeSplits


def split_long_sentence(
    text: str,
    span: tuple[int, int],
    opens: bool,
    budget: int,
    tokenizer: Tokenizer,
    safe: SafeSplits,
) -> Iterator[tuple[int, int, bool]]:
    """Yield the parts of a sentence, of about `budget` tokens each: start, end, and whether the
    part must be the first of a window.

    `span` is the sentence in the text; its first part must be the first of a window if `opens` is
    True. A later part must be if the sentence was divided inside a word, at a split that is not
    safe: its ids are then only right at the start of a text.
    """
    start, end = span
    offsets = tokenizer.encode(text[start:end], add_special_tokens=False).offsets
    starts = [start + offset for offset, _ in offsets]
    token = 0
    while len(starts) - token > budget:
        token, is_safe = _choose_split(text, starts, token + budget // 2, token + budget, safe)
        position = starts[token] if token < len(starts) else end
        if part := _trim(text, start, position):
            yield *part, opens
            opens = not is_safe
        start = position
    if part := _trim(text, start, end):
        yield *part, opens


def _choose_split(
    text: str, starts: list[int], least: int, most: int, safe: SafeSplits
) -> tuple[int, bool]:
    """Return the token, about `least` to `most`, before which to divide a sentence, and whether
    the split is safe.

    `starts` (tokens,) are positions in the text. A split at white space is preferred, then a safe
    one.
    """
    tokens = [
        token for token in range(most, max(least, 1), -1) if starts[token] > starts[token - 1]
    ]
    is_safe = [token for token in tokens if safe[text[starts[token] - 1 : starts[token] + 1]]]
    spaced = (
        token
        for token in tokens
        if text[starts[token] - 1].isspace() or text[starts[token]].isspace()
    )
    if (token := next(spaced, None)) is not None:
        return token, True
    if is_safe or tokens:
        return (is_safe or tokens)[0], bool(is_safe)
    later = (token for token in range(most + 1, len(starts)) if starts[token] > starts[token - 1])
    return next(later, len(starts)), False


def _trim(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return a span without white space at its ends; None if there is nothing else in it."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return (start, end) if start < end else None
