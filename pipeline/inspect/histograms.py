"""Histograms of integers or shares: counted in bins of even width, drawn for a terminal and
as SVG.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from noisebeam.pipeline.inspect.html_page import safe
from noisebeam.transforms.data.ragged import Array

_BINS = 16
_ROUNDING = 1e-9  # of a bin: a share that was meant to be its lower end is in it
_QUANTILES, _NAMES = (0, 0.5, 0.9, 0.99, 1), ("min", "median", "90 %", "99 %", "max")
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_WIDTH, _BAR, _LABEL = 460, 18, 110  # pixels


@dataclass(frozen=True)
class Bars:
    """Bar chart: a title, a summary in one line, and the name and count of each bar."""

    title: str
    summary: str
    entries: tuple[tuple[str, int], ...]


def histogram(title: str, values: Array) -> Bars:
    """Return the histogram of `values`: integers, or floats that are shares from 0 to 1.

    >>> histogram("tokens", np.array([1, 2, 2, 40])).entries[:2]
    (('0 – 4', 3), ('5 – 9', 0))
    """
    if not len(values):
        return Bars(title, "no values", ())
    is_share = np.issubdtype(values.dtype, np.floating)
    ordered = np.sort(values)
    step = even_step(float(ordered[-1] - ordered[0]), is_share)
    first = int(ordered[0] / step + _ROUNDING)
    counts = np.bincount((ordered / step + _ROUNDING).astype(np.int64) - first)
    names = (_range((first + i) * step, step, is_share) for i in range(len(counts)))
    return Bars(title, summarise(values), tuple(zip(names, counts.tolist(), strict=True)))


def summarise(values: Array) -> str:
    """Return the number of values, their mean and quantiles in one line.

    >>> summarise(np.array([1, 2, 3, 4000]))
    '4 values: mean 1,001.5, min 1, median 2, 90 % 4,000, 99 % 4,000, max 4,000'
    """
    is_share = np.issubdtype(values.dtype, np.floating)
    quantiles = np.quantile(values, _QUANTILES, method="inverted_cdf")
    shown = (
        f"{name} {_show(value, is_share)}"
        for name, value in zip(_NAMES, quantiles.tolist(), strict=True)
    )
    mean = _show(float(values.mean()), is_share) if is_share else f"{values.mean():,.1f}"
    return f"{len(values):,} values: mean {mean}, {', '.join(shown)}"


def _range(low: float, step: float, is_share: bool) -> str:
    """Return the name of the bin of width `step` that begins at `low`; `is_share` says that the
    values are shares from 0 to 1.
    """
    last = low + step if is_share else low + step - 1
    return (
        _show(low, is_share) if low == last else f"{_show(low, is_share)} – {_show(last, is_share)}"
    )


def _show(value: float, is_share: bool) -> str:
    """Return a value as text: a share in per cent, or a whole number."""
    return f"{100 * value:.3g} %" if is_share else f"{value:,.0f}"


def even_step(spread: float, is_share: bool) -> float:
    """Return the width of a bin: the smallest of 1, 2 and 5 times a power of ten with which 16 bins
    cover `spread`.

    If `is_share` is True, the values are shares, and the width may be below 1.

    >>> even_step(511, is_share=False), even_step(3, is_share=False), even_step(0.1, is_share=True)
    (50.0, 1.0, 0.01)
    """
    exponents = range(-2, 1) if is_share else range(0, 18)
    steps = (float(f"{digit}e{exponent}") for exponent in exponents for digit in (1, 2, 5))
    return next(step for step in steps if spread < step * _BINS)


def text_bars(shown: Bars, width: int = 40) -> list[str]:
    """Return a bar chart as lines of text, one for each bar, with bars of at most `width` block
    characters.

    >>> text_bars(histogram("tokens", np.array([1, 2, 2, 3])), width=4)
    ['1 ██   1', '2 ████ 2', '3 ██   1']
    """
    names = max((len(name) for name, _ in shown.entries), default=0)
    most = max((1, *(count for _, count in shown.entries)))
    return [
        f"{name:>{names}} {_bar(count / most, width)} {count:,}" for name, count in shown.entries
    ]


def _bar(share: float, width: int) -> str:
    """Return a bar of block characters that fills a share (0 to 1) of `width` columns."""
    eighths = round(share * width * 8)
    eighths = max(eighths, 1) if share else 0
    full, part = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[part] if part else "")).ljust(width)


def svg_bars(shown: Bars) -> str:
    """Return a bar chart as inline SVG, in the colours of the page."""
    most = max((1, *(count for _, count in shown.entries)))
    room = _WIDTH - _LABEL - 70
    rows = []
    for i, (name, count) in enumerate(shown.entries):
        middle, length = i * _BAR + 13, max(room * count / most, 1.5 if count else 0)
        rows.append(
            f'<text class="name" x="{_LABEL - 8}" y="{middle}" '
            f'text-anchor="end">{safe(name)}</text>'
            f'<rect x="{_LABEL}" y="{i * _BAR + 2}" width="{length:.1f}" height="{_BAR - 4}" '
            'rx="2"/>'
            f'<text class="count" x="{_LABEL + length + 6:.1f}" y="{middle}">{count:,}</text>'
        )
    size = f'viewBox="0 0 {_WIDTH} {len(shown.entries) * _BAR}"'
    return f'<svg {size} role="img" aria-label="{safe(shown.title)}">{"".join(rows)}</svg>'
