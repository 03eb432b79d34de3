"""No key of a shuffle gets more than its share, whatever the documents are."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from noisebeam.transforms.beam import CleanDocuments, clean
from noisebeam.transforms.cleaning import CleaningOptions
from noisebeam.transforms.documents import Document
from noisebeam.transforms.held_out import shards_of
from noisebeam.transforms.keys import document_key, sample_key

SHARDS, SAMPLES = 32, 20_000
PREFIX = "https://example.org/a/very/long/prefix/"

ADVERSARIES = {
    "one text under many ids": [(document_key(f"{PREFIX}{i}", "One text."), f"{PREFIX}{i}", 0) for i in range(SAMPLES)],
    "many texts under one id": [(document_key("id", f"Text {i}."), "id", 0) for i in range(SAMPLES)],
    "one huge document": [(document_key("huge", "A huge text."), "huge", i) for i in range(SAMPLES)],
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


def sizes_of_groups(documents: list[Document], file: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many values the groups have in which equal texts meet, largest first; the rest of the step runs as ever."""
    same_texts, path = clean._same_texts, str(file)

    def counted(group: tuple[bytes, list[bytes]]) -> object:
        with open(path, "a") as lines:
            lines.write(f"{len(list(group[1]))}\n")
        return same_texts(group)

    monkeypatch.setattr(clean, "_same_texts", counted)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        kept, _ = (
            pipeline | beam.Create(documents, reshuffle=False) | CleanDocuments(CleaningOptions(drop_duplicates=True))
        )
        kept | beam.Map(lambda document: document.id) | beam.io.WriteToText(f"{path}-kept", shard_name_template="")
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
