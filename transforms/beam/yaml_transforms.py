"""The PTransforms over rows with schemas, for Beam YAML: `provider.yaml` beside this file offers
them there.

Documents are rows of `id`, `text`, `lang`, `source` and `position`, of which only `text` has to be
there. Sentences are `starts` and `ends` in the text. Windows and samples have `fields`, lists of
whole numbers by name; keys are signed. Transforms that can meet a bad record have two outputs, the
second of which is `dead_letters`.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.typehints.row_type import RowTypeConstraint

import noisebeam.transforms.beam as plain
from noisebeam.transforms.beam.common import DEAD_LETTERS
from noisebeam.transforms.beam.yaml_rows import (
    COUNT_FIELDS,
    DOCUMENT_FIELDS,
    LETTER_FIELDS,
    SAMPLE_FIELDS,
    SEGMENTED_FIELDS,
    WINDOW_FIELDS,
    WRITTEN_FIELDS,
    ToDocuments,
    count_of,
    count_row,
    document_row,
    letter_of,
    letter_row,
    sample_of,
    sample_row,
    segmented_of,
    segmented_row,
    window_of,
    window_row,
    written_row,
)
from noisebeam.transforms.cleaning.cleaning import CleaningOptions
from noisebeam.transforms.data.documents import DeadLetter, Document
from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.formats.options import ReadOptions
from noisebeam.transforms.noise.recipes import Recipe, load_recipe
from noisebeam.transforms.output.folder import OutputFolder
from noisebeam.transforms.output.prepare import plan_manifest
from noisebeam.transforms.plugins import CORRUPTIONS, plugin_origin
from noisebeam.transforms.segmenters.segmenters import SegmenterOptions
from noisebeam.transforms.tokenization.options import WindowOptions
from noisebeam.transforms.tokenization.tokenizer import load_tokenizer
from noisebeam.transforms.tokenization.windows import Window


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
        options = ReadOptions(
            format=format, text_field=text_field, id_field=id_field, lang_field=lang_field
        )
        self._read = plain.ReadDocuments(input, options)

    def expand(self, pipeline: Any) -> dict[str, Any]:
        documents, letters = pipeline | "Read" >> self._read
        return {
            "documents": documents | "Rows" >> _map(document_row, DOCUMENT_FIELDS),
            DEAD_LETTERS: letters | _letters(),
        }


class DetectLanguages(beam.PTransform):  # type: ignore[misc]
    """Give documents that name no language the one that is found, or "und": outputs `documents` and
    `dead_letters`.
    """

    def expand(self, rows: Any) -> dict[str, Any]:
        documents = rows | "Documents" >> beam.ParDo(ToDocuments()).with_outputs(
            DEAD_LETTERS, main="documents"
        )
        detected = documents.documents | "Detect" >> plain.DetectLanguages()
        return {
            "documents": detected | "Rows" >> _map(document_row, DOCUMENT_FIELDS),
            DEAD_LETTERS: documents[DEAD_LETTERS] | _letters(),
        }


class CleanDocuments(beam.PTransform):  # type: ignore[misc]
    """Mend documents, and drop those not wanted: outputs `documents`, `counts` of what was done,
    and `dead_letters`.

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
        documents = rows | "Documents" >> beam.ParDo(ToDocuments()).with_outputs(
            DEAD_LETTERS, main="documents"
        )
        cleaned, counts = documents.documents | "Clean" >> self._clean
        return {
            "documents": cleaned | "Rows" >> _map(document_row, DOCUMENT_FIELDS),
            "counts": counts | "CountRows" >> _map(count_row, COUNT_FIELDS),
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
        documents = rows | "Documents" >> beam.ParDo(ToDocuments()).with_outputs(
            DEAD_LETTERS, main="documents"
        )
        segmented, letters = documents.documents | "Segment" >> self._segment
        bad = (documents[DEAD_LETTERS], letters) | beam.Flatten()
        return {
            "sentences": segmented | "Rows" >> _map(segmented_row, SEGMENTED_FIELDS),
            DEAD_LETTERS: bad | _letters(),
        }


class BuildWindows(beam.PTransform):  # type: ignore[misc]
    """Group the sentences of each document into windows: outputs `windows` and `dead_letters`.

    Args:
      tokenizer: Hugging Face tokenizer: a folder, a URL or a hub name.
      max_tokens: Largest window, special tokens counted.
      window_sentences: Slide windows of so many sentences instead of filling them.
      stride: Sentences from one window to the next.
      append_eos: Put the end of text at the end of each document alone.
      add_tokens: Special tokens to add to the tokenizer where it lacks them; the same in all steps.
    """

    def __init__(
        self,
        tokenizer: str,
        max_tokens: int = 512,
        window_sentences: int | None = None,
        stride: int | None = None,
        append_eos: bool = False,
        add_tokens: list[str] | None = None,
    ) -> None:
        super().__init__()
        options = WindowOptions(max_tokens, window_sentences, stride, append_eos)
        self._build = plain.BuildWindows(tokenizer, options, add_tokens or ())

    def expand(self, rows: Any) -> dict[str, Any]:
        segmented = rows | "Sentences" >> beam.Map(segmented_of).with_output_types(
            tuple[Document, np.ndarray]
        )
        windows, letters = segmented | "Build" >> self._build
        return {
            "windows": windows | "Rows" >> _map(window_row, WINDOW_FIELDS),
            DEAD_LETTERS: letters | _letters(),
        }


class EncodeWindows(beam.PTransform):  # type: ignore[misc]
    """Turn windows into samples; those without `fields` have their texts encoded.

    Args:
      tokenizer: Hugging Face tokenizer: a folder, a URL or a hub name.
      add_tokens: Special tokens to add to the tokenizer where it lacks them.
    """

    def __init__(self, tokenizer: str, add_tokens: list[str] | None = None) -> None:
        super().__init__()
        self._encode = plain.EncodeWindows(tokenizer, add_tokens or ())

    def expand(self, rows: Any) -> Any:
        windows = rows | "Windows" >> beam.Map(window_of).with_output_types(Window)
        return windows | "Encode" >> self._encode | "Rows" >> _map(sample_row, SAMPLE_FIELDS)


class ApplyNoise(beam.PTransform):  # type: ignore[misc]
    """Corrupt samples by a recipe: adds `input_ids` and `labels` to their fields.

    Args:
      recipe: A preset or a YAML file.
      tokenizer: Hugging Face tokenizer: a folder, a URL or a hub name.
      seed: Seed of the noise.
      epoch: Epoch of the noise.
      add_tokens: Special tokens to add to the tokenizer where it lacks them.
    """

    def __init__(
        self,
        recipe: str,
        tokenizer: str,
        seed: int,
        epoch: int = 0,
        add_tokens: list[str] | None = None,
    ) -> None:
        super().__init__()
        self._apply = plain.ApplyNoise(recipe, tokenizer, seed, epoch, add_tokens or ())

    def expand(self, rows: Any) -> Any:
        return (
            rows
            | "Samples" >> _samples()
            | "Apply" >> self._apply
            | "Rows" >> _map(sample_row, SAMPLE_FIELDS)
        )


class WriteShards(beam.PTransform):  # type: ignore[misc]
    """Write samples to shards, and last of all the manifest; the output tells where it is.

    Inputs are samples, or `samples`, the `counts` of CleanDocuments, and any number of others with
    dead letters. A build with too many bad records fails.

    Args:
      output: Folder or fsspec URL to write to.
      tokenizer: Hugging Face tokenizer: a folder, a URL or a hub name.
      seed: Seed of the shuffle.
      recipe: The recipe that ApplyNoise has applied, if any.
      max_tokens: Largest window, special tokens counted.
      num_shards: Number of shards; one for 64 million tokens if not given.
      max_bad_fraction: Fail if more than this share of the records is bad.
      overwrite: Replace a finished build.
      append_eos: Whether BuildWindows put the end of text at the end of each document alone.
      add_tokens: Special tokens to add to the tokenizer where it lacks them.
      held_out: Share of the documents that goes to shards of its own.
      samples_per_member: Samples stored together; 1 is the classic WebDataset form.
      plugins: Entry points of other packages that took part, as "noisebeam.segmenters: clauses"; those of the recipe
        are known. The manifest names their packages.
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
        append_eos: bool = False,
        add_tokens: list[str] | None = None,
        held_out: float = 0.0,
        samples_per_member: int | None = None,
        plugins: list[str] | None = None,
    ) -> None:
        super().__init__()
        loaded = load_tokenizer(tokenizer).with_tokens(add_tokens or ())
        noise = None if recipe is None else load_recipe(recipe)
        header = plan_manifest(
            loaded,
            noise,
            seed=seed,
            max_tokens=max_tokens,
            samples_per_member=samples_per_member,
            settings={"append_eos": append_eos, "held_out": held_out},
            plugins=_plugins(noise, plugins or ()),
        )
        self._output, self._overwrite, self._tokenizer = output, overwrite, loaded
        self._write = plain.WriteShards(output, header, num_shards, max_bad_fraction)

    def expand(self, inputs: Any) -> Any:
        collections = dict(inputs) if isinstance(inputs, Mapping) else {"samples": inputs}
        OutputFolder(self._output).begin(self._tokenizer, overwrite=self._overwrite)
        samples = collections.pop("samples") | "Samples" >> _samples()
        write = copy(self._write)
        if "counts" in collections:
            write.counts = collections.pop("counts") | "Counts" >> beam.Map(
                count_of
            ).with_output_types(tuple[str, int])
        letters = [
            rows | f"Letters-{name}" >> beam.Map(letter_of).with_output_types(DeadLetter)
            for name, rows in collections.items()
        ]
        return (
            (samples, *letters)
            | "Write" >> write
            | "Row" >> _map(written_row, WRITTEN_FIELDS, self._output)
        )


def _plugins(recipe: Recipe | None, names: Sequence[str]) -> dict[str, str]:
    """The packages of entry points; ValueError for one that no installed package has."""
    origins = {name: plugin_origin(*name.split(": ", 1)) if ": " in name else "" for name in names}
    if missing := [name for name, origin in origins.items() if not origin]:
        raise ValueError(
            "plugins: expected entry points such as 'noisebeam.segmenters: NAME', got "
            f"{missing[0]!r}"
        )
    corruptions = (corruption.name for corruption in recipe.corruptions) if recipe else ()
    known = {f"{CORRUPTIONS}: {name}": plugin_origin(CORRUPTIONS, name) for name in corruptions}
    return origins | {name: origin for name, origin in known.items() if origin}


def _map(function: Any, fields: list[tuple[str, Any]], *arguments: Any) -> Any:
    return beam.Map(function, *arguments).with_output_types(RowTypeConstraint.from_fields(fields))


def _letters() -> Any:
    return "DeadLetterRows" >> _map(letter_row, LETTER_FIELDS)


def _samples() -> Any:
    return beam.Map(sample_of).with_output_types(Sample)
