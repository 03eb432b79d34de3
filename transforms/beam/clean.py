"""Cleaning documents, and dropping duplicates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from noisebeam.transforms.beam.common import counter, timed
from noisebeam.transforms.cleaning.cleaning import (
    DUPLICATES,
    NEAR_DUPLICATES,
    CleaningOptions,
    clean_document,
)
from noisebeam.transforms.cleaning.near_duplicates import (
    Entry,
    buckets,
    check_minhash,
    minhash,
    near_duplicates,
    signature,
)
from noisebeam.transforms.data.documents import Document

_COUNTS = "counts"
_SEEN = 100_000  # texts of a bundle to remember

Place = bytes  # names a document, and where it was read


class CleanDocuments(beam.PTransform):  # type: ignore[misc]
    """PTransform that cleans documents and drops some of them; the outputs are `(documents,
    counts)`.

    Documents that `options` filter out are in neither output. `counts` are pairs of a name and a
    number, how many documents were changed or dropped; WriteShards puts them into the manifest.
    Beam's counters have the same names, with dashes. `lang` is the language of documents that name
    none.

    Of equal or nearly equal documents the one with the smallest hash of id and text is kept. Memory
    is bounded: groups are read as they come from the shuffle, whatever their size. Documents go
    through one shuffle, each under its own key; near duplicates add about 3 KB for each document.
    """

    def __init__(self, options: CleaningOptions, lang: str = "en") -> None:
        super().__init__()
        self.options = options
        self.lang = lang
        if options.near_duplicates is not None:
            check_minhash()

    def expand(self, documents: Any) -> tuple[Any, Any]:
        cleaned = documents | "Clean" >> beam.ParDo(_Clean(self.options, self.lang)).with_outputs(
            _COUNTS, main="documents"
        )
        documents, done = cleaned.documents, [cleaned[_COUNTS]]
        if self.options.compares:
            documents, dropped = documents | "DropDuplicates" >> _DropDuplicates(
                self.options.near_duplicates
            )
            done += dropped
        return documents, done | beam.Flatten() | beam.combiners.Count.PerElement()

    def display_data(self) -> dict[str, Any]:
        return {name: str(value) for name, value in vars(self.options).items() if value}


class _DropDuplicates(beam.PTransform):  # type: ignore[misc]
    """PTransform that drops documents with the same text, and nearly the same text if `threshold`
    is given; outputs documents and counts.
    """

    def __init__(self, threshold: float | None) -> None:
        super().__init__()
        self.threshold = threshold

    def expand(self, documents: Any) -> tuple[Any, list[Any]]:
        new = documents | "DropSeen" >> beam.ParDo(_DropSeen()).with_outputs(
            _COUNTS, main="documents"
        )
        losers = [
            new.documents
            | "ByText" >> beam.Map(_by_text).with_output_types(tuple[bytes, Place])
            | "GroupTexts" >> beam.GroupByKey()
            | "SameTexts" >> beam.FlatMap(_same_texts).with_output_types(tuple[Place, str])
        ]
        if self.threshold is not None:
            losers.append(
                new.documents
                | "ByBand"
                >> beam.FlatMap(_by_band, self.threshold).with_output_types(tuple[bytes, Entry])
                | "GroupBands" >> beam.GroupByKey()
                | "NearTexts"
                >> beam.FlatMap(_near_texts, self.threshold).with_output_types(tuple[Place, str])
            )
        placed = new.documents | "ByPlace" >> beam.Map(_by_place).with_output_types(
            tuple[Place, Document]
        )
        kept = (
            {"documents": placed, "reasons": losers | beam.Flatten()}
            | "Join" >> beam.CoGroupByKey()
            | "Keep" >> beam.ParDo(_Keep()).with_outputs(_COUNTS, main="documents")
        )
        return kept.documents, [new[_COUNTS], kept[_COUNTS]]


def _done(name: str) -> TaggedOutput:
    """Increment the counter `name`, and return the name for the output of counts."""
    counter(name.replace("_", "-")).inc()
    return TaggedOutput(_COUNTS, name)


@beam.typehints.with_input_types(Document)
@beam.typehints.with_output_types(Document)
class _Clean(beam.DoFn):  # type: ignore[misc]
    """DoFn that cleans each document, or drops it, and counts that."""

    def __init__(self, options: CleaningOptions, lang: str) -> None:
        self._options, self._lang = options, lang

    def process(self, document: Document) -> Iterator[Any]:
        cleaned, done = clean_document(document, self._options, self._lang)
        yield from map(_done, done)
        if cleaned is not None:
            yield cleaned


@beam.typehints.with_input_types(Document)
@beam.typehints.with_output_types(Document)
class _DropSeen(beam.DoFn):  # type: ignore[misc]
    """DoFn that drops documents whose text occurred before in the bundle, so that no text of a
    million copies overflows a group.

    These would be dropped later in any case: the documents kept and counted do not depend on
    bundles.
    """

    def start_bundle(self) -> None:
        self._seen: dict[bytes, Place] = {}

    def process(self, document: Document) -> Iterator[Any]:
        text, place = _text_digest(document), _place(document)
        first = self._seen.get(text)
        if first is not None and first <= place:
            yield _done(DUPLICATES)
            return
        if len(self._seen) >= _SEEN:
            self._seen.clear()
        self._seen[text] = place
        yield document


@beam.typehints.with_output_types(Document)
class _Keep(beam.DoFn):  # type: ignore[misc]
    """DoFn that passes on each document unless it is joined with a reason to drop it, which is
    counted.

    Only documents that were not read from a file can have the same key.
    """

    def process(self, joined: tuple[Place, dict[str, Iterable[Any]]]) -> Iterator[Any]:
        _, groups = joined
        reason = min(groups["reasons"], default=None)
        for number, document in enumerate(groups["documents"]):
            if number:
                yield _done(DUPLICATES)
            elif reason is not None:
                yield _done(reason)
            else:
                yield document


def _text_digest(document: Document) -> bytes:
    """Return a hash of the text of a document: 16 bytes."""
    return blake2b(document.text.encode(), digest_size=16).digest()


def _place(document: Document) -> Place:
    """Return 32 bytes that name a document, and sort documents by a hash of id and text, then by
    position, file and language.
    """
    key = blake2b(document.id.encode() + b"\0" + document.text.encode(), digest_size=16).digest()
    position = -1 if document.position is None else document.position
    rest = f"{document.source}\0{document.lang}".encode("utf-8", "surrogatepass")
    return key + position.to_bytes(8, "big", signed=True) + blake2b(rest, digest_size=8).digest()


def _by_place(document: Document) -> tuple[Place, Document]:
    """Return a document with the bytes that name it as its key."""
    return _place(document), document


def _by_text(document: Document) -> tuple[bytes, Place]:
    """Return the hash of a document's text, and the bytes that name the document."""
    return _text_digest(document), _place(document)


def _same_texts(group: tuple[bytes, Iterable[Place]]) -> Iterator[tuple[Place, str]]:
    """Yield the documents of a group with the same text that must be dropped, all but the smallest,
    each with the reason.
    """
    _, places = group
    first = min(places)
    return ((place, DUPLICATES) for place in places if place != first)


def _by_band(document: Document, threshold: float) -> Iterator[tuple[bytes, Entry]]:
    """Yield the bucket of each MinHash band of a document, with the bytes that name it and its
    signature.
    """
    with timed("minhash"):
        values = minhash(document.text)
    entry = _place(document), signature(values)
    return ((bucket, entry) for bucket in buckets(values, threshold))


def _near_texts(
    group: tuple[bytes, Iterable[Entry]], threshold: float
) -> Iterator[tuple[Place, str]]:
    """Yield the documents of a bucket that nearly equal a smaller one, each with the reason to drop
    it.
    """
    _, entries = group
    return ((place, NEAR_DUPLICATES) for place in near_duplicates(entries, threshold))
