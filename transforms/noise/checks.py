"""Checks of settings, in one line: which corruption and key, what came, what is allowed."""

from __future__ import annotations

from numbers import Real
from typing import Any

from noisebeam.transforms.data.vocabulary import Vocabulary


def check_share(corruption: str, key: str, value: Any) -> None:
    """ValueError unless the value is a number from 0 to 1."""
    if not _is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"{corruption}: {key} is {value!r}; expected a number from 0 to 1")


def check_positive(corruption: str, key: str, value: Any) -> None:
    """ValueError unless the value is a finite number above 0."""
    if not _is_number(value) or not 0 < value < float("inf"):
        raise ValueError(f"{corruption}: {key} is {value!r}; expected a number above 0")


def check_flag(corruption: str, key: str, value: Any) -> None:
    """ValueError unless the value is true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{corruption}: {key} is {value!r}; expected true or false")


def check_integer(corruption: str, key: str, value: Any, least: int) -> None:
    """ValueError unless the value is an integer, `least` or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{corruption}: {key} is {value!r}; expected an integer, {least} or more")


def check_token(corruption: str, key: str, value: Any) -> None:
    """ValueError unless the value can name a token (see `token_id`)."""
    if (
        isinstance(value, bool)
        or not isinstance(value, str | int)
        or value == ""
        or (isinstance(value, int) and value < 0)
    ):
        raise ValueError(
            f"{corruption}: {key} is {value!r}; expected a special token, a role (mask, bos, eos) or an id"
        )


def token_id(corruption: str, key: str, token: str | int, vocabulary: Vocabulary) -> int:
    """The id of a token that a setting names by its text, its role or its id; ValueError if there
    is none.
    """
    found = vocabulary.id_of(token)
    if found is None:
        raise ValueError(
            f"{corruption}: {key} is {token!r}, and the tokenizer has no such special token; add it to the tokenizer "
            "(noisebeam build --add-tokens), or name another one"
        )
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
