"""The protocol of corruptions: what each of them is, built in or of another package."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar, Protocol

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray, Mask
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary

NEW = -1  # origin of a token that is not in the batch before


class Corruption(Protocol):
    """Protocol of a noise operation: a frozen dataclass whose fields are its settings in recipes.

    Settings are values for JSON with defaults, checked by `__post_init__`. A field of another type
    has two functions in its `metadata`: `read(name, value)` makes the field from the value in a
    recipe, and `write(value)` is the inverse; `name` is that of the corruption, for errors.

    Random numbers come from `rng`, with `stream_keys(seed, epoch, batch.keys, stream)`: the result
    of a sample must not depend on the other samples of the batch. `noisebeam.testing` has
    `check_corruption`, which checks these laws.

    These members are optional:

    - `trace(batch, vocabulary, *, seed, epoch) -> Trace`: what the corruption does to each token of
      a batch of one sample, for `noisebeam inspect`. Without it the tokens are aligned by a diff.
    - `model_inputs(batch, vocabulary, *, seed, epoch) -> dict[str, Ragged]`: `input_ids`, `labels`
      and other fields, for objectives whose labels come from the corruption.
    - `objective: ClassVar[str]`: the only objective that the corruption goes with.
    - `needs_sentences: ClassVar[bool]`: True if it needs the sentences of clean samples, so that it
      has to be the first in a recipe.
    """

    name: ClassVar[str]  # in recipes; of another package: the name of its entry point

    def check(self, vocabulary: Vocabulary) -> None:
        """Raise ValueError if the vocabulary lacks a token that these settings need, such as the
        mask.
        """
        ...

    def apply(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> FlatBatch:
        """Return the flat batch after the corruption: the same samples in the same order.

        Special tokens are unchanged, and the arrays of `batch` are not modified. `seed` and `epoch`
        select the random numbers.
        """
        ...


class Change(Enum):
    """Kind of change that noise made to a token.

    The value is the explanation that `noisebeam inspect` shows.
    """

    KEPT = "as in the source"
    SPECIAL = "a special token, never noised"
    MOVED = "its sentence is in another place"
    ROTATED = "went round to the end"
    MASKED = "a mask, for the tokens struck out after it"
    RANDOM = "a random token, for the one struck out after it"
    CHOSEN = "unchanged, but to be predicted"
    SENTINEL = "a sentinel, for the tokens struck out after it"
    INSERTED = "put in between"
    COVERED = "hidden: not in the input"
    DELETED = "deleted: not in the input"
    IGNORED = "not looked at by the loss (-100)"
    LABEL = "to be predicted"


@dataclass(frozen=True, eq=False)
class Trace:
    """Record of what a corruption did to the tokens of a flat batch of one sample.

    `origins` (tokens after the corruption,) is the position before the corruption of each token,
    and NEW (-1) for a token that was added. A sentence that becomes the first of the sample, or no
    longer is, may be encoded anew: the tokens of its first word then have the position where the
    sentence started.

    What happened to a token is a member of `Change`, such as MASKED or DELETED. `new` has one for
    each added token, in order; `gone` is that of all removed tokens; `moves` is that of the tokens
    where `moved` (tokens,) is True, or None if the order of tokens stays. `one_for_one` is True if
    each added token replaces exactly one token. `chosen` are the positions of all tokens to be
    predicted, changed or not. `appended` is the index of the first token of an appended part (part
    B of GLM); None if there is none.
    """

    origins: IntArray
    new: tuple[Change, ...] = ()  # change of each new token, in order
    gone: Change = Change.COVERED  # change of the tokens that are not in the result
    one_for_one: bool = False  # whether each new token replaces one token
    moved: Mask | None = None  # (tokens after,): True for `moves`; tokens keep their order if None
    moves: Change = Change.MOVED
    chosen: IntArray | None = None  # positions of all tokens to be predicted, changed or not
    appended: int | None = None  # index of the first token of a second part (part B of GLM)


def masked_or_random(ids: Array, origins: IntArray, vocabulary: Vocabulary) -> tuple[Change, ...]:
    """Return the change of each added token (those with origin NEW): MASKED if it is the mask
    token, else RANDOM.

    `ids` and `origins` (tokens,) are the ids after a corruption and their positions before it.
    """
    return tuple(
        Change.MASKED if id_ == vocabulary.mask_id else Change.RANDOM
        for id_ in ids[origins == NEW].tolist()
    )


def numbered(batch: FlatBatch) -> FlatBatch:
    """Return a flat batch of one sample whose ids are replaced by the positions of its tokens.

    A corruption applied to it shows the position from which each token of its result comes.
    """
    return replace(batch, ids=np.arange(len(batch.ids)))
