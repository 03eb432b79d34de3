"""A permuted sample reads as text: its ids are those of encoding the permuted text, with every tokenizer."""

from __future__ import annotations

import numpy as np
import pytest

from noisebeam.transforms.noise import apply_recipe, load_recipe
from noisebeam.transforms.noise.permutation import SentencePermutation, choose_order
from noisebeam.transforms.samples import Sample, batch_samples
from noisebeam.transforms.tokenizer import load_tokenizer
from noisebeam.transforms.tokens import Encoder

TEXTS = {
    "English": (
        ["It rained.", "Huntington's disease is inherited.", "“Why?” she asked.", "42 people came; 7 left.", "Done!"],
        " ",
    ),
    "Chinese": (["我爱北京天安门。", "今天下雨了!", "他们有3只猫。", "为什么?", "因为春天来了。"], ""),
}


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("name", ["bart-base", "bert-base-uncased", "bert-base-chinese", "gpt2", "t5-base"])
def test_permuted_ids_are_those_of_the_permuted_text(shared, to_rows, name, language) -> None:
    loaded = load_tokenizer(str(shared / "tokenizers" / name))
    encoder = Encoder(loaded)
    sentences, gap = TEXTS[language]
    text = gap.join(sentences)
    ends = np.cumsum([len(sentence) + len(gap) for sentence in sentences]) - len(gap)
    spans = np.stack((ends - [len(sentence) for sentence in sentences], ends), axis=1)
    encoded = encoder.encode(text, spans)
    fields = encoder.join(encoded, 0, len(encoded))
    prefix_length = len(encoder.vocabulary.prefix)
    batch = batch_samples([Sample(key, "d", 0, fields) for key in range(30)], prefix_length)
    assert to_rows(batch)[0] == loaded.tokenizer.encode(text).ids

    count = len(fields["sentence_lengths"])
    orders = choose_order(batch, SentencePermutation(), 5, 0).reshape(30, count) - count * np.arange(30)[:, None]
    rows = to_rows(apply_recipe(load_recipe("sentence-permutation"), batch, encoder.vocabulary, 5, 0)["input_ids"])
    assert count == len(sentences)
    assert len({tuple(order) for order in orders.tolist()}) > 20
    for order, row in zip(orders, rows, strict=True):
        assert row == loaded.tokenizer.encode(gap.join(sentences[i] for i in order)).ids
