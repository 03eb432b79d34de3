"""Display of the statistics of `noisebeam stats`, in a terminal and as one HTML page."""

from __future__ import annotations

from rich.console import Console

from noisebeam.pipeline.inspect.histograms import Bars, svg_bars, text_bars
from noisebeam.pipeline.inspect.html_page import facts_list, page, safe
from noisebeam.pipeline.inspect.stats import Stats
from noisebeam.transforms.printable import printable

_STYLE = """
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr));
  gap: 1rem; }
.plots h3 { margin: 0 0 .2rem; } .plots p { margin: 0 0 .6rem; }
svg { width: 100%; height: auto; } svg rect { fill: var(--accent); } svg text { fill: var(--ink);
  font-size: 11px; }
svg .count { fill: var(--dim); } .note { margin: .8rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td { padding: .15rem 1.2rem .15rem 0; } td:last-child { text-align: right; }
meter { width: 12rem; }
"""


def stats_to_terminal(console: Console, stats: Stats) -> None:
    """Print the statistics of a build, with histograms of block characters."""
    console.print(printable(stats.url), style="bold", soft_wrap=True, markup=False)
    for name, fact in stats.totals.items():
        console.print(printable(f"{name}: {fact}"), soft_wrap=True, markup=False)
    console.print(f"\nfrom {stats.basis}", style="dim", soft_wrap=True, markup=False)
    for shown in stats.distributions:
        console.print(f"\n{shown.title}", style="bold", markup=False)
        console.print(shown.summary, style="dim", soft_wrap=True, markup=False)
        for line in text_bars(shown):
            console.print(line, markup=False, soft_wrap=True)
    console.print("\npadding", style="bold")
    for name, share in stats.padding.items():
        console.print(f"{name}: {share:.1%}", markup=False, soft_wrap=True)


def stats_to_html(stats: Stats) -> str:
    """Return the statistics of a build as one HTML page that loads no other file."""
    padding = "".join(
        f"<tr><td>{safe(name)}</td><td><meter "
        f'value="{share:.4f}"></meter></td><td>{share:.1%}</td></tr>'
        for name, share in stats.padding.items()
    )
    body = (
        f'<h1>{safe(stats.url)}</h1><div class="card">{facts_list(stats.totals)}</div>'
        f'<p class="note">Distributions: from {safe(stats.basis)}.</p>'
        f'<div class="plots">{"".join(map(_plot, stats.distributions))}'
        '<section class="card"><h3>padding</h3><p class="note">share of a batch that is '
        "padding</p>"
        f"<table>{padding}</table></section></div>"
    )
    return page(f"{stats.url}: statistics", body, _STYLE)


def _plot(shown: Bars) -> str:
    """Return a histogram and its summary as an HTML section."""
    summary = f'<p class="note">{safe(shown.summary)}</p>'
    return f'<section class="card"><h3>{safe(shown.title)}</h3>{summary}{svg_bars(shown)}</section>'
