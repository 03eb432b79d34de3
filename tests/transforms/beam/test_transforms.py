"""Each PTransform alone in a pipeline: what goes in, what comes out, dead letters, metrics, display
data.
"""

from __future__ import annotations

import gzip
import json
import pickle
import tracemalloc
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.coders import registry
from apache_beam.pvalue import TaggedOutput
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.transforms.display import DisplayData
from tokenizers import ByteLevelBPETokenizer
from tokenizers.processors import RobertaProcessing

from noisebeam.transforms.beam import (
    ApplyNoise,
    BuildWindows,
    EncodeWindows,
    ReadDocuments,
    SegmentSentences,
    WriteShards,
)
from noisebeam.transforms.beam.write import _Pack
from noisebeam.transforms.data.documents import DeadLetter, Document
from noisebeam.transforms.data.keys import document_key
from noisebeam.transforms.data.samples import (
    Sample,
    batch_samples,
    sample_from_bytes,
    sample_to_bytes,
)
from noisebeam.transforms.noise import apply_recipe, load_recipe
from noisebeam.transforms.output.finish import Failure
from noisebeam.transforms.output.manifest import Manifest, read_manifest
from noisebeam.transforms.shards.format import field_dtypes
from noisebeam.transforms.tokenization.options import WindowOptions
from noisebeam.transforms.tokenization.tokenizer import load_tokenizer
from noisebeam.transforms.tokenization.windows import Window

TEXT = "It rains today. We stay at home. Nobody minds that much."


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    model = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    model.train_from_iterator([TEXT], vocab_size=400, special_tokens=special, show_progress=False)
    model._tokenizer.post_processor = RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=False
    )
    folder = tmp_path_factory.mktemp("tokenizer")
    model.save(str(folder / "tokenizer.json"))
    return str(folder)


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


def header(tokenizer: str) -> Manifest:
    vocabulary = load_tokenizer(tokenizer).vocabulary
    dtypes = field_dtypes(vocabulary.size, 64, labels_masked=False)
    return Manifest(
        settings={},
        seed=17,
        tokenizer={},
        vocabulary=vocabulary.to_json(),
        fields={name: dtype.name for name, dtype in dtypes.items()},
        samples_per_member=4,
        max_tokens=64,
        shards=(),
        counts={},
    )


def samples_of(tokenizer: str, count: int) -> list[Sample]:
    documents = [segmented(TEXT, f"document {i}") for i in range(count)]
    (samples,) = run(
        lambda p: (
            (p | beam.Create(documents) | BuildWindows(tokenizer, WindowOptions(64)))[0]
            | EncodeWindows(tokenizer)
        )
    )
    return samples


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


def test_write_shards_alone_makes_a_finished_output(tokenizer: str, tmp_path: Path) -> None:
    samples = samples_of(tokenizer, 30)
    (outcome,) = run(
        lambda p: (
            p | beam.Create(samples) | WriteShards(str(tmp_path), header(tokenizer), num_shards=3)
        )
    )
    manifest = read_manifest(str(tmp_path))
    assert outcome[0].to_json() == manifest.to_json()
    assert manifest.counts["documents"] == 30


def test_write_shards_counts_shards_by_tokens(tokenizer: str, tmp_path: Path) -> None:
    samples = samples_of(tokenizer, 5)
    run(lambda p: p | beam.Create(samples) | WriteShards(str(tmp_path), header(tokenizer)))
    assert [shard.name for shard in read_manifest(str(tmp_path)).shards] == [
        "shard-00000-of-00001.tar"
    ]


def test_write_shards_takes_dead_letters_and_fails_past_the_threshold(
    tokenizer: str, tmp_path: Path
) -> None:
    letters = [DeadLetter("source", i, "bad", b"record") for i in range(3)]

    def build(pipeline: beam.Pipeline) -> Any:
        samples = pipeline | "samples" >> beam.Create(samples_of(tokenizer, 7))
        dead = pipeline | "dead" >> beam.Create(letters)
        return (samples, dead) | WriteShards(str(tmp_path), header(tokenizer), max_bad_fraction=0.2)

    (outcome,) = run(build)
    assert isinstance(outcome[0], Failure)
    assert outcome[0].reason.startswith("3 of 10 records are bad (30.00%; 20.00% is allowed)")
    assert not (tmp_path / "manifest.json").exists()
    assert (
        len((tmp_path / "dead_letters/dead-letters-00000-of-00001.jsonl").read_text().splitlines())
        == 3
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


def test_tokens_are_counted_the_same_in_any_bundles():
    """Copies of one key that differ in length, as of a text in two languages."""
    samples = [Sample(1, "a", 0, {"ids": np.arange(length)}) for length in (5, 7, 5)]

    def tokens(*bundles: list[Sample]) -> int:
        pack, found = _Pack(), 0
        for bundle in bundles:
            pack.start_bundle()
            for sample in bundle:
                list(pack.process(sample))
            found += sum(
                output.value.value
                for output in pack.finish_bundle()
                if isinstance(output, TaggedOutput)
            )
        return found

    assert tokens(samples) == tokens(*([sample] for sample in samples)) == 17
