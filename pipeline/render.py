"""Panels of tokens, in a terminal and as HTML."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from noisebeam.pipeline.inspect import Panel

_COLOURS = ("#1f6feb", "#8250df", "#116329", "#9a6700", "#bf3989", "#0a6e6e", "#953800", "#57606a")
_NEW = "bold black on #ffd33d"
_STYLE = """
body { font: 15px/1.6 system-ui, sans-serif; margin: 2em auto; max-width: 60em; color: #1f2328; background: #fff; }
h1 { font-size: 1.2em; } h2 { font-size: 1em; margin: 1.6em 0 0.3em; } p { margin: 0; white-space: pre-wrap; }
.new { background: #ffd33d; font-weight: 600; border-radius: 3px; } .ids { font: 12px/1.5 monospace; color: #57606a; }
"""


def colour_of(origin: int) -> str:
    """The colour of a sentence of the source."""
    return _COLOURS[origin % len(_COLOURS)]


def to_terminal(console: Console, title: str, panels: Iterable[Panel]) -> None:
    """Print the panels; each sentence has a colour that it keeps wherever it goes, and new tokens are marked."""
    console.print(title, style="bold", soft_wrap=True, markup=False)
    for panel in panels:
        console.print(f"\n{panel.title} ({len(panel.ids)} tokens)", style="bold underline", markup=False)
        text = Text()
        for run in panel.runs:
            text.append(run.text, style=_NEW if run.origin < 0 else colour_of(run.origin))
        console.print(text, soft_wrap=True)
        console.print(f"ids: {' '.join(map(str, panel.ids))}", style="dim", soft_wrap=True, markup=False)


def to_html(title: str, panels: Iterable[Panel]) -> str:
    """The panels as one HTML page that needs nothing else."""
    body = [f"<h1>{escape(title)}</h1>"]
    for panel in panels:
        body.append(f"<h2>{escape(panel.title)} ({len(panel.ids)} tokens)</h2>")
        runs = (
            f'<span class="new">{escape(run.text)}</span>'
            if run.origin < 0
            else f'<span style="color:{colour_of(run.origin)}">{escape(run.text)}</span>'
            for run in panel.runs
        )
        body.append(f"<p>{''.join(runs)}</p>")
        body.append(f'<details><summary>ids</summary><p class="ids">{" ".join(map(str, panel.ids))}</p></details>')
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"
