"""No key of a shuffle gets more than its share, whatever the documents are."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from noisebeam.transforms.beam import CleanDocuments, clean, write
from noisebeam.transforms.cleaning.cleaning import CleaningOptions
from noisebeam.transforms.data.documents import DeadLetter, Document
from noisebeam.transforms.data.keys import document_key, sample_key
from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.output.folder import OutputFolder
from noisebeam.transforms.shards.held_out import shards_of
from noisebeam.transforms.shards.sample_packer import SamplePacker

SHARDS, SAMPLES = 32, 20_000
PREFIX = "https://example.org/a/very/long/prefix/"

ADVERSARIES = {
    "one text under many ids": [
        (document_key(f"{PREFIX}{i}", "One text."), f"{PREFIX}{i}", 0) for i in range(SAMPLES)
    ],
    "many texts under one id": [
        (document_key("id", f"Text {i}."), "id", 0) for i in range(SAMPLES)
    ],
    "one huge document": [
        (document_key("huge", "A huge text."), "huge", i) for i in range(SAMPLES)
    ],
    "ids that count": [(document_key(str(i), f"Text {i}."), str(i), 0) for i in range(SAMPLES)],
}


@pytest.mark.parametrize("name", ADVERSARIES)
@pytest.mark.parametrize("seed", [0, 17])
def test_the_largest_shard_is_a_fifth_above_the_mean_at_most(name: str, seed: int) -> None:
    keys = [sample_key(document, window) for document, _, window in ADVERSARIES[name]]
    documents = [identifier for _, identifier, _ in ADVERSARIES[name]]
    sizes = np.bincount(shards_of(keys, documents, seed, SHARDS, 0.0), minlength=SHARDS)
    assert sizes.max() <= 1.2 * sizes.mean()
    assert sizes.min() >= 0.8 * sizes.mean()


BUNDLES = 16
COPIES = {
    "a record that is half of the corpus": lambda i: "One text." if i % 2 else f"Text {i}.",
    "nothing but copies of one record": lambda _: "One text.",
    "a hundred records, each many times": lambda i: f"Text {i % 100}.",
    "every record twice": lambda i: f"Text {i // 2}.",
}


def sample_of(text: str) -> Sample:
    return Sample(
        sample_key(document_key("id", text), 0), "id", 0, {"ids": np.arange(99, dtype=np.uint16)}
    )


def rows_for_each_shard(samples: list[Sample]) -> list[int]:
    """How many rows of tables travel to each shard from so many bundles."""
    rows = [0] * SHARDS
    for first in range(BUNDLES):
        packer = SamplePacker()
        tables = [table for sample in samples[first::BUNDLES] for table in packer.add(sample)]
        for table in [*tables, *packer.rest()]:
            for shard, piece in write._assign(table, 17, SHARDS, 0.0, frozenset()):
                rows[shard] += len(piece)
    return rows


@pytest.mark.parametrize("name", COPIES)
def test_copies_of_a_record_are_two_rows_of_a_bundle_at_most(name: str) -> None:
    rows = rows_for_each_shard([sample_of(COPIES[name](i)) for i in range(SAMPLES)])
    assert max(rows) <= 1.2 * np.mean(rows) + 2 * BUNDLES


def test_a_corpus_of_dirt_alone_makes_files_of_dead_letters_of_one_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records of one byte each: what is told of them is two hundred times as large."""
    monkeypatch.setattr(write, "_DEAD_BYTES_PER_PART", 20_000)
    letters = [
        DeadLetter(f"{PREFIX}corpus.jsonl", 2 * i, "expected JSON, got something else", b"x")
        for i in range(3000)
    ]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        pipeline | beam.Create(letters) | write._WriteDeadLetters(OutputFolder(str(tmp_path)))
    sizes = [file.stat().st_size for file in (tmp_path / "dead_letters").iterdir()]
    assert 20 < len(sizes) < 40
    assert 10_000 < min(sizes) <= max(sizes) < 30_000


def sizes_of_groups(
    documents: list[Document], file: Path, monkeypatch: pytest.MonkeyPatch
) -> list[int]:
    """How many values the groups have in which equal texts meet, largest first; the rest of the
    step runs as ever.
    """
    same_texts, path = clean._same_texts, str(file)

    def counted(group: tuple[bytes, list[bytes]]) -> object:
        with open(path, "a") as lines:
            lines.write(f"{len(list(group[1]))}\n")
        return same_texts(group)

    monkeypatch.setattr(clean, "_same_texts", counted)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        kept, _ = (
            pipeline
            | beam.Create(documents, reshuffle=False)
            | CleanDocuments(CleaningOptions(drop_duplicates=True))
        )
        (
            kept
            | beam.Map(lambda document: document.id)
            | beam.io.WriteToText(f"{path}-kept", shard_name_template="")
        )
    return sorted(map(int, file.read_text().split()), reverse=True)


def test_a_text_that_is_there_many_times_is_a_few_values_of_a_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = [Document(f"{i:05d}", "One text.") for i in range(3000)]
    others = [Document(f"other {i}", f"Text {i}.") for i in range(3)]
    largest, *rest = sizes_of_groups([*copies, *others], tmp_path / "sizes", monkeypatch)
    assert largest <= 20  # those whose key is smaller than all before: 9 are to be expected
    assert rest == [1, 1, 1]
    assert len(Path(f"{tmp_path}/sizes-kept").read_text().splitlines()) == 4


def test_copies_of_a_record_from_many_places_travel_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each copy is smaller than all before it, so that no bundle drops one."""
    keep, path = clean._Keep.process, str(tmp_path / "sizes")

    def counted(self: clean._Keep, joined: tuple[bytes, dict[str, list[object]]]) -> object:
        with open(path, "a") as lines:
            lines.write(f"{len(list(joined[1]['documents']))}\n")
        return keep(self, joined)

    monkeypatch.setattr(clean._Keep, "process", counted)
    copies = [Document("a", "One text.", source="file", position=100 - i) for i in range(100)]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        kept, counts = (
            pipeline | beam.Create(copies) | CleanDocuments(CleaningOptions(drop_duplicates=True))
        )
        (
            kept
            | "Kept" >> beam.Map(lambda document: document.position)
            | beam.io.WriteToText(f"{path}-kept")
        )
        counts | "Counts" >> beam.io.WriteToText(f"{path}-counts")
    assert Path(path).read_text().split() == ["1"] * 100
    written = {name: [*tmp_path.glob(f"sizes-{name}-*")] for name in ("kept", "counts")}
    assert [file.read_text() for file in written["kept"]] == ["1\n"]
    assert [file.read_text() for file in written["counts"]] == ["('dropped_duplicates', 99)\n"]
