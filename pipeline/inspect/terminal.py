"""Output of `noisebeam inspect` for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.columns import Columns
from rich.console import Console
from rich.text import Text

from noisebeam.pipeline.inspect.mask_pictures import MaskPicture, blocks
from noisebeam.pipeline.inspect.token_view import Panel, Row
from noisebeam.pipeline.inspect.trace import GONE
from noisebeam.transforms.noise.corruption import Change
from noisebeam.transforms.printable import printable

if TYPE_CHECKING:
    from noisebeam.pipeline.inspect.token_view import InspectView

_CHIPS = ("blue", "magenta", "green", "yellow", "cyan", "red")
_STYLES = {
    Change.KEPT: "",
    Change.SPECIAL: "dim",
    Change.MOVED: "underline",
    Change.ROTATED: "underline cyan",
    Change.MASKED: "bold black on #ffd33d",
    Change.RANDOM: "black on #ffb77c",
    Change.CHOSEN: "black on #9ecbff",
    Change.SENTINEL: "bold black on #85e89d",
    Change.INSERTED: "black on #f5a3d9",
    Change.COVERED: "dim red strike",
    Change.DELETED: "red strike",
    Change.IGNORED: "dim",
    Change.LABEL: "black on #9ecbff",
}


def to_terminal(console: Console, view: InspectView) -> None:
    """Print a sample and its noise to a terminal; tokens that noise removed are left out if the
    output is not a terminal.
    """
    console.print(printable(view.title), style="bold", soft_wrap=True, markup=False)
    for name, fact in view.facts.items():
        console.print(printable(f"{name}: {fact}"), style="dim", soft_wrap=True, markup=False)
    panels = [view.source, *(panel for noised in view.noised for panel in noised.panels)]
    _print_legend(console, panels)
    _print_panel(console, view.source)
    for noised in view.noised:
        for panel in noised.panels:
            _print_panel(console, panel)
        _print_masks(console, noised.recipe.name, noised.masks)


def _print_legend(console: Console, panels: Iterable[Panel]) -> None:
    """Print a line for each kind of change that the panels have, in its style."""
    found = set[Change]().union(*(panel.changes for panel in panels)) - {Change.KEPT}
    for kind in Change:
        if kind in found and (kind not in GONE or console.is_terminal):
            console.print(
                Text.assemble("  ", (kind.name.lower(), _STYLES[kind]), f"  {kind.value}"),
                soft_wrap=True,
            )


def _print_panel(console: Console, panel: Panel) -> None:
    """Print the title of a panel, its rows of tokens or its note, and its token ids."""
    size = f" ({len(panel.ids)} tokens)" if panel.rows else f": {panel.note}"
    console.print(printable(f"\n{panel.title}{size}"), style="bold", soft_wrap=True, markup=False)
    for row in panel.rows:
        console.print(_line(row, with_gone=console.is_terminal), soft_wrap=True)
    if panel.rows:
        console.print(
            f"ids: {' '.join(map(str, panel.ids))}", style="dim", soft_wrap=True, markup=False
        )


def _line(row: Row, with_gone: bool) -> Text:
    """Return a row of tokens as a styled line that begins with the number of its sentence.

    Removed tokens are left out unless `with_gone` is True.
    """
    number = "    " if row.sentence < 0 else f"{row.sentence + 1:>3} "
    line = Text.assemble((number, _CHIPS[row.sentence % len(_CHIPS)]), ("│ ", "dim"))
    for run in row.runs:
        if with_gone or run.change not in GONE:
            line.append(printable(run.text).replace("\n", "↵"), style=_STYLES[run.change])
    return line


def _print_masks(console: Console, name: str, masks: Iterable[MaskPicture]) -> None:
    """Print the drawings of the attention masks of a recipe, side by side."""
    console.print(
        f"\n{name}: attention masks (rows: queries; columns: keys)", style="bold", markup=False
    )
    pictures = ["\n".join([printable(mask.title), *blocks(mask.picture)]) for mask in masks]
    console.print(Columns([Text(picture, no_wrap=True) for picture in pictures], padding=(0, 3)))
