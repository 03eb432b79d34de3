"""The PTransforms over rows with schemas, for Beam YAML: `provider.yaml` beside this file offers them there.

Documents are rows of `id`, `text`, `lang`, `source` and `position`, of which only `text` has to be there. Sentences are
`starts` and `ends` in the text. Windows and samples have `fields`, lists of whole numbers by name; keys are signed.
Transforms that can meet a bad record have two outputs, the second of which is `dead_letters`.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.typehints.row_type import RowTypeConstraint

import noisebeam.transforms.beam as plain
from noisebeam.transforms.beam.common import DEAD_LETTERS, dead_letter
from noisebeam.transforms.beam.read import SegmentedDocument
from noisebeam.transforms.cleaning import CleaningOptions
from noisebeam.transforms.documents import BadRecordError, DeadLetter, Document, make_document
from noisebeam.transforms.finish import Failure
from noisebeam.transforms.formats import ReadOptions
from noisebeam.transforms.manifest import MANIFEST_NAME, Manifest
from noisebeam.transforms.noise import load_recipe
from noisebeam.transforms.samples import Array, Sample
from noisebeam.transforms.segmenters import SegmenterOptions
from noisebeam.transforms.start import plan_manifest, start_output
from noisebeam.transforms.storage import join
from noisebeam.transforms.tokenizer import load_tokenizer
from noisebeam.transforms.windows import Window, WindowOptions

Fields = Mapping[str, Sequence[int]]
_PLACE = [("source", str), ("position", int | None)]
_SPANS = [("starts", Sequence[int]), ("ends", Sequence[int])]
_DOCUMENT = [("id", str), ("text", str), ("lang", str | None), *_PLACE]
_SEGMENTED = [*_DOCUMENT, *_SPANS]
_WINDOW = [
    ("document", str),
    ("document_key", int),
    ("window", int),
    ("text", str),
    *_SPANS,
    ("fields", Fields | None),
]
_SAMPLE = [("key", int), ("document", str), ("window", int), ("fields", Fields)]
_LETTER = [*_PLACE, ("reason", str), ("record", bytes | None)]
_COUNT = [("name", str), ("number", int)]
_WRITTEN = [("manifest", str), ("samples", int), ("tokens", int)]


class ReadDocuments(beam.PTransform):  # type: ignore[misc]
    """Read documents from files: outputs `documents` and `dead_letters`.

    Args:
      input: Paths or fsspec URLs, with globs.
      format: jsonl, text, paragraphs, parquet, warc, or auto, which goes by the names of the files.
      text_field: Field that holds the text.
      id_field: Field that holds the id; without one it comes from the text.
      lang_field: Field that holds the code of the language, if there is one.
    """

    def __init__(
        self,
        input: list[str],
        format: str = "auto",
        text_field: str = "text",
        id_field: str = "id",
        lang_field: str | None = None,
    ) -> None:
        super().__init__()
        options = ReadOptions(format=format, text_field=text_field, id_field=id_field, lang_field=lang_field)
        self._read = plain.ReadDocuments(input, options)

    def expand(self, pipeline: Any) -> dict[str, Any]:
        documents, letters = pipeline | "Read" >> self._read
        return {"documents": documents | "Rows" >> _map(_document_row, _DOCUMENT), DEAD_LETTERS: letters | _letters()}


class CleanDocuments(beam.PTransform):  # type: ignore[misc]
    """Mend documents, and drop those not wanted: outputs `documents`, `counts` of what was done, and `dead_letters`.

    Args:
      normalize: Bring the text to Unicode's form NFC.
      remove_controls: Remove control characters but tabs and line ends.
      min_chars: Drop documents of fewer characters.
      max_chars: Drop documents of more characters.
      keep_langs: Drop documents in other languages.
      drop_duplicates: Of documents with the same text keep one.
      near_duplicates: Of documents at least this similar (0.5 to 1) keep one.
      lang: Language of documents that do not say theirs.
    """

    def __init__(
        self,
        normalize: bool = False,
        remove_controls: bool = False,
        min_chars: int | None = None,
        max_chars: int | None = None,
        keep_langs: list[str] | None = None,
        drop_duplicates: bool = False,
        near_duplicates: float | None = None,
        lang: str = "en",
    ) -> None:
        super().__init__()
        options = CleaningOptions(
            normalize=normalize,
            remove_controls=remove_controls,
            min_chars=min_chars,
            max_chars=max_chars,
            keep_langs=tuple(keep_langs or ()),
            drop_duplicates=drop_duplicates,
            near_duplicates=near_duplicates,
        )
        self._clean = plain.CleanDocuments(options, lang)

    def expand(self, rows: Any) -> dict[str, Any]:
        documents = rows | "Documents" >> beam.ParDo(_ToDocuments()).with_outputs(DEAD_LETTERS, main="documents")
        cleaned, counts = documents.documents | "Clean" >> self._clean
        return {
            "documents": cleaned | "Rows" >> _map(_document_row, _DOCUMENT),
            "counts": counts | "CountRows" >> _map(_count_row, _COUNT),
            DEAD_LETTERS: documents[DEAD_LETTERS] | _letters(),
        }


class SegmentSentences(beam.PTransform):  # type: ignore[misc]
    """Find the sentences of documents: outputs `sentences` and `dead_letters`.

    Args:
      segmenter: sentencex, stanza, lines, package.module:function, or the name that a package gives.
      lang: Language of documents that do not say theirs, as an ISO 639-1 code.
    """

    def __init__(self, segmenter: str = "sentencex", lang: str = "en") -> None:
        super().__init__()
        self._segment = plain.SegmentSentences(SegmenterOptions(name=segmenter, lang=lang))

    def expand(self, rows: Any) -> dict[str, Any]:
        documents = rows | "Documents" >> beam.ParDo(_ToDocuments()).with_outputs(DEAD_LETTERS, main="documents")
        segmented, letters = documents.documents | "Segment" >> self._segment
        bad = (documents[DEAD_LETTERS], letters) | beam.Flatten()
        return {"sentences": segmented | "Rows" >> _map(_segmented_row, _SEGMENTED), DEAD_LETTERS: bad | _letters()}


class BuildWindows(beam.PTransform):  # type: ignore[misc]
    """Group the sentences of each document into windows: outputs `windows` and `dead_letters`.

    Args:
      tokenizer: Hugging Face tokenizer: a folder, a URL or a hub name.
      max_tokens: Largest window, special tokens counted.
      window_sentences: Slide windows of so many sentences instead of filling them.
      stride: Sentences from one window to the next.
    """

    def __init__(
        self,
        tokenizer: str,
        max_tokens: int = 512,
        window_sentences: int | None = None,
        stride: int | None = None,
    ) -> None:
        super().__init__()
        self._build = plain.BuildWindows(tokenizer, WindowOptions(max_tokens, window_sentences, stride))

    def expand(self, rows: Any) -> dict[str, Any]:
        segmented = rows | "Sentences" >> beam.Map(_segmented_of).with_output_types(tuple[Document, np.ndarray])
        windows, letters = segmented | "Build" >> self._build
        return {"windows": windows | "Rows" >> _map(_window_row, _WINDOW), DEAD_LETTERS: letters | _letters()}


class EncodeWindows(beam.PTransform):  # type: ignore[misc]
    """Turn windows into samples; those without `fields` have their texts encoded.

    Args:
      tokenizer: Hugging Face tokenizer: a folder, a URL or a hub name.
    """

    def __init__(self, tokenizer: str) -> None:
        super().__init__()
        self._encode = plain.EncodeWindows(tokenizer)

    def expand(self, rows: Any) -> Any:
        windows = rows | "Windows" >> beam.Map(_window_of).with_output_types(Window)
        return windows | "Encode" >> self._encode | "Rows" >> _map(_sample_row, _SAMPLE)


class ApplyNoise(beam.PTransform):  # type: ignore[misc]
    """Corrupt samples by a recipe: adds `input_ids` and `labels` to their fields.

    Args:
      recipe: A preset or a YAML file.
      tokenizer: Hugging Face tokenizer: a folder, a URL or a hub name.
      seed: Seed of the noise.
      epoch: Epoch of the noise.
    """

    def __init__(self, recipe: str, tokenizer: str, seed: int, epoch: int = 0) -> None:
        super().__init__()
        self._apply = plain.ApplyNoise(recipe, tokenizer, seed, epoch)

    def expand(self, rows: Any) -> Any:
        return rows | "Samples" >> _samples() | "Apply" >> self._apply | "Rows" >> _map(_sample_row, _SAMPLE)


class WriteShards(beam.PTransform):  # type: ignore[misc]
    """Write samples to shards, and last of all the manifest; the output tells where it is.

    Inputs are samples, or `samples`, the `counts` of CleanDocuments, and any number of others with dead letters. A
    build with too many bad records fails.

    Args:
      output: Folder or fsspec URL to write to.
      tokenizer: Hugging Face tokenizer: a folder, a URL or a hub name.
      seed: Seed of the shuffle.
      recipe: The recipe that ApplyNoise has applied, if any.
      max_tokens: Largest window, special tokens counted.
      num_shards: Number of shards; one for 64 million tokens if not given.
      max_bad_fraction: Fail if more than this share of the records is bad.
      overwrite: Replace a finished build.
    """

    def __init__(
        self,
        output: str,
        tokenizer: str,
        seed: int,
        recipe: str | None = None,
        max_tokens: int = 512,
        num_shards: int | None = None,
        max_bad_fraction: float = 0.01,
        overwrite: bool = False,
    ) -> None:
        super().__init__()
        loaded = load_tokenizer(tokenizer)
        noise = None if recipe is None else load_recipe(recipe)
        header = plan_manifest(loaded, noise, seed=seed, max_tokens=max_tokens)
        self._output, self._overwrite, self._tokenizer = output, overwrite, loaded
        self._write = plain.WriteShards(output, header, num_shards, max_bad_fraction)

    def expand(self, inputs: Any) -> Any:
        collections = dict(inputs) if isinstance(inputs, Mapping) else {"samples": inputs}
        start_output(self._output, self._tokenizer, overwrite=self._overwrite)
        samples = collections.pop("samples") | "Samples" >> _samples()
        write = copy(self._write)
        if "counts" in collections:
            write.counts = collections.pop("counts") | "Counts" >> beam.Map(_count_of).with_output_types(
                tuple[str, int]
            )
        letters = [
            rows | f"Letters-{name}" >> beam.Map(_letter_of).with_output_types(DeadLetter)
            for name, rows in collections.items()
        ]
        return (samples, *letters) | "Write" >> write | "Row" >> _map(_written_row, _WRITTEN, self._output)


def _map(function: Any, fields: list[tuple[str, Any]], *arguments: Any) -> Any:
    return beam.Map(function, *arguments).with_output_types(RowTypeConstraint.from_fields(fields))


def _letters() -> Any:
    return "DeadLetterRows" >> _map(_letter_row, _LETTER)


def _samples() -> Any:
    return beam.Map(_sample_of).with_output_types(Sample)


class _ToDocuments(beam.DoFn):  # type: ignore[misc]
    def process(self, row: Any) -> Iterator[Any]:
        source, position = getattr(row, "source", ""), getattr(row, "position", None)
        try:
            document = make_document(getattr(row, "id", None), row.text)
            yield replace(document, lang=getattr(row, "lang", None), source=source, position=position)
        except BadRecordError as error:
            yield dead_letter(DeadLetter(source, position, str(error), row.text.encode("utf-8", "surrogatepass")))


def _document_row(document: Document) -> beam.Row:
    return beam.Row(**{name: getattr(document, name) for name, _ in _DOCUMENT})


def _segmented_row(segmented: Any) -> beam.Row:
    document, spans = segmented
    return beam.Row(**_document_row(document).as_dict(), starts=spans[:, 0].tolist(), ends=spans[:, 1].tolist())


def _segmented_of(row: Any) -> SegmentedDocument:
    return Document(row.id, row.text, row.lang, row.source, row.position), _spans(row)


def _window_row(window: Window) -> beam.Row:
    return beam.Row(
        document=window.document,
        document_key=_signed(window.document_key),
        window=window.index,
        text=window.text,
        starts=window.sentences[:, 0].tolist(),
        ends=window.sentences[:, 1].tolist(),
        fields=None if window.fields is None else _lists(window.fields),
    )


def _window_of(row: Any) -> Window:
    fields = getattr(row, "fields", None)
    arrays = None if fields is None else _arrays(fields)
    return Window(row.document, row.document_key % 2**64, row.window, row.text, _spans(row), arrays)


def _sample_row(sample: Sample) -> beam.Row:
    key, fields = _signed(sample.key), _lists(sample.fields)
    return beam.Row(key=key, document=sample.document, window=sample.window, fields=fields)


def _sample_of(row: Any) -> Sample:
    return Sample(row.key % 2**64, row.document, row.window, _arrays(row.fields))


def _letter_row(letter: DeadLetter) -> beam.Row:
    return beam.Row(**{name: getattr(letter, name) for name, _ in _LETTER})


def _letter_of(row: Any) -> DeadLetter:
    return DeadLetter(row.source, row.position, row.reason, row.record)


def _count_row(counted: tuple[str, int]) -> beam.Row:
    name, number = counted
    return beam.Row(name=name, number=number)


def _count_of(row: Any) -> tuple[str, int]:
    return row.name, row.number


def _written_row(outcome: Manifest | Failure, output: str) -> beam.Row:
    if isinstance(outcome, Failure):
        raise RuntimeError(outcome.reason)
    return beam.Row(manifest=join(output, MANIFEST_NAME), samples=outcome.samples, tokens=outcome.tokens)


def _spans(row: Any) -> Array:
    return np.stack([np.asarray(row.starts, np.int64), np.asarray(row.ends, np.int64)], axis=1)


def _lists(fields: Mapping[str, Array]) -> dict[str, list[int]]:
    return {name: values.tolist() for name, values in fields.items()}


def _arrays(fields: Fields) -> dict[str, Array]:
    return {name: np.asarray(values, dtype=np.int64) for name, values in fields.items()}


def _signed(key: int) -> int:
    """Schemas have no unsigned numbers of 64 bits.

    >>> _signed(2**64 - 1) % 2**64 == 2**64 - 1
    True
    """
    return key - 2**64 if key >= 2**63 else key
