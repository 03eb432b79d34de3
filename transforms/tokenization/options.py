"""Settings of the tokenizer and of windows (the sentences that make one sample)."""

from __future__ import annotations

from dataclasses import dataclass

from noisebeam.transforms.data.settings import setting

SMALLEST_BUDGET = 32  # tokens; below it a single character may not fit


@dataclass(frozen=True, kw_only=True)
class TokenizerOptions:
    """Settings of the tokenizer: its name, and special tokens to add if it lacks them."""

    name: str = setting(
        "Hugging Face tokenizer: a folder, a URL or a hub name", name="tokenizer", metavar="NAME"
    )
    add_tokens: tuple[str, ...] = setting(
        "special tokens to add to the tokenizer where it lacks them",
        (),
        nargs="+",
        action="extend",
        metavar="TOKEN",
    )


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """Settings of windows: which consecutive sentences of a document make one sample.

    `max_tokens` (32 or more) includes the special tokens of a window. Without `size`, windows are
    filled with whole sentences up to `max_tokens`, without overlap. With `size`, a window of `size`
    sentences slides by `stride` sentences; a window that would exceed `max_tokens` ends early, and
    the next one begins there at the latest.

    With `append_eos` only the last window of a document ends in the end of text, whatever the
    tokenizer appends to a text. Causal and prefix language models need this. Raises ValueError for
    values out of range.
    """

    max_tokens: int = setting("largest window, in tokens, special ones counted", 512, metavar="N")
    size: int | None = setting(
        "slide windows of N sentences instead of filling them",
        None,
        name="window_sentences",
        metavar="N",
    )
    stride: int | None = setting(
        "sentences from one window to the next (default: window size)", None, metavar="N"
    )
    append_eos: bool = setting(
        "put the end of text at the end of each document alone "
        "(a causal or prefix recipe does so by itself)",
        False,
    )

    def __post_init__(self) -> None:
        if self.max_tokens < SMALLEST_BUDGET:
            raise ValueError(
                f"max_tokens: expected at least {SMALLEST_BUDGET}, got {self.max_tokens}"
            )
        if self.size is not None and self.size < 1:
            raise ValueError(f"window_sentences: expected at least 1, got {self.size}")
        if self.stride is not None and self.size is None:
            raise ValueError(
                f"stride: got {self.stride} without window_sentences; give both or neither"
            )
        if self.stride is not None and self.size is not None and not 1 <= self.stride <= self.size:
            raise ValueError(
                f"stride: expected 1 to {self.size} (window_sentences), got {self.stride}"
            )
