"""BuildWindows, EncodeWindows and ApplyNoise alone in a pipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.transforms.display import DisplayData
from support.pipelines import TEXT, run, samples_of, segmented

from noisebeam.transforms.beam import (
    ApplyNoise,
    BuildWindows,
    EncodeWindows,
    ReadDocuments,
    SegmentSentences,
)
from noisebeam.transforms.data.keys import document_key
from noisebeam.transforms.data.samples import (
    batch_samples,
)
from noisebeam.transforms.noise import apply_recipe, load_recipe
from noisebeam.transforms.tokenization.options import WindowOptions
from noisebeam.transforms.tokenization.tokenizer import load_tokenizer
from noisebeam.transforms.tokenization.windows import Window


def test_build_windows(tokenizer: str) -> None:
    options = WindowOptions(64, size=2, stride=1)
    windows, dead_letters = run(
        lambda p: p | beam.Create([segmented(TEXT)]) | BuildWindows(tokenizer, options)
    )
    assert sorted((window.index, window.text) for window in windows) == [
        (0, "It rains today. We stay at home."),
        (1, "We stay at home. Nobody minds that much."),
    ]
    assert dead_letters == []


def test_encode_windows_takes_windows_of_anybody(tokenizer: str) -> None:
    document, spans = segmented(TEXT)
    plain = Window("a", document_key("a", TEXT), 0, TEXT, spans)
    (mine,) = run(lambda p: p | beam.Create([plain]) | EncodeWindows(tokenizer))
    (ours,) = run(
        lambda p: (
            (p | beam.Create([(document, spans)]) | BuildWindows(tokenizer))[0]
            | EncodeWindows(tokenizer)
        )
    )
    assert mine[0].key == ours[0].key
    for name, values in ours[0].fields.items():
        np.testing.assert_array_equal(mine[0].fields[name], values)
    expected = load_tokenizer(tokenizer).tokenizer.encode(TEXT).ids
    assert mine[0].fields["ids"].tolist() == expected


def test_apply_noise_gives_the_bits_of_the_kernel(tokenizer: str) -> None:
    samples = samples_of(tokenizer, 70)
    (noised,) = run(lambda p: p | beam.Create(samples) | ApplyNoise("bart", tokenizer, seed=17))
    vocabulary = load_tokenizer(tokenizer).vocabulary
    for sample in noised:
        expected = apply_recipe(load_recipe("bart"), batch_samples([sample], 1), vocabulary, 17, 0)
        assert sample.fields["input_ids"].tolist() == expected["input_ids"].values.tolist()
        assert sample.fields["labels"].tolist() == sample.fields["ids"].tolist()


def test_errors_come_when_the_pipeline_is_built(tokenizer: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="absent"):
        ReadDocuments([str(tmp_path / "absent/*.jsonl")])
    with pytest.raises(ValueError, match="brat"):
        ApplyNoise("brat", tokenizer, seed=1)
    with pytest.raises(ValueError, match="no such file or folder"):
        BuildWindows("./absent")


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (lambda t: SegmentSentences(), {"segmenter": "sentencex", "lang": "en"}),
        (
            lambda t: BuildWindows(t, WindowOptions(64, 3)),
            {"max_tokens": 64, "window_sentences": 3},
        ),
        (lambda t: ApplyNoise("bart", t, seed=3), {"recipe": "bart", "seed": 3, "epoch": 0}),
    ],
)
def test_display_data(
    transform: Callable[[str], beam.PTransform], expected: dict[str, Any], tokenizer: str
) -> None:
    shown = {item.key: item.value for item in DisplayData.create_from(transform(tokenizer)).items}
    assert expected.items() <= shown.items()
