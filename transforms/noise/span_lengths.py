"""Distributions of span lengths, as tables that give the length for each 16-bit random number.

Tables are computed with `decimal`, so that they are the same on every platform; probabilities are
rounded to multiples of 2**-16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Any

import numpy as np

from noisebeam.transforms.data.ragged import IntArray, offsets_of
from noisebeam.transforms.noise.batch_ops import ranges
from noisebeam.transforms.noise.checks import check_integer, check_positive
from noisebeam.transforms.noise.rng import LANE_RANGE, UIntArray, draw_lanes

_LONGEST_MEAN = 1000


@dataclass(frozen=True)
class SpanLengths:
    """Probability distribution of span lengths, in tokens.

    | kind | value | lengths |
    |---|---|---|
    | `poisson` | mean, above 0 up to 1000 | 0, 1, ... |
    | `geometric` | probability to end after each token, 0.01 to 1 | 1, 2, ... |
    | `uniform` | longest, 1 to 65536 | 1, 2, ..., longest, equally likely |
    | `fixed` | the length, 1 or more | always the same |

    `longest`, if not None, truncates a Poisson or geometric distribution: greater lengths are not
    drawn, and the probabilities of the others are scaled up (SpanBERT: geometric 0.2, longest 10).
    """

    kind: str = "poisson"
    value: float = 3
    longest: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in _TABLES:
            raise ValueError(
                f"lengths: kind is {self.kind!r}; expected one of {', '.join(_TABLES)}"
            )
        if self.longest is not None:
            check_integer("lengths", "longest", self.longest, 1)
        if self.kind in ("uniform", "fixed"):
            check_integer("lengths", self.kind, self.value, 1)
        else:
            check_positive("lengths", self.kind, self.value)
        most = {"geometric": 1, "poisson": _LONGEST_MEAN, "uniform": LANE_RANGE}.get(self.kind)
        if most is not None and self.value > most:
            raise ValueError(f"lengths: {self.kind} is {self.value!r}; expected {most} at most")
        if self.kind == "geometric" and self.value < 0.01:
            raise ValueError(f"lengths: geometric is {self.value!r}; expected 0.01 or more")
        if self.longest is not None and not self.table.any():
            raise ValueError(
                f"lengths: longest is {self.longest!r}; "
                "expected a limit that leaves lengths above 0"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> SpanLengths:
        """Return the distribution that a mapping `{kind: value}` describes; it may also have the
        key `longest`.

        >>> SpanLengths.from_mapping({"geometric": 0.2, "longest": 10})
        SpanLengths(kind='geometric', value=0.2, longest=10)
        """
        kinds = [key for key in values if key != "longest"]
        if len(kinds) != 1 or kinds[0] not in _TABLES:
            raise ValueError(
                f"lengths is {dict(values)!r}; "
                f"expected one of {', '.join(_TABLES)}, as in {{poisson: 3}}"
            )
        return cls(kinds[0], values[kinds[0]], values.get("longest"))

    def to_mapping(self) -> dict[str, Any]:
        """Return the distribution as a mapping for JSON or YAML, the inverse of `from_mapping`."""
        longest = {} if self.longest is None else {"longest": self.longest}
        return {self.kind: self.value, **longest}

    @property
    def table(self) -> IntArray:
        """Span length for each 16-bit random number, ascending: (65536,)."""
        return _table(self.kind, str(self.value), self.longest)

    @property
    def mean(self) -> float:
        """Mean span length in tokens, computed from the table."""
        return _mean(self.kind, str(self.value), self.longest)


def _read_lengths(corruption: str, value: Any) -> SpanLengths:
    """Return the distribution that the mapping `value` in a recipe describes; raise ValueError,
    with the name of the corruption, if it is wrong.
    """
    if not isinstance(value, Mapping):
        raise ValueError(
            f"{corruption}: lengths is {value!r}; expected a mapping, as in {{poisson: 3}}"
        )
    try:
        return SpanLengths.from_mapping(value)
    except ValueError as error:
        raise ValueError(f"{corruption}: {error}") from error


LENGTHS_METADATA = {"read": _read_lengths, "write": SpanLengths.to_mapping}
"""Metadata of a corruption's field for span lengths (see `Corruption`)."""


