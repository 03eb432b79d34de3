"""Whole words with every family of tokenizers: byte-level BPE, WordPiece, SentencePiece, and
Chinese.
"""

from __future__ import annotations

import numpy as np
import pytest

from noisebeam.transforms.data.samples import Sample, batch_samples
from noisebeam.transforms.noise.corruptions.masking import TokenMasking, mask_tokens
from noisebeam.transforms.noise.ordinary_tokens import ordinary_tokens
from noisebeam.transforms.noise.whole_words import word_starts
from noisebeam.transforms.tokenization.tokenizer import load_tokenizer

ENGLISH = "Unbelievably neurodegenerative polymorphisms and huntingtin translation"
CHINESE = "我爱北京天安门"


def sample_of(loaded, text: str):
    vocabulary = loaded.vocabulary
    ids = np.array(loaded.tokenizer.encode(text).ids, dtype=np.int32)
    fields = {
        "ids": ids,
        "sentence_lengths": np.array([len(ids) - len(vocabulary.prefix) - len(vocabulary.suffix)]),
    }
    return batch_samples([Sample(1, "d", 0, fields)], len(vocabulary.prefix))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("bart-base", ENGLISH, ENGLISH.split()),
        ("gpt2", ENGLISH, ENGLISH.split()),
        ("bert-base-uncased", ENGLISH, ENGLISH.lower().split()),
        ("t5-base", ENGLISH, ENGLISH.split()),
        ("bert-base-chinese", CHINESE, list(CHINESE)),
    ],
)
def test_words_are_those_of_the_text(shared, name, text, words) -> None:
    loaded = load_tokenizer(str(shared / "tokenizers" / name))
    batch = sample_of(loaded, text)
    ordinary = ordinary_tokens(batch, loaded.vocabulary)
    starts = ordinary.positions(word_starts(batch, loaded.vocabulary, ordinary))
    assert len(batch.ids) > len(words) or text == CHINESE
    pieces = np.split(batch.ids, starts)[1:]
    ends = len(loaded.vocabulary.suffix)
    pieces[-1] = pieces[-1][: len(pieces[-1]) - ends]
    assert [
        loaded.tokenizer.decode(piece.tolist()).strip().removeprefix("##").replace(" ##", "")
        for piece in pieces
    ] == words


@pytest.mark.parametrize("name", ["bart-base", "bert-base-uncased", "bert-base-chinese"])
def test_half_of_the_words_are_masked_whole(shared, name) -> None:
    loaded = load_tokenizer(str(shared / "tokenizers" / name))
    batch = sample_of(loaded, CHINESE if name == "bert-base-chinese" else ENGLISH)
    ordinary = ordinary_tokens(batch, loaded.vocabulary)
    words = np.split(
        np.arange(len(batch.ids)),
        ordinary.positions(word_starts(batch, loaded.vocabulary, ordinary)),
    )[1:]
    for seed in range(20):
        masked = (
            mask_tokens(
                batch, loaded.vocabulary, TokenMasking(0.5, whole_words=True), seed=seed
            ).ids
            != batch.ids
        )
        for word in words:
            body = word[word < len(batch.ids) - len(loaded.vocabulary.suffix)]
            assert len(set(masked[body].tolist())) == 1
