"""WriteShards alone in a pipeline, and the tables that its samples are packed into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import TaggedOutput
from support.pipelines import run, samples_of

from noisebeam.transforms.beam import (
    WriteShards,
)
from noisebeam.transforms.beam.write import _Pack
from noisebeam.transforms.data.documents import DeadLetter
from noisebeam.transforms.data.samples import (
    Sample,
)
from noisebeam.transforms.output.finish import Failure
from noisebeam.transforms.output.manifest import Manifest, read_manifest
from noisebeam.transforms.shards.format import field_dtypes
from noisebeam.transforms.tokenization.tokenizer import load_tokenizer


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
