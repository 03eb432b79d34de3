"""PTransforms that make windows of sentences, encode them as samples, and apply noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import apache_beam as beam
import numpy as np

from noisebeam.transforms.beam.common import (
    DEAD_LETTERS,
    SegmentedDocument,
    counter,
    distribution,
    rejected,
    timed,
    timed_each,
)
from noisebeam.transforms.data.documents import Document
from noisebeam.transforms.data.samples import Sample, batch_samples
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.apply import apply_recipe
from noisebeam.transforms.noise.recipes import Recipe, check_recipe, load_recipe
from noisebeam.transforms.tokenization.options import WindowOptions
from noisebeam.transforms.tokenization.sentence_encoder import Encoder, load_encoder
from noisebeam.transforms.tokenization.tokenizer import LoadedTokenizer, load_tokenizer
from noisebeam.transforms.tokenization.windows import Window, build_windows, encode_window

_NOISE_BATCH = 64  # samples; the kernels are fastest at 32 to 128


class BuildWindows(beam.PTransform):  # type: ignore[misc]
    """PTransform that groups the sentences of each document into windows; the outputs are
    `(windows, dead_letters)`.

    A window is the consecutive sentences that make one sample. The input are pairs of a document
    and its sentence spans, as from SegmentSentences. `tokenizer` is a folder, an fsspec URL or a
    hub name that every worker can load. `add_tokens` are special tokens that are added if it lacks
    them, the same in all steps. Raises ValueError if `append_eos` is set and the tokenizer has no
    end of text.
    """

    def __init__(
        self,
        tokenizer: str,
        options: WindowOptions = WindowOptions(),  # noqa: B008
        add_tokens: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.tokenizer = load_tokenizer(tokenizer)
        self.options = options
        self.add_tokens = tuple(add_tokens)
        if options.append_eos:
            self.tokenizer.with_tokens(self.add_tokens).vocabulary.document_suffixes()

    def expand(self, segmented: Any) -> tuple[Any, Any]:
        windows = segmented | "Build" >> beam.ParDo(
            _Build(self.tokenizer, self.add_tokens, self.options)
        ).with_outputs(DEAD_LETTERS, main="windows")
        return windows.windows, windows[DEAD_LETTERS]

    def display_data(self) -> dict[str, Any]:
        sizes = {"window_sentences": self.options.size, "stride": self.options.stride}
        chosen = {name: value for name, value in sizes.items() if value is not None}
        return {
            "tokenizer": self.tokenizer.name,
            "max_tokens": self.options.max_tokens,
            "append_eos": self.options.append_eos,
            **chosen,
        }


class EncodeWindows(beam.PTransform):  # type: ignore[misc]
    """PTransform that encodes windows as samples, with the special tokens of the tokenizer and
    those of `add_tokens`.
    """

    def __init__(self, tokenizer: str, add_tokens: Sequence[str] = ()) -> None:
        super().__init__()
        self.tokenizer = load_tokenizer(tokenizer)
        self.add_tokens = tuple(add_tokens)

    def expand(self, windows: Any) -> Any:
        return windows | "Encode" >> beam.ParDo(_Encode(self.tokenizer, self.add_tokens))

    def display_data(self) -> dict[str, Any]:
        return {"tokenizer": self.tokenizer.name}


class ApplyNoise(beam.PTransform):  # type: ignore[misc]
    """PTransform that applies a recipe to samples: it adds the fields of its objective, such as
    `input_ids` and `labels`.

    ShardDataset makes the same noise for the same seed, epoch and sample. Raises ValueError, when
    the pipeline is built, if the tokenizer with `add_tokens` lacks a token that the recipe needs.
    """

    def __init__(
        self,
        recipe: str | Mapping[str, Any] | Recipe,
        tokenizer: str,
        seed: int,
        epoch: int = 0,
        add_tokens: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.recipe = load_recipe(recipe)
        self.vocabulary = load_tokenizer(tokenizer).with_tokens(add_tokens).vocabulary
        self.seed, self.epoch = seed, epoch
        check_recipe(self.recipe, self.vocabulary)

    def expand(self, samples: Any) -> Any:
        return (
            samples
            | "Batch" >> beam.BatchElements(_NOISE_BATCH, _NOISE_BATCH)
            | "Apply" >> beam.ParDo(_Noise(self.recipe, self.vocabulary, self.seed, self.epoch))
        )

    def display_data(self) -> dict[str, Any]:
        return {"recipe": self.recipe.name, "seed": self.seed, "epoch": self.epoch}


class _WithEncoder(beam.DoFn):  # type: ignore[misc]
    """Base class of DoFns that use the encoder of a tokenizer, loaded once in a process."""

    def __init__(self, tokenizer: LoadedTokenizer, add_tokens: tuple[str, ...]) -> None:
        self._tokenizer = tokenizer.name, tokenizer.fingerprint, add_tokens

    def setup(self) -> None:
        self._encoder: Encoder = load_encoder(*self._tokenizer)


@beam.typehints.with_input_types(tuple[Document, np.ndarray])
@beam.typehints.with_output_types(Window)
class _Build(_WithEncoder):
    """DoFn that makes the windows of a document; a document without tokens becomes a dead
    letter.
    """

    def __init__(
        self, tokenizer: LoadedTokenizer, add_tokens: tuple[str, ...], options: WindowOptions
    ) -> None:
        super().__init__(tokenizer, add_tokens)
        self._options = options

    def process(self, segmented: SegmentedDocument) -> Iterator[Any]:
        document, sentences = segmented
        found = False
        parts = build_windows(document, sentences, self._encoder, self._options)
        for windows, sentences_cut in timed_each("encode", parts):
            found = True
            counter("windows").inc(len(windows))
            counter("sentences-cut").inc(sentences_cut)
            yield from windows
        if not found:
            yield rejected(document, "the tokenizer gives no token for this text")


@beam.typehints.with_input_types(Window)
@beam.typehints.with_output_types(Sample)
class _Encode(_WithEncoder):
    """DoFn that encodes a window as a sample, and counts tokens and sentences."""

    def process(self, window: Window) -> Iterator[Sample]:
        sample = encode_window(window, self._encoder)
        counter("tokens").inc(len(sample.fields["ids"]))
        distribution("sample-tokens").update(len(sample.fields["ids"]))
        distribution("sample-sentences").update(len(sample.fields["sentence_lengths"]))
        yield sample


@beam.typehints.with_input_types(list[Sample])
@beam.typehints.with_output_types(Sample)
class _Noise(beam.DoFn):  # type: ignore[misc]
    """DoFn that applies a recipe to a list of samples."""

    def __init__(self, recipe: Recipe, vocabulary: Vocabulary, seed: int, epoch: int) -> None:
        self._recipe, self._vocabulary, self._seed, self._epoch = recipe, vocabulary, seed, epoch

    def process(self, samples: list[Sample]) -> Iterator[Sample]:
        with timed("noise"):
            batch = batch_samples(samples, len(self._vocabulary.prefix))
            noised = apply_recipe(self._recipe, batch, self._vocabulary, self._seed, self._epoch)
        for i, sample in enumerate(samples):
            yield replace(
                sample,
                fields={**sample.fields, **{name: field.row(i) for name, field in noised.items()}},
            )
