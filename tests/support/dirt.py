"""A corpus of good records and of every kind of bad one, made from a seed."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def _text(value: str) -> Callable[[str], bytes]:
    """A record whose text is this JSON value."""
    return lambda name: f'{{"id": "{name}", "text": {value}}}'.encode()


def _id(value: str) -> Callable[[str], bytes]:
    return lambda name: f'{{"id": {value}, "text": "The id of {name} is bad."}}'.encode()


def _raw(value: bytes) -> Callable[[str], bytes]:
    """A record whose text has these bytes in it."""
    return lambda name: b'{"id": "%s", "text": "before %s after"}' % (name.encode(), value)


def _line(value: str | bytes) -> Callable[[str], bytes]:
    encoded = value if isinstance(value, bytes) else value.encode()
    return lambda name: encoded.replace(b"NAME", name.encode())


LINES: Mapping[str, Callable[[str], bytes]] = {
    "text null": _text("null"),
    "text true": _text("true"),
    "text an integer": _text("17"),
    "text a fraction": _text("1.5"),
    "text NaN": _text("NaN"),
    "text a list": _text('["a", "b"]'),
    "text an object": _text('{"en": "a"}'),
    "text empty": _text('""'),
    "text of spaces": _text('"  \\n\\t "'),
    "text of wide spaces": _text('"\\u00a0\\u3000\\u2028"'),
    "text with an escaped NUL": _text('"a\\u0000b"'),
    "text with a high surrogate": _text('"a\\ud800b"'),
    "text with a low surrogate": _text('"a\\udfffb"'),
    "text with surrogates in the wrong order": _text('"\\ude00\\ud83d"'),
    "text with an unknown escape": _text('"a\\xb"'),
    "text with an escape cut short": _text('"a\\u12"'),
    "text missing": _line('{"id": "NAME", "title": "no text"}'),
    "text under another name": _line('{"id": "NAME", "Text": "capital"}'),
    "id a fraction": _id("1.5"),
    "id true": _id("true"),
    "id a list": _id("[1]"),
    "id an object": _id('{"a": 1}'),
    "id with a NUL": _id('"a\\u0000"'),
    "id with a surrogate": _id('"\\ud800"'),
    "raw NUL": _raw(b"\0"),
    "raw control character": _raw(b"\x07"),
    "raw carriage return": _raw(b"\r"),
    "Latin-1": _raw("é".encode("latin-1") + b" "),
    "UTF-8 cut short": _raw(b"\xe4\xbd "),
    "UTF-8 of a surrogate": _raw(b"\xed\xa0\x80"),
    "UTF-8 too long": _raw(b"\xc0\x80"),
    "UTF-8 beyond Unicode": _raw(b"\xf4\x90\x80\x80"),
    "GBK": _raw("你好".encode("gbk")),
    "an object cut short": _line('{"id": "NAME", "text": "cut'),
    "an object and more": _line('{"id": "NAME", "text": "a"} {"text": "b"}'),
    "a trailing comma": _line('{"id": "NAME", "text": "a",}'),
    "single quotes": _line("{'id': 'NAME', 'text': 'a'}"),
    "a comment": _line("// NAME"),
    "a list": _line('["NAME"]'),
    "a string": _line('"NAME"'),
    "a number": _line("17"),
    "a number of 5000 digits": _line("1" * 5000),
    "null": _line("null"),
    "brackets 100,000 deep": _line("[" * 100_000),
    "UTF-16": lambda name: '{"text": "a"}'.encode("utf-16-le"),
    "plain text": _line("NAME is no JSON."),
    "HTML": _line("<!DOCTYPE html><html><body>NAME</body></html>"),
    "CSV": _line("NAME,text,en"),
    "gzip inside": lambda name: gzip.compress(name.encode(), mtime=0).replace(b"\n", b""),
}

ROWS: Mapping[str, str | None] = {
    "row without a text": None,
    "row with an empty text": "",
    "row of spaces": " \n ",
    "row with a NUL": "a\0b",
}

FILES: Mapping[str, bytes] = {
    "file that is empty": b"",
    "file of spaces": b" \n\n",
    "file in Latin-1": "é è".encode("latin-1"),
    "file with a NUL": b"a\0b",
}


EMPTY = {
    "text empty",
    "text of spaces",
    "text of wide spaces",
    "row with an empty text",
    "row of spaces",
    "file that is empty",
    "file of spaces",
}


@dataclass
class Dirt:
    """What was written: ids of the good records, each bad one, with its kind, by file name and
    position, and the number of records without text.
    """

    good: set[str] = field(default_factory=set)
    bad: dict[tuple[str, int], tuple[str, bytes]] = field(default_factory=dict)
    empty: int = 0

    def add(self, kind: str, place: tuple[str, int], record: bytes) -> None:
        if kind in EMPTY:
            self.empty += 1
        else:
            self.bad[place] = kind, record


def write_dirt(
    folder: Path, seed: int, documents: int, share: float = 0.05, files: int = 3
) -> Dirt:
    """Write `documents` good records and, of each kind of bad one, `share` times as many."""
    rng = random.Random(seed)
    dirt = Dirt()
    each = max(1, round(documents * share))
    records: list[tuple[str | None, bytes]] = [
        (None, _good(f"good-{i}", rng)) for i in range(documents)
    ]
    records += [(kind, make(f"bad-{i}")) for kind, make in LINES.items() for i in range(each)]
    rng.shuffle(records)
    dirt.good |= {f"good-{i}" for i in range(documents)}
    for i in range(files):
        _write_lines(folder / f"lines-{i}.jsonl", records[i::files], dirt)
    _write_rows(folder / "rows.parquet", each, rng, dirt)
    for kind, content in FILES.items():
        for i in range(each):
            path = folder / f"{kind} {i}.txt"
            path.write_bytes(content)
            dirt.add(kind, (path.name, 0), content)
    return dirt


def _good(name: str, rng: random.Random) -> bytes:
    words = [
        rng.choice(["noise", "beam", "Größe", "你好", "слово", "🙂", "text"])
        for _ in range(rng.randint(3, 30))
    ]
    return json.dumps(
        {"id": name, "text": " ".join(words) + "."}, ensure_ascii=rng.random() < 0.5
    ).encode()


def _write_lines(path: Path, records: list[tuple[str | None, bytes]], dirt: Dirt) -> None:
    with path.open("wb") as file:
        for kind, record in records:
            if kind is not None:
                dirt.add(kind, (path.name, file.tell()), record)
            file.write(record + b"\n")


def _write_rows(path: Path, each: int, rng: random.Random, dirt: Dirt) -> None:
    rows: list[tuple[str | None, str, str | None]] = [
        (None, f"row-{i}", f"Row {i} is good.") for i in range(20 * each)
    ]
    rows += [(kind, f"{kind} {i}", text) for kind, text in ROWS.items() for i in range(each)]
    rng.shuffle(rows)
    for number, (kind, name, text) in enumerate(rows):
        if kind is None:
            dirt.good.add(name)
        else:
            record = json.dumps({"id": name, "text": text}).encode()
            dirt.add(kind, (path.name, number), record)
    table = pa.table({"id": [name for _, name, _ in rows], "text": [text for _, _, text in rows]})
    pq.write_table(table, path, row_group_size=max(1, len(rows) // 3))
