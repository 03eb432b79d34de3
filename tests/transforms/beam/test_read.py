"""ReadDocuments and SegmentSentences alone in a pipeline."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from support.pipelines import TEXT, run

from noisebeam.transforms.beam import (
    BuildWindows,
    ReadDocuments,
    SegmentSentences,
)
from noisebeam.transforms.data.documents import Document


def test_read_documents(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "one", "text": TEXT}) + "\nnot JSON\n")
    documents, dead_letters = run(lambda p: p | ReadDocuments([str(tmp_path / "*.jsonl")]))
    assert documents == [Document("one", TEXT)]
    assert [letter.record for letter in dead_letters] == [b"not JSON"]


def test_segment_sentences() -> None:
    documents = [Document("a", TEXT), Document("b", "One. Two.")]
    found, dead_letters = run(lambda p: p | beam.Create(documents) | SegmentSentences())
    sentences = {
        document.id: [document.text[start:end] for start, end in spans] for document, spans in found
    }
    assert sentences == {
        "a": ["It rains today.", "We stay at home.", "Nobody minds that much."],
        "b": ["One.", "Two."],
    }
    assert dead_letters == []


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_record_that_a_later_step_refuses_is_kept_whole(
    shared: Path, tmp_path: Path, ending: str
) -> None:
    record = b'{"id": "a", "text": "\\u200b", "more": [1, null]}'
    content = b'{"text": "One."}\n' + record + b"\r\n"
    (tmp_path / f"a.jsonl{ending}").write_bytes(gzip.compress(content) if ending else content)

    def read_and_encode(pipeline: beam.Pipeline) -> Any:
        documents, _ = pipeline | ReadDocuments([str(tmp_path / f"a.jsonl{ending}")])
        sentences, _ = documents | SegmentSentences()
        return sentences | BuildWindows(str(shared / "tokenizers/bert-base-uncased"))

    windows, dead_letters = run(read_and_encode)
    assert [window.text for window in windows] == ["One."]
    assert [(letter.record, letter.position) for letter in dead_letters] == [(record, 17)]
    assert dead_letters[0].reason == "the tokenizer gives no token for this text"


def test_a_text_without_a_sentence_is_a_dead_letter() -> None:
    found, dead_letters = run(
        lambda p: p | beam.Create([Document("a", " \n ")]) | SegmentSentences()
    )
    assert found == []
    assert [letter.reason for letter in dead_letters] == [
        "segmenter 'sentencex' found no sentence in the text"
    ]
    assert json.loads(dead_letters[0].record) == {"id": "a", "text": " \n "}
