"""Documents, and the dead letters of bad records.

    record of an input file -> Document, or DeadLetter with the reason

Every record becomes one of the two. A document without an id is named by a hash of its text, so
that it has the same name wherever it is read from.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from operator import index

from noisebeam.transforms.data.languages import language_code

_CHARACTERS = 2**20  # of a text that are looked at together


# How the reasons begin of a record without text, and of one without the field of the text.
NO_TEXT = "expected a text, got "
NO_FIELD = "expected a text in field "


class BadRecordError(ValueError):
    """Error: a record of an input file is not a document; the text says what was expected and what
    was found.
    """


@dataclass(frozen=True, slots=True)
class Document:
    """One text of the corpus: not empty, without NUL characters, and valid as UTF-8.

    `lang` is a language code such as "en", None if unknown. `source` is the file and `position` the
    place in it from which the document was read, as in `DeadLetter`; `size` is the number of bytes
    of its record (None in formats such as parquet). These last three are not compared: documents
    that differ in them alone are equal.
    """

    id: str
    text: str
    lang: str | None = None
    source: str = field(default="", compare=False)
    position: int | None = field(default=None, compare=False)
    size: int | None = field(default=None, compare=False)

    def to_bytes(self) -> bytes:
        """Return the document as bytes, the same for equal documents read at the same position.

        The bytes are not a pickle: reading them runs no code, and needs no second copy of the text.
        """
        numbers = [
            None if number is None else index(number) for number in (self.position, self.size)
        ]
        header = json.dumps([self.id, self.lang, self.source, *numbers]).encode()
        return b"".join(
            [len(header).to_bytes(8, "little"), header, self.text.encode("utf-8", "surrogatepass")]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Document:
        """Return the document that `to_bytes` wrote.

        >>> Document.from_bytes(Document("a", "One.", source="a.txt").to_bytes())
        Document(id='a', text='One.', lang=None, source='a.txt', position=None, size=None)
        """
        start = 8 + int.from_bytes(data[:8], "little")
        identifier, lang, source, position, size = json.loads(data[8:start])
        return cls(
            identifier,
            str(memoryview(data)[start:], "utf-8", "surrogatepass"),
            lang,
            source,
            position,
            size,
        )


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of an input file that is not a document: the whole record, where it was read, and
    the reason.

    `position` is the byte offset of the record in the decompressed file; in parquet the number of
    the row. If the file itself cannot be read to its end, `position` and `record` are None.
    """

    source: str
    position: int | None
    reason: str
    record: bytes | None

    @property
    def has_no_text(self) -> bool:
        """True if the record is a document whose text is empty: builds drop and count it."""
        return self.reason.startswith(NO_TEXT)

    @property
    def kind(self) -> str:
        """Part of the reason that says what was expected of the record."""
        return self.reason.partition(", got ")[0]

    def to_json(self) -> str:
        """Return the dead letter as one line of JSON.

        A record that is not UTF-8, or mostly NUL, is written in base64 as `record_base64`.

        >>> DeadLetter("a.jsonl", 7, "no object", b"1").to_json()
        '{"source": "a.jsonl", "position": 7, "reason": "no object", "record": "1"}'
        """
        fields: dict[str, str | int | None] = {
            "source": self.source,
            "position": self.position,
            "reason": self.reason,
            "record": None,
        }
        record = self.record or b""
        try:
            if 2 * record.count(b"\0") > len(record):  # each of them would be six bytes of JSON
                raise ValueError
            fields["record"] = None if self.record is None else record.decode("utf-8")
        except ValueError:
            del fields["record"]
            fields["record_base64"] = base64.b64encode(record).decode("ascii")
        return json.dumps(fields)


def make_document(identifier: str | None, text: str) -> Document:
    """Return the document of a text; if `identifier` is None, its id is a hash of the text.

    Raises BadRecordError if the text is empty, or if text or id contain NUL or lone surrogates.

    >>> make_document(None, "One.").id
    'dcc47be7abc04d47807ee464d18fba2d'
    """
    if not text or text.isspace():
        raise BadRecordError(NO_TEXT + ("white space only" if text else "an empty one"))
    _check_characters("text", text)
    if identifier is None:
        return Document(hashlib.blake2b(text.encode(), digest_size=16).hexdigest(), text)
    _check_characters("id", identifier)
    return Document(identifier, text)


def document_of_fields(
    fields: dict[str, object], text_field: str, id_field: str, lang_field: str | None = None
) -> Document:
    """Return the document of a record, given its fields by name and the names of the fields with
    text, id and language.

    The id may be absent, null or an integer. A language that is absent, or is not of the form of a
    language code, becomes None; so it does if `lang_field` is None. Raises BadRecordError if text
    or id have another type.
    """
    if text_field not in fields:
        names = ", ".join(repr(name)[:40] for name in list(fields)[:8]) or "none"
        raise BadRecordError(f"{NO_FIELD}{text_field!r}, got the fields: {names}")
    text, identifier = fields[text_field], fields.get(id_field)
    if not isinstance(text, str):
        raise BadRecordError(f"expected a string in field {text_field!r}, got {kind_of(text)}")
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        identifier = str(identifier)
    if not isinstance(identifier, str | None):
        raise BadRecordError(
            f"expected a string or an integer in field {id_field!r}, got {kind_of(identifier)}"
        )
    lang = None if lang_field is None else fields.get(lang_field)
    return replace(
        make_document(identifier, text), lang=language_code(lang) if isinstance(lang, str) else None
    )


def kind_of(value: object) -> str:
    """Return the type of a value of JSON in words, for error texts.

    >>> kind_of(None), kind_of([1]), kind_of(b"x")
    ('null', 'an array', 'bytes')
    """
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    names = {
        str: "a string",
        dict: "an object",
        list: "an array",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), type(value).__name__)


def decode(record: bytes, encoding: str) -> str:
    """Return the text that `record` encodes; raise BadRecordError if the bytes are not valid in
    `encoding`.
    """
    try:
        return record.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadRecordError(describe_undecodable(error, encoding)) from error


def describe_undecodable(error: UnicodeDecodeError, encoding: str = "utf-8") -> str:
    """Return a text for the dead letter of bytes that are not valid in `encoding`: the first bad
    byte, its position and the reason.
    """
    found = f"0x{error.object[error.start]:02x} at byte {error.start} ({error.reason})"
    return f"expected {encoding.upper()}, got {found}"


def _check_characters(name: str, value: str) -> None:
    """Raise BadRecordError if `value`, the field `name` of a record, contains NUL or lone
    surrogates.
    """
    if "\0" in value:
        raise BadRecordError(
            f"expected {name} without NUL, got one at character {value.index(chr(0))}"
        )
    for at in range(0, 0 if value.isascii() else len(value), _CHARACTERS):
        try:
            value[at : at + _CHARACTERS].encode("utf-8")
        except UnicodeEncodeError as error:
            found = f"U+{ord(value[at + error.start]):04X} at character {at + error.start}"
            raise BadRecordError(f"expected {name} without lone surrogates, got {found}") from error
