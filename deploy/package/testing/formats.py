"""Laws that every document format must obey."""

from __future__ import annotations

import gzip
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from noisebeam.testing.laws import no_error, require
from noisebeam.transforms.data.documents import (
    BadRecordError,
    DeadLetter,
    Document,
    make_document,
)
from noisebeam.transforms.formats import Format, ReadOptions
from noisebeam.transforms.io.compression import DamagedFileError
from noisebeam.transforms.io.input_files import FilePart

Record = Document | DeadLetter
ReadPart = Callable[[FilePart, ReadOptions], Iterator[Record]]

_PART_SIZES = (1, 7, 64, 1000, 2**20)  # bytes


def check_format(
    reader: Format | ReadPart,
    content: bytes,
    *,
    ending: str,
    documents: Sequence[Document | str] | None = None,
    bad_records: Sequence[bytes] | None = None,
    options: ReadOptions | None = None,
    damages: int = 100,
    seed: int = 0,
) -> None:
    """Raise BrokenLawError if a format breaks a law on a file with this content.

    `ending` is the end of such a file's name, as ".csv". `documents`, if given, are the documents
    (or their texts) that a reader has to find, in order; `bad_records` are the bytes of the records
    that have to become dead letters, in order. `options` are passed to the reader.

    The laws: every record is a document or a dead letter; ids and texts of documents are valid;
    positions ascend; the same records in every reading, from a compressed file, and from parts of
    any size; a damaged file (`damages` random ones) raises DamagedFileError at most, and keeps the
    documents whose bytes lie before a cut.

    >>> from noisebeam.transforms.formats import FORMATS
    >>> lines = b'{"id": "a", "text": "One."}\\nbad\\n{"id": "b", "text": "Two."}\\n'
    >>> good, bad = ["One.", "Two."], [b"bad"]
    >>> check_format(FORMATS["jsonl"], lines, ending=".jsonl", documents=good, bad_records=bad)
    """
    form = reader if isinstance(reader, Format) else Format(reader)
    name = getattr(form.read, "__name__", "format")
    options = options or ReadOptions()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"file{ending}")
        path.write_bytes(content)
        whole = _read_all(form, name, path, options)
        _check_records(name, whole, path.name)
        _check_positions(name, whole)
        _check_expected(name, whole, documents, content)
        _check_bad_records(name, whole, bad_records)
        _check_again(form, name, path, options, whole)
        _check_parts(form, name, path, options, whole)
        _check_compressed(form, name, path, options, whole)
        _check_damage(form, name, path, options, whole, damages, seed)


def _read(form: Format, path: Path, options: ReadOptions, part_bytes: int) -> list[Record]:
    """Return the records of all parts of a file; for a damaged file, the records before the damage
    and a dead letter.
    """
    records: list[Record] = []
    for part in form.split(str(path), options, part_bytes):
        try:
            records.extend(form.read(part, options))
        except DamagedFileError as error:
            records.append(DeadLetter(str(path), None, str(error), None))
    return records


def _read_all(form: Format, name: str, path: Path, options: ReadOptions) -> list[Record]:
    """Return the records of a file read as one part; raise BrokenLawError for an exception."""
    with no_error(name, "read a whole file", path.name):
        return _read(form, path, options, 2**40)


def _check_records(name: str, records: Sequence[Record], given: str) -> None:
    """Raise BrokenLawError if a record is neither a valid document nor a dead letter."""
    for record in records:
        law, kind = "every record is a Document or a DeadLetter", type(record).__name__
        valid = isinstance(record, Document | DeadLetter)
        require(valid, name, law, expected="Document or DeadLetter", got=kind, given=given)
        if isinstance(record, Document):
            _check_document(name, record)


def _check_positions(name: str, records: Sequence[Record]) -> None:
    """Raise BrokenLawError unless the positions of the records in their file ascend."""
    positions = [record.position for record in records if record.position is not None]
    law, lawful = "positions ascend", positions == sorted(positions)
    require(lawful, name, law, expected=sorted(positions), got=positions, given="the whole file")


