"""Objectives from a corpus to model inputs: the ends of documents, and baked noise the same as on
the fly.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import ByteLevelBPETokenizer, Tokenizer

from noisebeam.deploy.training.glm_model import GlmModel
from noisebeam.pipeline import Pack, ShardDataset
from noisebeam.pipeline.cli import main
from noisebeam.pipeline.inspect.inspect import make_view
from noisebeam.pipeline.inspect.verify import verify
from noisebeam.transforms.output.manifest import read_manifest

Build = Callable[..., str]
GLM = {
    "objective": "glm",
    "corruptions": [{"blank-infilling": {"mask": "<mask>", "start": "<sop>", "end": "<eop>"}}],
}


@pytest.fixture(scope="session")
def plain_tokenizer(topics: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a tokenizer in the manner of GPT-2: it puts nothing around a text, and has no
    padding.
    """
    model = ByteLevelBPETokenizer()
    model.train_from_iterator(
        topics.values(), vocab_size=500, special_tokens=["<|endoftext|>"], show_progress=False
    )
    folder = tmp_path_factory.mktemp("plain")
    model.save(str(folder / "tokenizer.json"))
    return str(folder)


@pytest.fixture(scope="session")
def build(
    topics: dict[str, str], plain_tokenizer: str, tmp_path_factory: pytest.TempPathFactory
) -> Build:
    """build(*flags, tokenizer=...): the folder of a build of six documents, with windows of 64
    tokens at most.
    """
    corpus = tmp_path_factory.mktemp("texts") / "corpus.jsonl"
    lines = [json.dumps({"id": name, "text": topics[name][:3000]}) for name in list(topics)[:6]]
    corpus.write_text("\n".join(lines))

    @cache
    def run(*flags: str, tokenizer: str = plain_tokenizer) -> str:
        output = str(tmp_path_factory.mktemp("build"))
        places = ("--input", str(corpus), "--output", output, "--tokenizer", tokenizer)
        assert (
            main(
                [
                    "build",
                    *places,
                    "--max-tokens",
                    "64",
                    "--num-shards",
                    "2",
                    "--seed",
                    "17",
                    *flags,
                ]
            )
            == 0
        )
        return output

    return run


def documents_of(url: str) -> dict[str, list[list[int]]]:
    """The windows of each document, in order."""
    dataset = ShardDataset(url, batch_size=1)
    windows: dict[str, dict[int, list[int]]] = defaultdict(dict)
    for i in range(dataset.samples):
        sample = dataset.sample(i)
        windows[sample.document][sample.window] = sample.fields["ids"].tolist()
    return {name: [found[i] for i in range(len(found))] for name, found in windows.items()}


def test_the_end_of_text_comes_once_at_the_end_of_each_document(
    build: Build, topics: dict[str, str]
):
    url = build("--append-eos")
    closed, spell = documents_of(url), Tokenizer.from_file(f"{url}/tokenizer/tokenizer.json").decode
    assert any(len(windows) > 1 for windows in closed.values())
    for name, windows in closed.items():
        assert [0 in window for window in windows] == [False] * (len(windows) - 1) + [True]
        assert windows[-1][-1] == 0
        assert max(map(len, windows)) <= 64
        assert "".join("".join(map(spell, windows)).split()) == "".join(topics[name][:3000].split())


def test_a_tokenizer_that_ends_every_text_ends_the_last_window_alone(build: Build, tokenizer: str):
    plain, closed = (
        documents_of(build(tokenizer=tokenizer)),
        documents_of(build("--append-eos", tokenizer=tokenizer)),
    )
    for name, windows in closed.items():
        assert [[*window, 2] for window in windows[:-1]] + windows[-1:] == plain[name]


def test_a_causal_recipe_appends_the_end_of_text_by_itself(build: Build):
    baked = build("--recipe", "causal")
    assert read_manifest(baked).settings["append_eos"] is True
    assert documents_of(baked) == documents_of(build("--append-eos"))


@pytest.mark.parametrize("recipe", ["causal", "prefix-lm", GLM])
def test_baked_and_on_the_fly_are_the_same_bits(build: Build, tmp_path: Path, recipe: object):
    flags = ("--append-eos", "--add-tokens", "<mask>", "<sop>", "<eop>")
    name = recipe if isinstance(recipe, str) else str(tmp_path / "glm.yaml")
    if not isinstance(recipe, str):
        Path(name).write_text(json.dumps(recipe))
    baked, clean = build(*flags, "--recipe", name), build(*flags)
    assert verify(baked) == []
    view, fresh = (
        ShardDataset(baked, batch_size=4).view(),
        ShardDataset(clean, recipe, batch_size=4, seed=17).view(),
    )
    assert len(view) == len(fresh)
    for one, other in zip(view, fresh, strict=True):
        assert one.keys() == other.keys()
        for field, values in one.items():
            np.testing.assert_array_equal(values, other[field])


@pytest.mark.parametrize("recipe", ["causal", "prefix-lm", GLM])
def test_inspect_shows_it(build: Build, tmp_path: Path, recipe: object):
    name = recipe if isinstance(recipe, str) else str(tmp_path / "glm.yaml")
    if not isinstance(recipe, str):
        Path(name).write_text(json.dumps(recipe))
    clean = build("--append-eos", "--add-tokens", "<mask>", "<sop>", "<eop>")
    (noised,) = make_view(clean, 0, [name]).noised
    assert noised.panels[-1].title.endswith("labels")
    assert len(noised.masks) == 1


@pytest.mark.parametrize("recipe", ["causal", "prefix-lm"])
def test_shards_without_ends_are_refused_for_objectives_that_learn_them(build: Build, recipe: str):
    url = build()
    with pytest.raises(
        ValueError,
        match=f"recipe '{recipe}': expected documents that end in an end of text, and those",
    ):
        ShardDataset(url, recipe, batch_size=2)


