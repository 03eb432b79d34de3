"""Prompts of different lengths in one batch go on as each does alone, and only with left padding
and the mask.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

SCRIPT = Path(__file__).parents[3] / "deploy" / "training" / "generate.py"
PROMPTS = ("It will rain in the", "I want to eat a big bowl of", "My dog is")
PAD = EOS = 50256
IDS = [
    [*[PAD] * 3, 1026, 481, 6290, 287, 262],
    [40, 765, 284, 4483, 257, 1263, 9396, 286],
    [*[PAD] * 5, 3666, 3290, 318],
]
NEW = 12


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(script: ModuleType) -> Any:
    return script.load_model("tiny", 97)


@pytest.fixture(scope="module")
def prompts() -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randint(1, 97, (length,), generator=generator).tolist()
        for length in (5, 8, 3, 1, 8, 2)
    ]


@pytest.fixture(scope="module")
def alone(script: ModuleType, model: Any, prompts: list[list[int]]) -> list[list[int]]:
    return [script.generate(model, [prompt], pad_id=0, max_new_tokens=NEW)[0] for prompt in prompts]


def test_the_published_prompts_give_the_published_ids_and_masks(script: ModuleType, shared: Path):
    tokenizer = script.load_tokenizer(str(shared / "tokenizers/gpt2"))
    assert script.padding_id(tokenizer) == PAD
    batch = script.left_pad([tokenizer.tokenizer.encode(prompt).ids for prompt in PROMPTS], PAD)
    assert batch["input_ids"].tolist() == IDS
    assert batch["attention_mask"].tolist() == [
        [0] * zeros + [1] * (8 - zeros) for zeros in (3, 0, 5)
    ]
    assert {values.dtype for values in batch.values()} == {torch.int64}


def test_each_prompt_of_a_batch_goes_on_as_it_does_alone(
    script: ModuleType, model: Any, prompts: list[list[int]], alone: list[list[int]]
):
    assert script.generate(model, prompts, pad_id=0, max_new_tokens=NEW) == alone
    # the model does listen to its prompts
    assert len({tuple(new) for new in alone}) == len(prompts)
    assert all(len(set(new)) > 2 for new in alone)


def test_it_is_what_transformers_generates(
    script: ModuleType, model: Any, prompts: list[list[int]], alone: Any
):
    batch = script.left_pad(prompts, 0)
    out = model.generate(**batch, max_new_tokens=NEW, do_sample=False, pad_token_id=0)
    assert out[:, batch["input_ids"].shape[1] :].tolist() == alone


def wrong_ways(script: ModuleType, prompts: list[list[int]]) -> dict[str, dict[str, torch.Tensor]]:
    left = script.left_pad(prompts, 0)
    flipped = {name: torch.zeros_like(values) for name, values in left.items()}
    for i, prompt in enumerate(prompts):
        flipped["input_ids"][i, : len(prompt)] = torch.tensor(prompt)
        flipped["attention_mask"][i, : len(prompt)] = 1
    return {
        "right padding": {
            **flipped,
            "position_ids": script.positions_of(flipped["attention_mask"]),
        },
        "no mask": {
            "input_ids": left["input_ids"],
            "attention_mask": torch.ones_like(left["attention_mask"]),
        },
        "no positions": {**left, "position_ids": torch.arange(8).expand(len(prompts), -1)},
    }


@pytest.mark.parametrize("way", ["right padding", "no mask", "no positions"])
def test_padding_on_the_right_and_a_missing_mask_or_positions_give_something_else(
    script: ModuleType, model: Any, prompts: list[list[int]], alone: list[list[int]], way: str
):
    with torch.inference_mode():
        first = model(**wrong_ways(script, prompts)[way]).logits[:, -1].argmax(-1).tolist()
    same = [one == new[0] for one, new in zip(first, alone, strict=True)]
    longest = [len(prompt) == 8 for prompt in prompts]
    assert [ok for ok, full in zip(same, longest, strict=True) if full] == [True, True]
    assert [ok for ok, full in zip(same, longest, strict=True) if not full].count(False) >= 3


def test_a_prompt_ends_at_its_end_of_text_and_the_others_go_on(
    script: ModuleType, model: Any, prompts: list[list[int]], alone: list[list[int]]
):
    eos = alone[0][3]
    found = script.generate(model, prompts, pad_id=0, eos_id=eos, max_new_tokens=NEW)
    assert found == [script.up_to(new, eos) for new in alone]
    assert len(found[0]) <= 4
    assert max(map(len, found)) == NEW


def test_padding_may_be_the_end_of_text_and_the_end_of_text_may_stand_in_a_prompt(
    script: ModuleType, model: Any
):
    prompts = [[96, 5, 96, 7], [3]]
    found = script.generate(model, prompts, pad_id=96, eos_id=96, max_new_tokens=NEW)
    assert found == [
        script.generate(model, [p], pad_id=0, eos_id=96, max_new_tokens=NEW)[0] for p in prompts
    ]


@pytest.mark.parametrize(
    ("prompts", "new", "text"),
    [
        ([[1], []], 5, r"expected prompts of one token or more, got lengths \[1, 0\]"),
        ([], 5, r"expected prompts of one token or more, got lengths \[\]"),
        ([[1]], 0, "expected max_new_tokens of 1 or more, got 0"),
        ([[1] * 250], 7, r"expected at most 256 tokens with the new ones, got 250 \+ 7"),
    ],
)
def test_prompts_that_do_not_fit_are_errors(
    script: ModuleType, model: Any, prompts: Any, new: int, text: str
):
    with pytest.raises(ValueError, match=text):
        script.generate(model, prompts, pad_id=0, max_new_tokens=new)


def test_one_command_shows_ids_masks_and_that_alone_is_the_same(
    script: ModuleType, shared: Path, capsys: pytest.CaptureFixture[str]
):
    flags = [
        "--model",
        "tiny",
        "--tokenizer",
        str(shared / "tokenizers/gpt2"),
        "--max-new-tokens",
        "4",
    ]
    assert script.main([*flags, *PROMPTS]) == 0
    printed = capsys.readouterr().out
    assert "input_ids       50256 50256 50256 1026 481 6290 287 262\n" in printed
    assert "attention_mask  0 0 0 0 0 1 1 1\n" in printed
    assert printed.count("alone           the same\n") == 3
