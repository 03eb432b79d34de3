"""The PTransforms over rows with schemas, for Beam YAML; `provider.yaml` in this folder lists them.

A document is a row of `id`, `text`, `lang`, `source` and `position`, of which only `text` is
required. Sentences are `starts` and `ends` in the text. Windows and samples have `fields`, lists of
integers by name; keys are signed. A transform that can meet a bad record has a second output,
`dead_letters`.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.typehints.row_type import RowTypeConstraint

import noisebeam.transforms.beam as plain
from noisebeam.transforms.beam.common import DEAD_LETTERS
from noisebeam.transforms.beam.yaml_arguments import argument, takes
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
from noisebeam.transforms.data.settings import options_from, settings_of
from noisebeam.transforms.formats.options import ReadOptions
from noisebeam.transforms.noise.options import NoiseOptions
from noisebeam.transforms.noise.recipes import Recipe, load_recipe
from noisebeam.transforms.output.folder import OutputFolder
from noisebeam.transforms.output.options import OutputOptions
from noisebeam.transforms.output.prepare import plan_manifest
from noisebeam.transforms.plugins import CORRUPTIONS, plugin_origin
from noisebeam.transforms.segmenters.segmenters import SegmenterOptions
from noisebeam.transforms.tokenization.options import TokenizerOptions, WindowOptions
from noisebeam.transforms.tokenization.tokenizer import load_tokenizer
from noisebeam.transforms.tokenization.windows import Window

_SEED = argument("seed", "int", "seed of the noise, or of the shuffle")
_LANG = argument("lang", "str", "language of documents that name none, as an ISO 639 code", "en")


@takes(
    argument("input", "tuple[str, ...]", "paths or fsspec URLs, with globs"),
    settings_of(ReadOptions),
)
class ReadDocuments(beam.PTransform):  # type: ignore[misc]
    """Read documents from files: outputs `documents` and `dead_letters`."""

    def __init__(self, **values: Any) -> None:
        super().__init__()
        self._read = plain.ReadDocuments(values["input"], options_from(ReadOptions, values))

    def expand(self, pipeline: Any) -> dict[str, Any]:
        documents, letters = pipeline | "Read" >> self._read
        return {
            "documents": documents | "Rows" >> _map(document_row, DOCUMENT_FIELDS),
            DEAD_LETTERS: letters | _letters(),
        }


class DetectLanguages(beam.PTransform):  # type: ignore[misc]
    """Set the language of documents that name none: outputs `documents` and `dead_letters`."""

    def expand(self, rows: Any) -> dict[str, Any]:
        documents = rows | "Documents" >> beam.ParDo(ToDocuments()).with_outputs(
            DEAD_LETTERS, main="documents"
        )
        detected = documents.documents | "Detect" >> plain.DetectLanguages()
        return {
            "documents": detected | "Rows" >> _map(document_row, DOCUMENT_FIELDS),
            DEAD_LETTERS: documents[DEAD_LETTERS] | _letters(),
        }


@takes(settings_of(CleaningOptions), _LANG)
class CleanDocuments(beam.PTransform):  # type: ignore[misc]
    """Clean and filter documents: outputs `documents`, `counts` and `dead_letters`."""

    def __init__(self, **values: Any) -> None:
        super().__init__()
        self._clean = plain.CleanDocuments(options_from(CleaningOptions, values), values["lang"])

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


@takes(settings_of(SegmenterOptions))
class SegmentSentences(beam.PTransform):  # type: ignore[misc]
    """Find the sentences of documents: outputs `sentences` and `dead_letters`."""

    def __init__(self, **values: Any) -> None:
        super().__init__()
        self._segment = plain.SegmentSentences(options_from(SegmenterOptions, values))

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


@takes(settings_of(TokenizerOptions), settings_of(WindowOptions))
class BuildWindows(beam.PTransform):  # type: ignore[misc]
    """Group the sentences of each document into windows: outputs `windows` and `dead_letters`."""

    def __init__(self, **values: Any) -> None:
        super().__init__()
        options = options_from(WindowOptions, values)
        self._build = plain.BuildWindows(values["tokenizer"], options, values["add_tokens"])

    def expand(self, rows: Any) -> dict[str, Any]:
        segmented = rows | "Sentences" >> beam.Map(segmented_of).with_output_types(
            tuple[Document, np.ndarray]
        )
        windows, letters = segmented | "Build" >> self._build
        return {
            "windows": windows | "Rows" >> _map(window_row, WINDOW_FIELDS),
            DEAD_LETTERS: letters | _letters(),
        }


@takes(settings_of(TokenizerOptions))
class EncodeWindows(beam.PTransform):  # type: ignore[misc]
    """Encode windows as samples; the text of a window without `fields` is encoded."""

    def __init__(self, tokenizer: str, add_tokens: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._encode = plain.EncodeWindows(tokenizer, add_tokens)

    def expand(self, rows: Any) -> Any:
        windows = rows | "Windows" >> beam.Map(window_of).with_output_types(Window)
        return windows | "Encode" >> self._encode | "Rows" >> _map(sample_row, SAMPLE_FIELDS)


@takes(
    argument("recipe", "str", "a preset or a YAML file"),
    settings_of(TokenizerOptions),
    _SEED,
    argument("epoch", "int", "epoch of the noise", 0),
)
class ApplyNoise(beam.PTransform):  # type: ignore[misc]
    """Corrupt samples by a recipe: add `input_ids` and `labels` to their fields."""

    def __init__(
        self,
        recipe: str,
        tokenizer: str,
        seed: int,
        epoch: int = 0,
        add_tokens: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self._apply = plain.ApplyNoise(recipe, tokenizer, seed, epoch, add_tokens)

    def expand(self, rows: Any) -> Any:
        return (
            rows
            | "Samples" >> _samples()
            | "Apply" >> self._apply
            | "Rows" >> _map(sample_row, SAMPLE_FIELDS)
        )


@takes(
    settings_of(OutputOptions),
    settings_of(TokenizerOptions),
    _SEED,
    (one for one in settings_of(NoiseOptions) if one.name == "recipe"),
    (one for one in settings_of(WindowOptions) if one.name in ("max_tokens", "append_eos")),
    argument("max_bad_fraction", "float", "fail if more than this share of records is bad", 0.01),
    argument(
        "plugins",
        "tuple[str, ...]",
        "entry points of other packages that took part, as noisebeam.segmenters: clauses; "
        "those of the recipe are known",
        (),
    ),
)
class WriteShards(beam.PTransform):  # type: ignore[misc]
    """Write samples to shards, and the manifest last; the output is a row with its location.

    Inputs are samples; or `samples`, the `counts` of CleanDocuments, and any number of other inputs
    with dead letters. A build with too many bad records fails. The manifest has the packages of all
    plugins.
    """

    def __init__(self, **values: Any) -> None:
        super().__init__()
        options = options_from(OutputOptions, values)
        loaded = load_tokenizer(values["tokenizer"]).with_tokens(values["add_tokens"])
        noise = None if values["recipe"] is None else load_recipe(values["recipe"])
        header = plan_manifest(
            loaded,
            noise,
            seed=values["seed"],
            max_tokens=values["max_tokens"],
            samples_per_member=options.samples_per_member,
            settings={"append_eos": values["append_eos"], "held_out": options.held_out},
            plugins=_plugins(noise, values["plugins"]),
        )
        self._output, self._overwrite = options.url, options.overwrite
        self._tokenizer = loaded
        self._write = plain.WriteShards(
            options.url, header, options.num_shards, values["max_bad_fraction"]
        )

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
    """Return the packages of plugins by entry point, for the manifest; raise ValueError if no
    installed package has one.
    """
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
    """Return a Beam step that applies a function to each element and outputs rows with these
    fields.
    """
    return beam.Map(function, *arguments).with_output_types(RowTypeConstraint.from_fields(fields))


def _letters() -> Any:
    """Return a Beam step that converts dead letters to rows."""
    return "DeadLetterRows" >> _map(letter_row, LETTER_FIELDS)


def _samples() -> Any:
    """Return a Beam step that converts rows to samples."""
    return beam.Map(sample_of).with_output_types(Sample)
