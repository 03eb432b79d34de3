"""The sentences of a text as token ids, each as the first of a text and as it follows another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noisebeam.transforms.data.ragged import IntArray, Ragged
from noisebeam.transforms.data.spans import Spans

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class EncodedSentences:
    """Sentences of a text as token ids.

    Row i of `ids` is sentence i as it follows another sentence (its continuing form). As the first
    of a text it has row i of `heads` in place of its first `head_lengths[i]` tokens. `spans`
    (sentences, 2) are the sentences in the text; sentences that cannot be encoded separately are
    one. `opens` (sentences,) is True for the later part of a sentence that was divided inside a
    word: this part must be the first of a window. `edges` has the first and the last character of
    each sentence, `cut` the positions of the sentences that were divided because they were longer
    than a window.
    """

    spans: Spans
    ids: Ragged  # int32
    head_lengths: IntArray  # (sentences,)
    heads: Ragged  # int32
    # (sentences,): True where a sentence was cut inside a word, so that its rest must open a window
    opens: BoolArray
    # of each sentence the first character of its continuing form, and the last
    edges: tuple[tuple[str, str], ...]
    # where those sentences start that were longer than a window, and so were cut
    cut: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.head_lengths)

    @property
    def lengths(self) -> IntArray:
        """Number of tokens of each sentence as it follows another sentence: (sentences,)."""
        return np.diff(self.ids.offsets)

    @property
    def first_lengths(self) -> IntArray:
        """Number of tokens of each sentence as the first of a text: (sentences,)."""
        return self.lengths - self.head_lengths + np.diff(self.heads.offsets)
