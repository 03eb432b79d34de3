"""Generated flat batches for tests: samples of random sentences over a small vocabulary."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np

from noisebeam.transforms.data.ragged import Ragged
from noisebeam.transforms.data.samples import FlatBatch, flat_batch
from noisebeam.transforms.data.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    size=128,
    prefix=(0,),
    suffix=(2,),
    special_ids=(0, 1, 2, 3, *range(110, 128)),
    special_tokens=(
        *("<s>", "<pad>", "</s>", "<unk>"),
        *(f"<extra_id_{i}>" for i in range(10, -1, -1)),
        *("[R]", "[S]", "[X]", "<|sop|>", "<|eop|>", "[gMASK]", "<mask>"),
    ),
    pad_id=1,
    mask_id=127,
    bos_id=0,
    eos_id=2,
    sentinel_ids=tuple(range(120, 109, -1)),
    continues_word_hex="55" * 16,
)
"""Ids 0 to 127: <s> 0, <pad> 1, </s> 2, <unk> 3, ordinary tokens 4 to 109, sentinels 120 to 110,
UL2's and GLM's tokens, <mask> 127. Every second token continues a word."""


def random_batches(seed: int, count: int, vocabulary: Vocabulary) -> Iterator[FlatBatch]:
    """Yield `count` random flat batches, small ones first; the same batches for the same seed.

    Batch i has up to i / 8 + 1 samples of 0 to 6 sentences. Every second batch has `head_lengths`
    and `alternatives`: other first tokens for sentences that begin a text.
    """
    source = random.Random(seed)
    ordinary = np.flatnonzero(~vocabulary.is_special).tolist()
    for i in range(count):
        rows = [
            [_sentence(source, ordinary, 1 + i // 4) for _ in range(source.randrange(7))]
            for _ in range(1 + source.randrange(1 + i // 8))
        ]
        yield _batch(source, rows, vocabulary, with_heads=i % 2 == 1)


def _sentence(source: random.Random, ordinary: list[int], longest: int) -> list[int]:
    """Return a random sentence: 1 to `longest` (at most 30) ids out of `ordinary`."""
    return [source.choice(ordinary) for _ in range(1 + source.randrange(min(longest, 30)))]


def _batch(
    source: random.Random,
    rows: list[list[list[int]]],
    vocabulary: Vocabulary,
    *,
    with_heads: bool,
) -> FlatBatch:
    """Return the flat batch of `rows`, a list of sentences for each sample, each sample with prefix
    and suffix added.

    With `with_heads` it has `head_lengths` and `alternatives`.
    """
    framed = [
        [*vocabulary.prefix, *(id_ for sentence in row for id_ in sentence), *vocabulary.suffix]
        for row in rows
    ]
    columns = {
        "ids": Ragged.of([np.array(ids, dtype=np.int32) for ids in framed]),
        "sentence_lengths": Ragged.of(
            [np.array(list(map(len, row)), dtype=np.int64) for row in rows]
        ),
    }
    if with_heads:
        ordinary = np.flatnonzero(~vocabulary.is_special).tolist()
        ones = [np.ones(len(row), dtype=np.int64) for row in rows]
        heads = [np.array([source.choice(ordinary) for _ in row], dtype=np.int32) for row in rows]
        columns["head_lengths"] = columns["alternative_lengths"] = Ragged.of(ones)
        columns["alternatives"] = Ragged.of(heads)
    keys = np.array([source.getrandbits(64) for _ in rows], dtype=np.uint64)
    return flat_batch(columns, keys, len(vocabulary.prefix))
