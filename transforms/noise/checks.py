"""Checks of the settings of corruptions: each raises ValueError in one line.

`corruption` and `key` are the names of the corruption and of the setting, for the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.errors import did_you_mean


def check_share(corruption: str, key: str, value: Any) -> None:
    """Raise ValueError, with the names of the corruption and the setting, unless `value` is a
    number from 0 to 1.
    """
    if not _is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"{corruption}: {key} is {value!r}; expected a number from 0 to 1")


def check_positive(corruption: str, key: str, value: Any) -> None:
    """Raise ValueError, with the names of the corruption and the setting, unless `value` is a
    finite number above 0.
    """
    if not _is_number(value) or not 0 < value < float("inf"):
        raise ValueError(f"{corruption}: {key} is {value!r}; expected a number above 0")


def check_flag(corruption: str, key: str, value: Any) -> None:
    """Raise ValueError, with the names of the corruption and the setting, unless `value` is True or
    False.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{corruption}: {key} is {value!r}; expected true or false")


def check_integer(corruption: str, key: str, value: Any, least: int) -> None:
    """Raise ValueError, with the names of the corruption and the setting, unless `value` is an
    integer of at least `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{corruption}: {key} is {value!r}; expected an integer, {least} or more")


def check_token(corruption: str, key: str, value: Any) -> None:
    """Raise ValueError unless the setting `key` of a corruption can name a token: it is a non-empty
    text or an id.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, str | int)
        or value == ""
        or (isinstance(value, int) and value < 0)
    ):
        raise ValueError(
            f"{corruption}: {key} is {value!r}; "
            "expected a special token, a role (mask, bos, eos) or an id"
        )


def token_id(corruption: str, key: str, token: str | int, vocabulary: Vocabulary) -> int:
    """Return the id of the token that a setting names by its text, its role or its id.

    Roles are "mask", "pad", "bos" and "eos". Raises ValueError, with the names of the corruption
    and the setting, if the vocabulary has no such token.
    """
    found = vocabulary.id_of(token)
    if found is None:
        raise ValueError(
            f"{corruption}: {key} is {token!r}, and the tokenizer has no such special token; "
            "add it to the tokenizer (noisebeam build --add-tokens), or name another one"
        )
    return found


def check_keys(where: str, values: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    """Raise ValueError if a mapping has a key that is not in `allowed`; `where` begins the error
    text.
    """
    unknown = [key for key in values if key not in allowed]
    if unknown:
        raise ValueError(
            f"{where}: unknown key {unknown[0]!r}; expected {', '.join(allowed)}"
            + did_you_mean(unknown[0], allowed)
        )


def require_mask(corruption: str, vocabulary: Vocabulary, otherwise: str) -> None:
    """Raise ValueError unless the vocabulary has a mask token; `otherwise` ends the error text with
    another way out.
    """
    if vocabulary.mask_id is None:
        raise ValueError(
            f"{corruption}: needs a mask token, and the tokenizer has none; "
            f"add one to the tokenizer, or {otherwise}"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