def check_lengths(corruption: str, lengths: Any) -> None:
    """Raise ValueError, with the name of the corruption, unless the setting `lengths` is a
    `SpanLengths`.
    """
    if not isinstance(lengths, SpanLengths):
        raise ValueError(
            f"{corruption}: lengths is {lengths!r}; expected span lengths, as in {{poisson: 3}}"
        )


def draw_lengths(
    streams: UIntArray, budgets: IntArray, slots: IntArray, distribution: SpanLengths
) -> tuple[IntArray, IntArray]:
    """Draw span lengths from a distribution that add up to `budgets[i]` tokens for each sample i.

    Returns the lengths (spans,), one sample after another, and the number of spans of each sample
    (samples,). Spans are drawn until their sum reaches the budget, and the last one is shortened to
    fit. A sample has at most `slots[i]` (1 or more) spans: the last of them then takes the rest of
    the budget. `streams` (samples,) are the keys of the random numbers.
    """
    table, mean = distribution.table, distribution.mean
    room = (budgets * (1.25 / mean)).astype(np.int64) + 8
    while True:
        # (draws of all samples,) lengths, their running sums, and the budget's end in these sums
        lanes, starts = draw_lanes(streams, room)
        lengths = table.take(lanes)
        sums = offsets_of(lengths)
        goals = sums[starts[:-1]] + budgets
        ends = sums.searchsorted(goals)
        if not np.count_nonzero(ends > starts[1:]):
            break
        room = room * 2
    counts = np.minimum(ends - starts[:-1], slots) * (budgets > 0)
    spans = lengths.take(ranges(starts[:-1], counts))
    drawn = counts > 0
    last = (counts.cumsum() - 1)[drawn]
    spans[last] = (goals - sums[starts[:-1] + counts - 1])[drawn]
    return spans, counts


def _poisson(value: Decimal) -> Callable[[int], Decimal]:
    """Return a function from a length to its probability in a Poisson distribution with this
    mean.
    """

    def probability(length: int) -> Decimal:
        result = (-value).exp()
        for factor in range(1, length + 1):
            result *= value / factor
        return result

    return probability


def _geometric(value: Decimal) -> Callable[[int], Decimal]:
    """Return a function from a length to its probability in a geometric distribution that ends with
    probability `value`.
    """
    return lambda length: value * (1 - value) ** (length - 1) if length else Decimal(0)


def _uniform(value: Decimal) -> Callable[[int], Decimal]:
    """Return a function from a length to its probability in a uniform distribution from 1 to
    `value`.
    """
    return lambda length: 1 / value if 0 < length <= value else Decimal(0)


def _fixed(value: Decimal) -> Callable[[int], Decimal]:
    """Return a function from a length to its probability: 1 for `value`, 0 for others."""
    return lambda length: Decimal(int(length == value))


_TABLES = {"poisson": _poisson, "geometric": _geometric, "uniform": _uniform, "fixed": _fixed}


@lru_cache(maxsize=32)
def _table(kind: str, value: str, longest: int | None) -> IntArray:
    """Return the read-only table of a distribution: the length for each 16-bit random number,
    (65536,).
    """
    with localcontext(prec=50):
        if kind == "fixed":
            table = np.full(LANE_RANGE, int(value))
        else:
            table = _tabulate(_TABLES[kind](Decimal(value)), longest)
    table.flags.writeable = False
    return table


@lru_cache(maxsize=32)
def _mean(kind: str, value: str, longest: int | None) -> float:
    """Return the mean length of a distribution."""
    return float(_table(kind, value, longest).mean())


def _tabulate(probability: Callable[[int], Decimal], longest: int | None) -> IntArray:
    """Return 65,536 lengths in ascending order, each as often as `probability(length)` times
    65,536.

    The last table entry of a length is at the rounded sum of the probabilities up to it.
    Probabilities are scaled so that those up to `longest` (None: all) add up to 1.
    """
    sums: list[Decimal] = []
    total, limit = Decimal(0), LANE_RANGE if longest is None else longest
    while len(sums) <= limit and 1 - total > Decimal(1) / (4 * LANE_RANGE):
        total += probability(len(sums))
        sums.append(total)
    bounds = np.array([int((part / total * LANE_RANGE).to_integral_value()) for part in sums])
    return np.repeat(np.arange(len(bounds)), np.diff(bounds, prepend=0))


POISSON_3 = SpanLengths()
