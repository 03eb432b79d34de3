"""Pipelines that run one PTransform, and the elements that go through them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import apache_beam as beam
import numpy as np
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from noisebeam.transforms.beam import (
    BuildWindows,
    EncodeWindows,
)
from noisebeam.transforms.data.documents import Document
from noisebeam.transforms.data.samples import (
    Sample,
)
from noisebeam.transforms.tokenization.options import WindowOptions

TEXT = "It rains today. We stay at home. Nobody minds that much."


def run(build: Callable[[beam.Pipeline], Any]) -> tuple[list[Any], ...]:
    """Run a pipeline; the elements of each PCollection that `build` returns."""
    with TemporaryDirectory() as folder:
        with beam.Pipeline(runner=FnApiRunner()) as pipeline:
            outputs = build(pipeline)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            for i, output in enumerate(outputs):
                _ = output | f"Save{i}" >> beam.Map(save, folder, i)
        return tuple(
            [pickle.loads(path.read_bytes()) for path in Path(folder).glob(f"{i}-*")]
            for i in range(len(outputs))
        )


def save(element: Any, folder: str, output: int) -> None:
    Path(folder, f"{output}-{uuid4().hex}").write_bytes(pickle.dumps(element))


def segmented(text: str, name: str = "a") -> tuple[Document, np.ndarray]:
    ends = [i + 1 for i, character in enumerate(text) if character == "."]
    starts = [0, *(end + 1 for end in ends[:-1])]
    return Document(name, text), np.array(list(zip(starts, ends, strict=True)))


def samples_of(tokenizer: str, count: int) -> list[Sample]:
    documents = [segmented(TEXT, f"document {i}") for i in range(count)]
    (samples,) = run(
        lambda p: (
            (p | beam.Create(documents) | BuildWindows(tokenizer, WindowOptions(64)))[0]
            | EncodeWindows(tokenizer)
        )
    )
    return samples
