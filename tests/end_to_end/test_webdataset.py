"""Shards of the command line in the hands of those who use plain webdataset: as the README tells
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import webdataset as wds
from torch.utils.data import DataLoader

from noisebeam.pipeline import ShardDataset
from noisebeam.pipeline.cli import main

pytestmark = pytest.mark.slow

Rows = dict[int, dict[str, list[int]]]  # the fields of each sample, by key


@pytest.fixture(scope="module", params=["", "bart", "bert"], ids=lambda recipe: recipe or "clean")
def built(
    request: pytest.FixtureRequest,
    corpus: Path,
    tokenizer: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder with the same samples as `blocks` and as `classic`, three shards each."""
    folder = tmp_path_factory.mktemp("built")
    flags = ["--tokenizer", tokenizer, "--max-tokens", "64", "--num-shards", "3"]
    flags += ["--recipe", request.param] if request.param else []
    for name, form in (("blocks", []), ("classic", ["--samples-per-member", "1"])):
        output = ["--output", str(folder / name)]
        assert main(["build", "--input", str(corpus / "corpus.jsonl"), *output, *flags, *form]) == 0
    return folder


def urls(folder: Path) -> list[str]:
    return sorted(map(str, folder.glob("*.tar")))


def ours(folder: Path) -> Rows:
    data = ShardDataset(str(folder), batch_size=1)
    samples = map(data.sample, range(len(data.view())))
    return {s.key: {name: values.tolist() for name, values in s.fields.items()} for s in samples}


def split(values: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    return np.split(values, np.cumsum(lengths, dtype=np.int64)[:-1])


def unblocked(blocks: Iterator[dict]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    for block in blocks:
        fields = {}
        if "ids.npy" in block:
            fields["ids"] = split(block["ids.npy"], block["lengths.npy"])
        if "labels.npy" in block:
            inputs = block["input_lengths.npy" if "input_lengths.npy" in block else "lengths.npy"]
            fields["input_ids"] = split(block["input_ids.npy"], inputs)
            fields["labels"] = split(block["labels.npy"], block.get("label_lengths.npy", inputs))
        for i, key in enumerate(block["keys.npy"].tolist()):
            yield key, {name: rows[i] for name, rows in fields.items()}


def test_blocks_have_the_samples(built: Path) -> None:
    expected = ours(built / "blocks")
    found = dict(unblocked(wds.WebDataset(urls(built / "blocks"), shardshuffle=False).decode()))
    assert found.keys() == expected.keys()
    for key, fields in found.items():
        assert fields
        assert all(rows.tolist() == expected[key][name] for name, rows in fields.items())


def test_the_classic_form_has_a_sample_in_a_member_set(built: Path) -> None:
    expected = ours(built / "classic")
    assert expected == ours(built / "blocks")
    found = list(wds.WebDataset(urls(built / "classic"), shardshuffle=False).decode())
    assert {sample["keys.npy"].item() for sample in found} == expected.keys()
    assert len(found) == len(expected)
    for sample in found:
        fields = expected[sample["keys.npy"].item()]
        names = [name for name in ("ids", "input_ids", "labels") if f"{name}.npy" in sample]
        assert names
        assert all(sample[f"{name}.npy"].tolist() == fields[name] for name in names)


def test_a_shuffled_loader_with_workers_sees_each_sample_once(built: Path) -> None:
    dataset = wds.WebDataset(urls(built / "classic"), shardshuffle=3, seed=1).shuffle(50).decode()
    keys = [
        sample["keys.npy"].item() for sample in DataLoader(dataset, batch_size=None, num_workers=2)
    ]
    assert sorted(keys) == sorted(ours(built / "classic"))
