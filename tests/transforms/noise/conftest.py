"""Small samples, written as lists of sentences, as flat batches; and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from support.vocabularies import BART_LIKE

from noisebeam.transforms.data.ragged import Ragged
from noisebeam.transforms.data.samples import FlatBatch, flat_batch
from noisebeam.transforms.data.vocabulary import Vocabulary

MakeBatch = Callable[..., FlatBatch]
ToRows = Callable[[Any], list[list[int]]]


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """Ids 0 to 102: <s> 0, <pad> 1, </s> 2, <unk> 3, ordinary 4 to 89, sentinels 97 to 90, <mask>
    99.
    """
    return BART_LIKE


@pytest.fixture(scope="session")
def make_batch() -> MakeBatch:
    """make(samples, keys=None, dtype=int32): samples are lists of sentences, framed by 0 and 2."""

    def make(
        samples: Sequence[Sequence[Sequence[int]]], keys: Any = None, dtype: Any = np.int32
    ) -> FlatBatch:
        rows = [[0, *(id_ for sentence in sample for id_ in sentence), 2] for sample in samples]
        columns = {
            "ids": Ragged.of([np.array(row, dtype=dtype) for row in rows]),
            "sentence_lengths": Ragged.of(
                [np.array(list(map(len, sample)), dtype=np.int64) for sample in samples]
            ),
        }
        keys = np.arange(len(samples)) if keys is None else keys
        return flat_batch(columns, np.array(keys, dtype=np.uint64), prefix_length=1)

    return make


@pytest.fixture(scope="session")
def to_rows() -> ToRows:
    """The ids of a FlatBatch, or the values of a Ragged, as lists."""

    def rows(ragged: Any) -> list[list[int]]:
        values = ragged.ids if isinstance(ragged, FlatBatch) else ragged.values
        return [
            values[a:b].tolist()
            for a, b in zip(ragged.offsets[:-1], ragged.offsets[1:], strict=True)
        ]

    return rows
