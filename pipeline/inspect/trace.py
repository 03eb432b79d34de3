"""What a recipe did to one sample, token by token.

Each corruption returns a `Trace`, the source position of each token after it, from its own random
choices. For a corruption without one, the tokens before and after are aligned by a diff of ids.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.corruption import NEW, Change, Corruption, Trace, masked_or_random
from noisebeam.transforms.noise.ordinary_tokens import is_special
from noisebeam.transforms.noise.recipes import Recipe
from noisebeam.transforms.noise.registry import apply_corruption

GONE = (Change.COVERED, Change.DELETED)
_UNCHANGED = (Change.KEPT, Change.MOVED, Change.ROTATED)


class Token(NamedTuple):
    """Token of a sample during noising, or a removed token, which is kept at its old position for
    display.

    `origin` is the position of the token in the source, or NEW (-1); `change` is what noise did to
    it.
    """

    id: int
    origin: int  # position in the source, or NEW
    change: Change


def source_tokens(batch: FlatBatch, vocabulary: Vocabulary) -> list[Token]:
    """Return the tokens of a flat batch of one sample before noise, as special or kept tokens."""
    special = is_special(batch.ids, vocabulary).tolist()
    changes = (Change.SPECIAL if found else Change.KEPT for found in special)
    return [
        Token(id_, i, change)
        for i, (id_, change) in enumerate(zip(batch.ids.tolist(), changes, strict=True))
    ]


def trace_recipe(
    recipe: Recipe, batch: FlatBatch, vocabulary: Vocabulary, seed: int, epoch: int
) -> Iterator[tuple[str, list[Token]]]:
    """Yield, for each corruption of a recipe, its name and the tokens of the sample after it.

    `batch` is a flat batch of one clean sample. Removed tokens are among the tokens, marked as
    such.
    """
    tokens = source_tokens(batch, vocabulary)
    for corruption in recipe.corruptions:
        after = apply_corruption(corruption, batch, vocabulary, seed, epoch)
        trace = trace_corruption(corruption, batch, after, vocabulary, seed, epoch)
        ids = after.ids[: trace.appended]
        if trace.moved is not None:
            tokens = _moved(tokens, ids, trace)
        else:
            tokens = _edited(tokens, ids, trace)
        if trace.appended is not None:
            tokens += _appended(after.ids[trace.appended :], trace.origins[trace.appended :])
        if trace.chosen is not None:
            tokens = _with_chosen(tokens, trace.chosen)
        batch = after
        yield corruption.name, tokens


def trace_corruption(
    corruption: Corruption,
    batch: FlatBatch,
    after: FlatBatch,
    vocabulary: Vocabulary,
    seed: int,
    epoch: int,
) -> Trace:
    """Return the trace of one corruption: where each token after it comes from.

    `batch` is a flat batch of one sample before the corruption, `after` the batch after it. A
    corruption without a method `trace` is traced by a diff of the ids.
    """
    tracing: Any = getattr(corruption, "trace", None)
    if tracing is not None:
        trace: Trace = tracing(batch, vocabulary, seed=seed, epoch=epoch)
        return trace
    origins = _aligned(batch, after)
    return Trace(origins, masked_or_random(after.ids, origins, vocabulary))


def _aligned(before: FlatBatch, after: FlatBatch) -> IntArray:
    """Return the position in `before` of each token of `after`, by a diff of the ids: (tokens,)
    int64; NEW (-1) for tokens that were added.
    """
    origins = np.full(len(after.ids), NEW)
    matcher = SequenceMatcher(None, before.ids.tolist(), after.ids.tolist(), autojunk=False)
    for start, new_start, size in matcher.get_matching_blocks():
        origins[new_start : new_start + size] = np.arange(start, start + size)
    return origins


def _moved(tokens: Sequence[Token], ids: Array, trace: Trace) -> list[Token]:
    """Return the tokens in the order after a corruption that permutes them.

    A token that was removed earlier stays behind the token that was before it. `ids` are the ids
    after the corruption.
    """
    result, followers = _followers(tokens)
    moved = np.asarray(trace.moved).tolist()
    for id_, origin, other in zip(ids.tolist(), trace.origins.tolist(), moved, strict=True):
        old, *gone = followers[origin]
        change = trace.moves if other and old.change is Change.KEPT else old.change
        result += [Token(id_, old.origin, change), *gone]
    return result


def _edited(tokens: Sequence[Token], ids: Array, trace: Trace) -> list[Token]:
    """Return the tokens after a corruption that adds, replaces or removes tokens and keeps their
    order.

    An added token is before the tokens that it replaces. `ids` are the ids after the corruption.
    """
    result, followers = _followers(tokens)
    changes = iter(trace.new)
    origins = trace.origins[: len(ids)].tolist()
    at = 0
    for id_, origin in [*zip(ids.tolist(), origins, strict=True), (0, len(followers))]:
        if origin == NEW:
            result.append(Token(id_, NEW, next(changes)))
            if not trace.one_for_one:
                continue
            origin = at
            followers[origin][0] = followers[origin][0]._replace(change=trace.gone)
        for old, *others in followers[at:origin]:
            result += [old._replace(change=trace.gone), *others]
        result += followers[origin] if origin < len(followers) else []
        at = origin + 1
    return result


def _appended(ids: Array, origins: IntArray) -> list[Token]:
    """Return the tokens that a corruption appends after the text (part B of GLM): added tokens, and
    tokens to be predicted.
    """
    return [
        Token(id_, origin, Change.INSERTED if origin == NEW else Change.LABEL)
        for id_, origin in zip(ids.tolist(), origins.tolist(), strict=True)
    ]


def _with_chosen(tokens: Sequence[Token], chosen: IntArray) -> list[Token]:
    """Return the tokens, with those at the positions `chosen` marked as chosen for prediction, if
    noise did not change them.
    """
    positions = set(chosen.tolist())
    position = itertools.count()
    return [
        token._replace(change=Change.CHOSEN)
        if token.change not in GONE and next(position) in positions and token.change in _UNCHANGED
        else token
        for token in tokens
    ]


def _followers(tokens: Sequence[Token]) -> tuple[list[Token], list[list[Token]]]:
    """Return two lists: the removed tokens at the start, and for each other token a list of that
    token and the removed tokens right after it.
    """
    starts = [i for i, token in enumerate(tokens) if token.change not in GONE]
    groups = [list(tokens[start:end]) for start, end in itertools.pairwise([*starts, len(tokens)])]
    return list(tokens[: starts[0] if starts else None]), groups