def _check_bad_records(
    name: str, records: Sequence[Record], expected: Sequence[bytes] | None
) -> None:
    """Raise BrokenLawError unless the dead letters contain exactly the expected records, whole;
    None expects nothing.
    """
    if expected is not None:
        found = [record.record for record in records if isinstance(record, DeadLetter)]
        law = "dead letters hold their records whole"
        whole, wanted = found == list(expected), list(expected)
        require(whole, name, law, expected=wanted, got=found, given="the whole file")


def _check_document(name: str, document: Document) -> None:
    """Raise BrokenLawError if the id or the text of a document is not valid."""
    try:
        make_document(document.id, document.text)
    except BadRecordError as error:
        law = "ids and texts of documents are valid"
        require(False, name, law, expected="a valid document", got=str(error), given=document)


def _check_expected(
    name: str,
    records: Sequence[Record],
    expected: Sequence[Document | str] | None,
    content: bytes,
) -> None:
    """Raise BrokenLawError unless the documents are the expected ones; with None, unless there is a
    document.
    """
    found = [record for record in records if isinstance(record, Document)]
    law = "the documents of the file are found"
    if expected is None:
        require(bool(found), name, law, expected="a document", got="none", given=content)
        return
    wanted = list(expected)
    texts = [
        document.text if isinstance(want, str) else document
        for want, document in zip(wanted, found, strict=False)
    ]
    same = texts == wanted and len(found) == len(wanted)
    require(same, name, law, expected=wanted, got=[one.text for one in found], given=content)


def _check_again(
    form: Format, name: str, path: Path, options: ReadOptions, whole: Sequence[Record]
) -> None:
    """Raise BrokenLawError unless a second reading returns the same records."""
    again = _read_all(form, name, path, options)
    law = "the same records in every reading"
    require(again == whole, name, law, expected=whole, got=again, given=path.name)


def _check_parts(
    form: Format, name: str, path: Path, options: ReadOptions, whole: Sequence[Record]
) -> None:
    """Raise BrokenLawError unless parts of every size have together the same records as the whole
    file.
    """
    law = "the same records from parts of any size"
    for size in _PART_SIZES:
        given = f"parts of {size} bytes"
        with no_error(name, law, given):
            parts = _read(form, path, options, size)
        require(parts == list(whole), name, law, expected=whole, got=parts, given=given)


def _check_compressed(
    form: Format, name: str, path: Path, options: ReadOptions, whole: Sequence[Record]
) -> None:
    """Raise BrokenLawError unless a gzip copy of the file has the same texts, or is refused by the
    format.
    """
    law, packed = "the same texts from a compressed file, or a refusal", Path(f"{path}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    records = _read_all(form, name, packed, options)
    refused = all(isinstance(record, DeadLetter) and record.record is None for record in records)
    texts, wanted = _texts(records), _texts(whole)
    require(refused or texts == wanted, name, law, expected=wanted, got=texts, given=packed.name)


def _texts(records: Sequence[Record]) -> list[str]:
    """Return the texts of the documents among records."""
    return [record.text for record in records if isinstance(record, Document)]


def _check_damage(
    form: Format,
    name: str,
    path: Path,
    options: ReadOptions,
    whole: Sequence[Record],
    damages: int,
    seed: int,
) -> None:
    """Raise BrokenLawError if a damaged copy of the file breaks the reader, or loses documents
    before the damage.

    `damages` copies are cut off or have a bit flipped, at random.
    """
    content, source = path.read_bytes(), random.Random(seed)
    for i in range(damages):
        cut = source.randrange(len(content) + 1)
        flipped = bytearray(content)
        flipped[min(cut, len(content) - 1)] ^= 1 << source.randrange(8)
        damaged = content[:cut] if i % 2 else bytes(flipped)
        path.write_bytes(damaged)
        given = f"cut at byte {cut}" if i % 2 else f"bit flipped in byte {cut}"
        with no_error(name, "a damaged file raises nothing but DamagedFileError", given):
            records = _read(form, path, options, 2**40)
        _check_records(name, records, given)
        before = [
            record
            for record in whole
            if isinstance(record, Document)
            and record.position is not None
            and record.size is not None
            and record.position + record.size < cut
        ]
        found = [record for record in records if isinstance(record, Document)]
        law = "documents before a cut are kept"
        lost = i % 2 and found[: len(before)] != before
        require(not lost, name, law, expected=before, got=found, given=given)
    path.write_bytes(content)
