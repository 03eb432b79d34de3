"""The HTML page of `noisebeam inspect`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from noisebeam.pipeline.inspect.html_page import facts_list, page, safe
from noisebeam.pipeline.inspect.mask_pictures import MaskPicture, data_uri
from noisebeam.pipeline.inspect.token_view import Panel, Row, Run
from noisebeam.pipeline.inspect.trace import GONE
from noisebeam.transforms.noise.corruption import Change

if TYPE_CHECKING:
    from noisebeam.pipeline.inspect.token_view import InspectView

_HUE = 137  # degrees between the colours of neighbouring sentences

_TAGS = {
    **dict.fromkeys((Change.MOVED, Change.ROTATED), "span"),
    **dict.fromkeys((Change.COVERED, Change.DELETED), "s"),
    # Latin, in any script
    **dict.fromkeys((Change.SPECIAL, Change.MASKED, Change.SENTINEL, Change.IGNORED), "bdi"),
}

_STYLE = """
:root { --masked: #ffdf5d; --random: #ffc9a3; --chosen: #c8e1ff; --sentinel: #9be9a8;
  --inserted: #f5c2e7;
  --gone: #cf222e; --moved: #8250df; --rotated: #0a7ea4; --chip: 92%; --chip-ink: 30%; }
@media (prefers-color-scheme: dark) { :root { --masked: #7a5c00; --random: #8a4310;
  --chosen: #1f4a7d;
  --sentinel: #1b6b2f; --inserted: #7d3069; --gone: #ff7b72; --moved: #bc8cff; --rotated: #4cc2e6;
  --chip: 22%; --chip-ink: 82%; } }
.row { display: grid; grid-template-columns: 2.6rem 1fr; gap: .6rem; padding: .12rem 0; }
.row p { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; text-align: start; }
.chip { justify-self: end; align-self: start; min-width: 2rem; margin-top: .22rem;
  padding: 0 .45rem;
  border-radius: 99px; font-size: .75rem; text-align: center; font-variant-numeric: tabular-nums;
  background: hsl(var(--h) 55% var(--chip)); color: hsl(var(--h) 60% var(--chip-ink)); }
mark, bdi { color: inherit; border-radius: 4px; padding: .05em .2em; margin: 0 .1em; }
.masked { background: var(--masked); font-weight: 600; } .random { background: var(--random); }
.chosen { background: var(--chosen); } .sentinel { background: var(--sentinel); font-weight: 600; }
.inserted { background: var(--inserted); } .label { background: var(--chosen); }
.moved { text-decoration: underline 2px var(--moved); text-underline-offset: 4px; }
.rotated { text-decoration: underline 2px wavy var(--rotated); text-underline-offset: 4px; }
.special, .ignored { color: var(--dim); font-size: .85em; }
s { color: var(--gone); opacity: .85; text-decoration-thickness: 1.5px; }
s.covered { font-size: .85em; opacity: .7; }
body:has(#gone:not(:checked)) .row s { display: none; }
.nl { color: var(--dim); opacity: .7; } mark .nl, s .nl { color: inherit; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; margin: .9rem 0 0; padding: 0;
  list-style: none; font-size: .85rem; }
.toggle { display: inline-block; margin-top: .6rem; font-size: .85rem; cursor: pointer; }
details { margin: .3rem 0 0 3.2rem; font-size: .8rem; color: var(--dim); }
.ids { font-family: ui-monospace, monospace; overflow-wrap: anywhere; margin: .2rem 0; }
.masks { display: flex; flex-wrap: wrap; gap: 1.4rem; margin-top: .4rem; }
figure { margin: 0; } figcaption { max-width: 15rem; }
figure img { display: block; width: 13rem; height: 13rem; object-fit: contain;
  object-position: left top;
  image-rendering: pixelated; border: 1px solid var(--line); background: var(--paper); }
"""


def to_html(view: InspectView) -> str:
    """Return a sample and its noise as one HTML page that loads no other file."""
    noised = (
        f"<section><h2>{safe(noised.recipe.name)} <small>objective: "
        f"{noised.recipe.objective}</small></h2>"
        f"{''.join(map(_panel, noised.panels))}{_masks(noised.masks)}</section>"
        for noised in view.noised
    )
    panels = [view.source, *(panel for noised in view.noised for panel in noised.panels)]
    body = (
        f"<h1>{safe(view.title)}</h1><div "
        f'class="card">{facts_list(view.facts)}{_legend(panels)}</div>'
        f"{_panel(view.source)}{''.join(noised)}"
    )
    return page(view.title, body, _STYLE)


def _legend(panels: list[Panel]) -> str:
    """Return the legend of the kinds of changes that the panels have, as HTML."""
    found = set[Change]().union(*(panel.changes for panel in panels))
    entries = "".join(
        f"<li>{_styled(kind, kind.name.lower())} {kind.value}</li>"
        for kind in Change
        if kind in found
    )
    toggle = (
        '<label class="toggle"><input type="checkbox" id="gone" checked> show what is gone '
        "from the input</label>"
    )
    return f'<ul class="legend">{entries}</ul>{toggle if found & set(GONE) else ""}'


def _panel(panel: Panel) -> str:
    """Return a panel (titled sequence of tokens) as HTML, with the token ids to unfold."""
    head = (
        f"<h3>{safe(panel.title)} <small>{len(panel.ids):,} tokens</small></h3>"
        if panel.rows
        else ""
    )
    if not panel.rows:
        return f'<h3>{safe(panel.title)}</h3><p class="note">{safe(panel.note)}</p>'
    ids = (
        "<details><summary>ids</summary><p "
        f'class="ids">{" ".join(map(str, panel.ids))}</p></details>'
    )
    return head + "".join(map(_row, panel.rows)) + ids


def _row(row: Row) -> str:
    """Return the tokens of one sentence as HTML, with the number of the sentence."""
    hue = row.sentence * _HUE % 360
    chip = (
        f'<span class="chip" style="--h:{hue}">{row.sentence + 1}</span>'
        if row.sentence >= 0
        else "<span></span>"
    )
    return f'<div class="row">{chip}<p dir="auto">{"".join(_runs(row))}</p></div>'


def _runs(row: Row) -> Iterator[str]:
    """Yield each run of tokens with the same change as HTML."""
    for run in row.runs:
        yield _styled(run.change, run.text, _title(run))


def _title(run: Run) -> str:
    """Return the text that is shown when the pointer is over a run of tokens."""
    return f"{run.change.name.lower()}: {run.change.value}; ids {' '.join(map(str, run.ids[:20]))}"


def _styled(kind: Change, text: str, title: str = "") -> str:
    """Return text as HTML in the style of a change; `title` is shown when the pointer is
    over it.
    """
    shown = safe(text).replace("\n", '<span class="nl">↵</span><wbr>')
    if kind is Change.KEPT:
        return shown
    space = shown[: len(shown) - len(shown.lstrip(" "))]
    name, tag = kind.name.lower(), _TAGS.get(kind, "mark")
    tip = f' title="{safe(title)}"' if title else ""
    return f'{space}<{tag} class="{name}"{tip}>{shown.lstrip(" ")}</{tag}>'


def _masks(masks: tuple[MaskPicture, ...]) -> str:
    """Return the drawings of attention masks as HTML images."""
    figures = (
        f'<figure><img alt="attention mask: {safe(mask.title)}" src="{data_uri(mask.picture)}">'
        f"<figcaption>{safe(mask.title)}<br>{mask.picture.shape[0]:,} queries × "
        f"{mask.picture.shape[1]:,} keys"
        "</figcaption></figure>"
        for mask in masks
    )
    note = "a row a query, a column a key; blue is seen, grey is padding"
    return (
        f'<h3>attention masks <small>{note}</small></h3><div class="masks">{"".join(figures)}</div>'
    )
