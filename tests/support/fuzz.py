"""Damaged and random input: no crash but the errors that are documented, and no hang.

Valid files are cut, overwritten and spliced, so that the damage lies behind whatever is checked
first.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = [40, pytest.param(1000, marks=pytest.mark.slow)]


def fuzz(check: Callable[..., None], examples: int, *values: st.SearchStrategy[Any]) -> None:
    """Run `check` on so many examples; one that takes longer than 20 seconds is a hang."""
    quietly = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    limits = settings(
        max_examples=examples,
        deadline=timedelta(seconds=20),
        suppress_health_check=quietly,
        database=None,
    )
    limits(given(*values)(check))()


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """`whole` with up to four places overwritten, cut out or repeated; or other bytes
    altogether.
    """
    places = st.tuples(st.integers(0, len(whole)), st.integers(0, 12), st.binary(max_size=12))

    def damage(places: list[tuple[int, int, bytes]]) -> bytes:
        content = whole
        for at, size, new in places:
            content = content[:at] + new + content[at + size :]
        return content

    cut = st.integers(0, len(whole)).map(lambda end: whole[:end])
    return st.one_of(
        st.lists(places, min_size=1, max_size=4).map(damage), cut, st.binary(max_size=200)
    )
