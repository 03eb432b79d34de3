"""Tokens as people read them."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer

from noisebeam.pipeline.inspect.token_view import Panel, Speller
from noisebeam.pipeline.inspect.trace import Token
from noisebeam.transforms.data.samples import Sample, batch_samples
from noisebeam.transforms.noise.corruption import NEW, Change


@pytest.fixture(scope="module")
def model(tokenizer: str) -> Tokenizer:
    return Tokenizer.from_file(f"{tokenizer}/tokenizer.json")


def panel(model: Tokenizer, tokens: list[Token], sentence_lengths: list[int]) -> Panel:
    fields = {
        "ids": np.zeros(sum(sentence_lengths) + 2, np.int64),
        "sentence_lengths": np.array(sentence_lengths),
    }
    return Speller(model, batch_samples([Sample(1, "d", 0, fields)], prefix_length=1)).panel(
        "title", tokens
    )


def test_a_character_in_several_tokens_is_shown_once_it_is_whole(model: Tokenizer) -> None:
    ids = model.encode("a ḳ b", add_special_tokens=False).ids
    kinds = [(Change.KEPT, Change.MOVED)[i % 2] for i in range(len(ids))]
    tokens = [Token(id_, i + 1, kind) for i, (id_, kind) in enumerate(zip(ids, kinds, strict=True))]
    (row,) = panel(model, tokens, [len(ids)]).rows
    assert len(row.runs) == len(ids) > 4
    texts = [run.text for run in row.runs]
    assert "".join(texts).replace("\ufffd", "") == "a ḳ b"
    assert "".join(texts).count("\ufffd") == 1


def test_what_comes_from_nowhere_goes_with_what_it_leads(model: Tokenizer) -> None:
    mask, start, word = 4, 0, 300
    tokens = [
        Token(0, 0, Change.SPECIAL),
        Token(word, 1, Change.KEPT),
        Token(mask, NEW, Change.MASKED),
        Token(word, 2, Change.COVERED),
        Token(start, NEW, Change.INSERTED),
        Token(word, 1, Change.LABEL),
        Token(mask, NEW, Change.INSERTED),
    ]
    shown = panel(model, tokens, [1, 1])
    assert [row.sentence for row in shown.rows] == [0, 1, 0]
    assert [[run.change for run in row.runs] for row in shown.rows] == [
        [Change.SPECIAL, Change.KEPT],
        [Change.MASKED, Change.COVERED],
        [Change.INSERTED, Change.LABEL, Change.INSERTED],
    ]
    assert shown.ids == [0, word, mask, start, word, mask]
