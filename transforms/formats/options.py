"""Settings of reading, which all formats share."""

from __future__ import annotations

import re
from dataclasses import dataclass

from noisebeam.transforms.data.settings import setting
from noisebeam.transforms.errors import did_you_mean
from noisebeam.transforms.formats.encodings import is_wide
from noisebeam.transforms.io.file_names import InputError, name_endings
from noisebeam.transforms.plugins import FORMATS, plugin_names

ENDINGS = {
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "text",
    ".md": "text",
    ".parquet": "parquet",
    ".warc": "warc",
    ".wet": "warc",
}
NAMES = ("auto", "jsonl", "text", "paragraphs", "parquet", "warc")
_WITHOUT_FIELDS = ("text", "paragraphs")
_WIKI_EXTRACT = re.compile(r"wiki_\d+(\.bz2|\.gz)?")  # files of WikiExtractor, with its --json
MAX_RECORD_BYTES = 2**30


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """Settings of how records are read from input files.

    `format` is "jsonl", "text" (each file is a document), "paragraphs" (documents separated by
    blank lines), "parquet", "warc" (web archives and their WET files), the name of a plugin's
    format, or "auto": chosen by the ending of the file's name, which is `.NAME` for the format NAME
    of a plugin. `text_field` and `id_field` are fields of a JSON record or columns of a parquet
    file; the id may be absent or null. `lang_field` is the field with a language code, such as
    "en", "zh-Hans" or "deu_Latn"; in web archives it is a header of a record. `encoding` is that of
    JSON and text, by its name in Python; a byte order mark is dropped.

    A record of more than `max_record_bytes` becomes a dead letter with its first 64 KiB, which
    bounds the memory. A worker needs about four times the size of its longest record if that is
    ASCII, six times if it is not, and ten times with characters outside Unicode's basic plane.
    Raises ValueError for values that are not valid.
    """

    format: str = setting(
        "jsonl, text (a file a document), paragraphs, parquet, warc, or auto: by file name", "auto"
    )
    text_field: str = setting("field or column that holds the text", "text", metavar="NAME")
    id_field: str = setting(
        "field or column of the id; without one it comes from the text", "id", metavar="NAME"
    )
    lang_field: str | None = setting(
        "field, column or WARC header of the language's code; --lang where it has none",
        None,
        metavar="NAME",
    )
    encoding: str = setting("encoding of text and JSON", "utf-8", metavar="NAME")
    max_record_bytes: int = MAX_RECORD_BYTES

    def __post_init__(self) -> None:
        if self.format not in NAMES and self.format not in plugin_names(FORMATS):
            known = (*NAMES, *plugin_names(FORMATS))
            raise ValueError(
                f"format: expected one of {', '.join(known)}, got {self.format!r}"
                + did_you_mean(self.format, known)
            )
        for name in ("text_field", "id_field", "lang_field"):
            value = getattr(self, name)
            if value == "" or not (
                isinstance(value, str) or (name == "lang_field" and value is None)
            ):
                raise ValueError(f"{name}: expected the name of a field, got {value!r}")
        if self.text_field == self.id_field:
            raise ValueError(
                f"id_field: expected another field than text_field, got {self.id_field!r} for both"
            )
        if self.lang_field is not None and self.format in _WITHOUT_FIELDS:
            raise ValueError(
                f"lang_field: expected only where records have fields, got it with {self.format!r}"
            )
        _check_encoding(self.encoding)
        if self.max_record_bytes < 1:
            raise ValueError(f"max_record_bytes: expected at least 1, got {self.max_record_bytes}")

    def is_input(self, url: str) -> bool:
        """Return True if a file of a folder is read: with "auto" if its name tells its format."""
        try:
            return bool(self.format_of(url))
        except InputError:
            return False

    def format_of(self, url: str) -> str:
        """Return the name of the format of a file; with "auto" by the ending of its name.

        Raises InputError if no format has this ending.

        >>> ReadOptions().format_of("corpus/books.jsonl.zst")
        'jsonl'
        """
        if self.format != "auto":
            return self.format
        ending, _ = name_endings(url)
        if ending in ENDINGS:
            return ENDINGS[ending]
        if _WIKI_EXTRACT.fullmatch(url.rpartition("/")[2]):
            return "jsonl"
        added = plugin_names(FORMATS)
        if ending[1:] in added:
            return ending[1:]
        known = ", ".join((*ENDINGS, *(f".{name}" for name in added)))
        raise InputError(
            f"format: expected a name ending in {known} (or one of these and .gz, .zst, .bz2 or "
            ".xz), "
            f"got {url!r}; name the format with --format"
        )


def _check_encoding(name: str) -> None:
    """Raise ValueError unless Python knows an encoding and its line feeds can be found."""
    try:
        "".encode(name)
        if is_wide(name) or b"\n".decode(name) == "\n":
            return
    except LookupError:
        pass
    raise ValueError(
        "encoding: expected the name of a text encoding, such as utf-8, utf-16, cp1252 or "
        f"gb18030, got {name!r}"
    )
