"""Frame of an HTML page that loads no other file, and that browsers do not allow to load one."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from noisebeam.transforms.printable import printable

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --dim: #59636e; --paper: #fff; --card: #f6f8fa;
  --line: #d1d9e0;
  --accent: #0969da; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --dim: #9198a1; --paper: #0d1117;
  --card: #151b23;
  --line: #3d444d; --accent: #4493f8; } }
* { box-sizing: border-box; }
body { font: 15px/1.6 system-ui, "Noto Sans", sans-serif; margin: 0 auto;
  padding: 1.5rem 1rem 4rem; max-width: 72rem;
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.25rem; margin: 0 0 .6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
h3 { font-size: .95rem; margin: 1.2rem 0 .4rem; }
h3 small, .note, figcaption { color: var(--dim); font-weight: 400; font-size: .85rem; }
dl { display: flex; flex-wrap: wrap; gap: .4rem 2rem; margin: 0; }
dt { color: var(--dim); font-size: .8rem; } dd { margin: 0; font-variant-numeric: tabular-nums; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .7rem .9rem; }
"""


def safe(text: str) -> str:
    """Return plain text as HTML, with control characters and marks of direction escaped."""
    return escape(printable(text))


def page(title: str, body: str, style: str = "") -> str:
    """Return a whole HTML page with a title (plain text), a body (HTML) and additional CSS
    rules.
    """
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, '
        f'initial-scale=1"><title>{safe(title)}</title>'
        f"<style>{_STYLE}{style}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def facts_list(facts: Mapping[str, str]) -> str:
    """Return names and values (plain text) as an HTML description list."""
    entries = (
        f"<div><dt>{safe(name)}</dt><dd>{safe(fact)}</dd></div>" for name, fact in facts.items()
    )
    return f"<dl>{''.join(entries)}</dl>"


def check_page_file(path: str) -> None:
    """Raise OSError, in one line, unless the folder of a page's file exists and `path` is no
    folder.
    """
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise OSError(f"--html {path}: expected an existing folder, got {folder}; make it first")
    if Path(path).is_dir():
        raise OSError(f"--html {path}: expected a file, got a folder; add the name of the file")


def write_page(path: str, html: str) -> None:
    """Write a page to a file and say so; raise OSError, in one line, on failure."""
    try:
        Path(path).write_text(html, encoding="utf-8")
    except OSError as error:
        raise OSError(f"--html {path}: cannot be written: {error.strerror}") from error
    print(f"wrote {path}")