def test_a_tokenizer_without_an_end_of_text_is_refused_at_once(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    model = ByteLevelBPETokenizer()
    model.train_from_iterator(["some text"], vocab_size=300, show_progress=False)
    model.save(str(tmp_path / "tokenizer.json"))
    places = [
        "--input",
        str(corpus / "corpus.jsonl"),
        "--output",
        str(tmp_path / "out"),
        "--tokenizer",
        str(tmp_path),
    ]
    assert main(["build", *places, "--append-eos"]) == 2
    assert (
        "append_eos: needs an end-of-text token, and the tokenizer has none"
        in capsys.readouterr().err
    )
    assert main(["build", *places, "--recipe", "causal"]) == 2
    assert "recipe 'causal': objective causal needs an end-of-text token" in capsys.readouterr().err


def test_tokens_are_added_where_the_tokenizer_lacks_them(build: Build):
    url = build("--add-tokens", "[R]", "<|endoftext|>", "<pad>")
    vocabulary = ShardDataset(url, batch_size=1).vocabulary
    assert vocabulary.size == 502
    assert [vocabulary.id_of(token) for token in ("[R]", "<|endoftext|>", "pad", "eos")] == [
        500,
        0,
        501,
        0,
    ]
    assert verify(url) == []


ADDED = ("--append-eos", "--add-tokens", "<mask>", "<sop>", "<eop>")


def first_batch(url: str, recipe: object, **settings: object) -> dict[str, torch.Tensor]:
    return next(iter(ShardDataset(url, recipe, batch_size=6, seed=1, **settings)))


def test_causal_batches_are_padded_on_either_side_and_learn_the_end_though_it_is_the_padding(
    build: Build,
):
    right, left = (
        first_batch(build(*ADDED), "causal", padding_side=side) for side in ("right", "left")
    )
    for one, other in zip(right["input_ids"], left["input_ids"], strict=True):
        assert one[one != 0].tolist() == other[other != 0].tolist()
    assert torch.equal(
        right["labels"], right["input_ids"].masked_fill(right["attention_mask"] == 0, -100)
    )
    first = left["attention_mask"].argmax(1)
    assert (first > 0).any()
    for row, at in enumerate(first.tolist()):
        assert left["labels"][row, : at + (at > 0)].tolist() == [-100] * (at + (at > 0))
        assert torch.equal(left["labels"][row, at + 1 :], left["input_ids"][row, at + 1 :])
    counted = first_batch(build(*ADDED), "causal", padding_side="left", position_ids=True)[
        "position_ids"
    ]
    assert counted.max(1).values.tolist() == (left["attention_mask"].sum(1) - 1).tolist()


def test_prefix_batches_show_the_prefix_to_all_and_learn_the_rest(build: Build):
    batch = first_batch(build(*ADDED), "prefix-lm")
    rows, width = batch["input_ids"].shape
    assert (batch["attention_mask"].shape, batch["attention_mask"].dtype) == (
        (rows, 1, width, width),
        torch.bool,
    )
    for labels, mask, ids in zip(
        batch["labels"], batch["attention_mask"][:, 0], batch["input_ids"], strict=True
    ):
        known = (labels != -100).nonzero().flatten().tolist()
        start, end = known[0], known[-1] + 1
        assert known == list(range(start, end))
        assert labels[start:end].tolist() == ids[start:end].tolist()
        expected = torch.ones(width, width, dtype=torch.bool).tril()
        expected[:, :start] = True
        expected[:, end:] = False
        assert torch.equal(mask, expected)


def test_glm_batches_go_into_a_glm_model(build: Build):
    batch = first_batch(build(*ADDED), GLM)
    rows, width = batch["input_ids"].shape
    assert batch["position_ids"].shape == (rows, 2, width)
    for labels, mask, steps in zip(
        batch["labels"], batch["attention_mask"][:, 0], batch["position_ids"][:, 1], strict=True
    ):
        part_a = int((labels != -100).long().argmax())
        assert steps[:part_a].tolist() == [0] * part_a
        assert mask[0].nonzero().flatten().tolist() == list(range(part_a))
        assert mask[part_a].sum() == part_a + 1
    loss = GlmModel(503, width=16, heads=2, layers=1, positions=128)(**batch)["loss"]
    assert loss.item() == pytest.approx(np.log(503), rel=0.1)


def test_decoder_inputs_are_those_that_bart_makes(build: Build, tokenizer: str):
    from transformers.models.bart.modeling_bart import shift_tokens_right

    batch = first_batch(build(tokenizer=tokenizer), "text-infilling", decoder_start_token_id=2)
    assert torch.equal(batch["decoder_input_ids"], shift_tokens_right(batch["labels"], 1, 2))


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        ("causal", {"padding_side": "up"}, "expected padding_side left or right, got 'up'"),
        (
            "prefix-lm",
            {"padding_side": "left"},
            "padding_side left: expected an objective of causal, clean, got",
        ),
        (
            "causal",
            {"decoder_start_token_id": 2},
            "decoder_start_token_id: expected an objective of denoising, spans",
        ),
        (
            "prefix-lm",
            {"position_ids": True},
            "position_ids: expected an objective of causal, clean, got prefix",
        ),
        (
            "causal",
            {"padding_side": "left", "batching": Pack(64)},
            "expected Pack, or padding_side, position_ids and",
        ),
    ],
)
def test_what_does_not_go_together_is_an_error(
    build: Build, recipe: str, settings: dict[str, object], message: str
):
    with pytest.raises(ValueError, match=message):
        first_batch(build(*ADDED), recipe, **settings)
