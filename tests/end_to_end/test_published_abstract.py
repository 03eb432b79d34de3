"""The abstract of the BART example, from text to training batches: published ids in, rules of
padding out.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from noisebeam.pipeline import ShardDataset
from noisebeam.pipeline.cli import main

ABSTRACT = (
    "Huntington's disease is a neurodegenerative autosomal disease results due to expansion of "
    "polymorphic CAG repeats "
    "in the huntingtin gene. Phosphorylation of the translation initiation factor 4E-BP results in "
    "the alteration of "
    "the translation control leading to unwanted protein synthesis and neuronal function. "
    "Consequences of mutant "
    "huntington (mhtt) gene transcription are not well known."
)
IDS = [
    *(0, 38831, 2577, 1054, 18, 2199, 16, 10, 14913, 28904, 5777, 3693, 32226, 38868, 2199, 775),
    *(528, 7, 2919, 9, 48052, 636, 230, 3450, 35315, 11, 5, 8217, 24276, 10596, 4, 4129),
    *(33839, 4405, 35019, 9, 5, 19850, 34939, 3724, 204, 717, 12, 21792, 775, 11, 5, 39752),
    *(9, 5, 19850, 797, 981, 7, 15067, 8276, 37423, 8, 46282, 5043, 4, 2585, 33430, 8457),
    *(9, 41419, 8217, 1054, 36, 119, 49491, 43, 10596, 37118, 32, 45, 157, 684, 4, 2),
]
ONE, TWO = 31, 61  # where the second and the third sentence begin
FIRST, SECOND, THIRD = IDS[1:ONE], IDS[ONE:TWO], IDS[TWO:-1]
BOS, PAD, EOS = 0, 1, 2


@pytest.fixture(scope="module")
def shards(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("published")
    documents = [
        {"id": "abstract", "text": ABSTRACT},
        {"id": "twice", "text": f"{ABSTRACT} {ABSTRACT}"},
    ]
    (folder / "in.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents))
    flags = ["--tokenizer", str(shared / "tokenizers/bart-base"), "--max-tokens", "256"]
    assert (
        main(
            ["build", "--input", str(folder / "in.jsonl"), "--output", str(folder / "out"), *flags]
        )
        == 0
    )
    return str(folder / "out")


def row(shards: str, recipe: str | None, epoch: int = 0) -> tuple[list[int], list[int], list[int]]:
    """The abstract's row of a batch in which the other row is longer: input ids, attention mask and
    labels.
    """
    (batch,) = ShardDataset(shards, recipe=recipe, batch_size=2, seed=17, epoch=epoch)
    i = int(torch.argmin((batch["labels"] != -100).sum(1)))
    return (
        batch["input_ids"][i].tolist(),
        batch["attention_mask"][i].tolist(),
        batch["labels"][i].tolist(),
    )


def test_the_published_ids_come_out(shards: str) -> None:
    ids, mask, labels = row(shards, None)
    assert ids[: len(IDS)] == IDS
    assert labels[: len(IDS)] == IDS
    assert mask == [1] * len(IDS) + [0] * (len(ids) - len(IDS))
    assert set(ids[len(IDS) :]) == {PAD}
    assert set(labels[len(IDS) :]) == {-100}


def test_deletion_leaves_the_survivors_in_order_and_then_padding(shards: str) -> None:
    ids, mask, labels = row(shards, "token-deletion")
    kept = sum(mask)
    assert mask == [1] * kept + [0] * (len(ids) - kept)
    assert set(ids[kept:]) == {PAD}
    assert (ids[0], ids[kept - 1]) == (BOS, EOS)
    source = iter(IDS)
    assert all(any(token == id_ for id_ in source) for token in ids[:kept])
    assert len(IDS) - kept == round(0.15 * (len(IDS) - 2))
    assert labels[: len(IDS)] == IDS


def test_rotation_keeps_the_special_tokens_and_the_padding_in_place(shards: str) -> None:
    ids, mask, labels = row(shards, "document-rotation")
    content = ids[1 : len(IDS) - 1]
    assert content in [IDS[1:-1][i:] + IDS[1:-1][:i] for i in range(1, len(IDS) - 2)]
    assert (ids[0], ids[len(IDS) - 1]) == (BOS, EOS)
    assert set(ids[len(IDS) :]) == {PAD}
    assert sum(mask) == len(IDS)
    assert labels[: len(IDS)] == IDS


def test_permutation_exchanges_the_published_blocks(shards: str) -> None:
    found = []
    for epoch in range(40):
        ids, mask, labels = row(shards, "sentence-permutation", epoch)
        assert labels[: len(IDS)] == IDS
        found.append(ids[1 : sum(mask) - 1])
    assert FIRST + SECOND + THIRD in found
    assert FIRST + THIRD + SECOND in found
    assert all(ids.count(4) == 3 for ids in found)


def test_the_recipe_hides_three_tenths_and_teaches_all(shards: str) -> None:
    ids, mask, labels = row(shards, "bart")
    assert sum(mask) < len(IDS)
    assert ids.count(50264) > 3
    assert labels[: len(IDS)] == IDS
