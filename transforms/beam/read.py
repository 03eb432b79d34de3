"""PTransforms that read documents, detect their languages and find their sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.utils.shared import Shared

from noisebeam.transforms.beam.common import (
    DEAD_LETTERS,
    counter,
    dead_letter,
    distribution,
    rejected,
    text_bytes,
    timed,
    timed_each,
)
from noisebeam.transforms.cleaning.language_detection import check_detector, detect_language
from noisebeam.transforms.data.documents import DeadLetter, Document
from noisebeam.transforms.data.languages import UNDETERMINED, language_code
from noisebeam.transforms.formats import read_documents, split_inputs
from noisebeam.transforms.formats.options import ReadOptions
from noisebeam.transforms.io.input_files import FilePart, expand_inputs
from noisebeam.transforms.segmenters.segmenters import (
    Segmenter,
    SegmenterOptions,
    load_segmenter,
)

_PARTS_FOR_ALL = 256  # of any cluster's workers
_BATCH_CHARACTERS = 64_000


class ReadDocuments(beam.PTransform):  # type: ignore[misc]
    """PTransform that reads documents from files; the outputs are `(documents, dead_letters)`.

    `patterns` are paths or fsspec URLs with globs. Raises InputError, when the pipeline is built,
    if one matches nothing. Large files are read in parts by many workers; `parts` are these parts,
    if they are known already.
    """

    def __init__(
        self,
        patterns: Sequence[str],
        options: ReadOptions = ReadOptions(),  # noqa: B008
        parts: Sequence[FilePart] | None = None,
    ) -> None:
        super().__init__()
        self.patterns = list(patterns)
        self.options = options
        self.watch: beam.PTransform | None = (
            None  # passes on the documents as they are read, before they are spread
        )
        self.parts_for_all = (
            _PARTS_FOR_ALL  # fewer than that, and documents are handed on to other workers
        )
        self.parts = (
            split_inputs(expand_inputs(self.patterns, options.is_input), options)
            if parts is None
            else list(parts)
        )

    def expand(self, pipeline: Any) -> tuple[Any, Any]:
        read = (
            pipeline
            | "Parts" >> beam.Create(self.parts, reshuffle=False)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_Read(self.options)).with_outputs(DEAD_LETTERS, main="documents")
        )
        documents = read.documents
        if self.watch is not None:
            documents |= "Watch" >> self.watch
        if self.spreads_documents:
            documents |= "SpreadDocuments" >> beam.Reshuffle()
        return documents, read[DEAD_LETTERS]

    @property
    def spreads_documents(self) -> bool:
        """True if documents are sent on to other workers after reading, because the input has few
        parts.
        """
        return len(self.parts) < self.parts_for_all

    def display_data(self) -> dict[str, Any]:
        return {
            "patterns": ", ".join(self.patterns),
            "format": self.options.format,
            "parts": len(self.parts),
        }


class DetectLanguages(beam.PTransform):  # type: ignore[misc]
    """PTransform that sets the language of documents that name none, as `detect_language` finds it;
    "und" if it is uncertain.
    """

    def __init__(self) -> None:
        super().__init__()
        check_detector()

    def expand(self, documents: Any) -> Any:
        return documents | "Detect" >> beam.Map(_with_language).with_output_types(Document)


class SegmentSentences(beam.PTransform):  # type: ignore[misc]
    """PTransform that finds the sentences of documents; the outputs are `(segmented,
    dead_letters)`.

    A segmented document is a pair of the document and its sentence spans, int64 (sentences, 2). The
    segmenter is loaded once per worker process, and gets batches of about 64,000 characters.
    Counters have the documents in each language (`documents-in-en`), those that name none
    (`documents-without-language`), and those whose language the segmenter does not know
    (`documents-by-fallback`).
    """

    def __init__(self, options: SegmenterOptions = SegmenterOptions()) -> None:  # noqa: B008
        super().__init__()
        self.options = options

    def expand(self, documents: Any) -> tuple[Any, Any]:
        segmented = (
            documents
            | "Batch"
            >> beam.BatchElements(_BATCH_CHARACTERS, _BATCH_CHARACTERS, element_size_fn=_characters)
            | "Segment"
            >> beam.ParDo(_Segment(self.options)).with_outputs(DEAD_LETTERS, main="segmented")
        )
        return segmented.segmented, segmented[DEAD_LETTERS]

    def display_data(self) -> dict[str, Any]:
        return {"segmenter": self.options.name, "lang": self.options.lang}


def _with_language(document: Document) -> Document:
    """Return the document with its language; if it names none, with the detected one."""
    if document.lang is not None:
        return document
    with timed("detect"):
        return replace(document, lang=detect_language(document.text))


def _characters(document: Document) -> int:
    """Return the number of characters of a document's text."""
    return len(document.text)


@beam.typehints.with_input_types(FilePart)
@beam.typehints.with_output_types(Document)
class _Read(beam.DoFn):  # type: ignore[misc]
    """DoFn that reads the documents and dead letters in a part of a file."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options

    def process(self, part: FilePart) -> Iterator[Any]:
        documents, size = counter("documents"), counter("text-bytes")
        characters = distribution("document-characters")
        for record in timed_each("read", read_documents(part, self._options)):
            if isinstance(record, DeadLetter):
                yield dead_letter(record)
            else:
                documents.inc()
                size.inc(text_bytes(record))
                characters.update(len(record.text))
                yield record


@beam.typehints.with_input_types(list[Document])
@beam.typehints.with_output_types(tuple[Document, np.ndarray])
class _Segment(beam.DoFn):  # type: ignore[misc]
    """DoFn that finds the sentences of documents; a document without sentences becomes a dead
    letter.
    """

    def __init__(self, options: SegmenterOptions) -> None:
        self._options = options
        self._shared = Shared()

    def setup(self) -> None:
        self._segmenter: Segmenter = self._shared.acquire(
            lambda: load_segmenter(self._options), tag=self._options
        )

    def process(self, documents: list[Document]) -> Iterator[Any]:
        sentences, per_document = counter("sentences"), distribution("document-sentences")
        texts, langs = (
            [document.text for document in documents],
            [document.lang for document in documents],
        )
        with timed("segment"):
            found = self._segmenter.segment(texts, langs)
        self._count(langs)
        for document, spans in zip(documents, found, strict=True):
            if len(spans):
                sentences.inc(len(spans))
                per_document.update(len(spans))
                yield document, np.asarray(spans, dtype=np.int64)
            else:
                yield rejected(
                    document, f"segmenter {self._options.name!r} found no sentence in the text"
                )

    def _count(self, langs: Sequence[str | None]) -> None:
        """Count the documents by language; `langs` has the language of each, or None."""
        for lang, number in Counter(langs).items():
            code = language_code(lang or self._options.lang) or UNDETERMINED
            counter(f"documents-in-{code}").inc(number)
            if lang is None:
                counter("documents-without-language").inc(number)
            if self._options.falls_back(lang):
                counter("documents-by-fallback").inc(number)
