"""Metrics of a pipeline, and the coders of its elements."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from dataclasses import fields
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.coders import registry
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from support.pipelines import TEXT, samples_of

from noisebeam.transforms.beam import (
    BuildWindows,
    EncodeWindows,
    ReadDocuments,
    SegmentSentences,
)
from noisebeam.transforms.data.documents import Document
from noisebeam.transforms.data.samples import (
    Sample,
    sample_from_bytes,
    sample_to_bytes,
)


def test_samples_travel_as_plain_bytes(tokenizer: str) -> None:
    sample = samples_of(tokenizer, 1)[0]
    data = sample_to_bytes(sample)
    back = sample_from_bytes(data)
    assert (back.key, back.document, back.window) == (sample.key, sample.document, sample.window)
    assert {k: v.tolist() for k, v in back.fields.items()} == {
        k: v.tolist() for k, v in sample.fields.items()
    }
    coder = registry.get_coder(Sample)
    assert coder.encode(back) == data
    assert pickle.loads(pickle.dumps(coder)) == coder


def test_metrics_count_what_went_through(tokenizer: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "one", "text": TEXT}) + "\nnot JSON\n")
    pipeline = beam.Pipeline(runner=FnApiRunner())
    documents, _ = pipeline | ReadDocuments([str(tmp_path / "a.jsonl")])
    sentences, _ = documents | SegmentSentences()
    windows, _ = sentences | BuildWindows(tokenizer)
    _ = windows | EncodeWindows(tokenizer)
    result = pipeline.run()
    counters = {
        item.key.metric.name: item.committed for item in result.metrics().query()["counters"]
    }
    expected = {"documents": 1, "sentences": 3, "windows": 1, "dead-letters": 1, "sentences-cut": 0}
    assert expected.items() <= counters.items()
    assert counters["tokens"] > 3
    assert counters["text-bytes"] > 20
    distributions = {
        item.key.metric.name: item.committed for item in result.metrics().query()["distributions"]
    }
    assert distributions["document-sentences"].sum == counters["sentences"]
    assert distributions["sample-tokens"].sum == counters["tokens"]
    assert distributions["sample-sentences"].count == counters["windows"]
    for step in ("read", "segment", "encode"):
        assert distributions[f"{step}-usec"].sum > 0


@pytest.mark.parametrize(
    "document",
    [
        Document("a", "One."),
        Document(
            "\u00e9 \U0001f600",
            "Zwei \u00c4.\n\U0001f600 " * 3,
            "de",
            "s3://bucket/\udce4.jsonl",
            2**40,
            17,
        ),
    ],
)
def test_documents_travel_without_pickle(document: Document) -> None:
    coder = registry.get_coder(Document)
    assert coder.is_deterministic()
    found = coder.decode(coder.encode(document))
    assert [getattr(found, field.name) for field in fields(Document)] == [
        getattr(document, field.name) for field in fields(Document)
    ]


def test_the_size_of_a_document_is_estimated_without_a_copy_of_its_text() -> None:
    text = "\u2019" * 10_000_000
    tracemalloc.start()
    size = registry.get_coder(Document).estimate_size(Document("a", text))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > len(text)
    assert peak < 10_000


def test_documents_of_any_reader_travel():
    """A position may come from numpy, and a reader of one's own may let half a pair of surrogates
    through.
    """
    document = Document("a", "One\ud800.", "en", "a.jsonl", np.int64(7), np.int64(20))
    assert Document.from_bytes(document.to_bytes()) == document
    assert Document.from_bytes(document.to_bytes()).position == 7
