"""A permuted sample reads as text: its ids are those of encoding the permuted text, with every
tokenizer.
"""

from __future__ import annotations

import numpy as np
import pytest

from noisebeam.transforms.data.samples import FlatBatch, Sample, batch_samples
from noisebeam.transforms.noise import apply_recipe, load_recipe
from noisebeam.transforms.noise.corruptions.permutation import SentencePermutation, choose_order
from noisebeam.transforms.tokenization.sentence_encoder import Encoder
from noisebeam.transforms.tokenization.tokenizer import LoadedTokenizer, load_tokenizer

TEXTS = {
    "English": (
        [
            "It rained.",
            "Huntington's disease is inherited.",
            "“Why?” she asked.",
            "42 people came; 7 left.",
            "Done!",
        ],
        " ",
    ),
    "Chinese": (
        ["我爱北京天安门。", "今天下雨了!", "他们有3只猫。", "为什么?", "因为春天来了。"],
        "",
    ),
}


CASES = [
    (name, language)
    for name in ("bart-base", "bert-base-uncased", "bert-base-chinese", "gpt2", "t5-base")
    for language in TEXTS
    if (name, language) != ("t5-base", "Chinese")
]


def batch_of(loaded: LoadedTokenizer, sentences: list[str], gap: str) -> FlatBatch:
    """Thirty samples of the same sentences, with other keys."""
    encoder = Encoder(loaded)
    ends = np.cumsum([len(sentence) + len(gap) for sentence in sentences]) - len(gap)
    spans = np.stack((ends - [len(sentence) for sentence in sentences], ends), axis=1)
    encoded = encoder.encode(gap.join(sentences), spans)
    fields = encoder.join(encoded, 0, len(encoded))
    return batch_samples(
        [Sample(key, "d", 0, fields) for key in range(30)], len(loaded.vocabulary.prefix)
    )


@pytest.mark.parametrize(("name", "language"), CASES)
def test_permuted_ids_are_those_of_the_permuted_text(shared, to_rows, name, language) -> None:
    loaded = load_tokenizer(str(shared / "tokenizers" / name))
    sentences, gap = TEXTS[language]
    batch = batch_of(loaded, sentences, gap)
    assert to_rows(batch)[0] == loaded.tokenizer.encode(gap.join(sentences)).ids

    orders = choose_order(batch, SentencePermutation(), 5, 0).reshape(30, -1) % len(sentences)
    rows = to_rows(
        apply_recipe(load_recipe("sentence-permutation"), batch, loaded.vocabulary, 5, 0)[
            "input_ids"
        ]
    )
    assert len({tuple(order) for order in orders.tolist()}) > 20
    for order, row in zip(orders, rows, strict=True):
        assert row == loaded.tokenizer.encode(gap.join(sentences[i] for i in order)).ids


def test_sentences_that_a_tokenizer_runs_together_stay_together(shared, to_rows) -> None:
    """T5 has no Chinese: one unknown token may reach from one sentence into the next."""
    loaded = load_tokenizer(str(shared / "tokenizers" / "t5-base"))
    batch = batch_of(loaded, *TEXTS["Chinese"])
    rows = to_rows(
        apply_recipe(load_recipe("sentence-permutation"), batch, loaded.vocabulary, 5, 0)[
            "input_ids"
        ]
    )
    assert rows == to_rows(batch)
