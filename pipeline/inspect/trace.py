"""What a recipe did to one sample, token by token: told by the choices of the kernels themselves,
not guessed.

A corruption draws its choice from the sample as always. The choice is then applied to the
*positions* of the tokens in place of their ids, by the same function: what comes out is where each
token comes from.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from enum import Enum
from typing import NamedTuple

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray, Ragged
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise import Recipe, apply_corruption
from noisebeam.transforms.noise.corruptions.blank_infilling import (
    BlankInfilling,
    choose_blanks,
    cut_blanks,
)
from noisebeam.transforms.noise.corruptions.deletion import (
    TokenDeletion,
    choose_deletion,
    remove_tokens,
)
from noisebeam.transforms.noise.corruptions.insertion import TokenInsertion, choose_insertion
from noisebeam.transforms.noise.corruptions.masking import (
    Replacements,
    TokenMasking,
    choose_masking,
    replace_tokens,
)
from noisebeam.transforms.noise.corruptions.permutation import (
    SentencePermutation,
    choose_order,
    reorder_sentences,
)
from noisebeam.transforms.noise.corruptions.prefix_split import PrefixSplit
from noisebeam.transforms.noise.corruptions.rotation import (
    DocumentRotation,
    choose_rotation,
    rotate_to,
)
from noisebeam.transforms.noise.corruptions.span_corruption import (
    SpanCorruption,
    choose_corrupted_spans,
)
from noisebeam.transforms.noise.corruptions.text_infilling import (
    TextInfilling,
    choose_infilling,
    fill_spans,
)
from noisebeam.transforms.noise.ordinary_tokens import is_special, ordinary_tokens
from noisebeam.transforms.noise.recipes import Corruption
from noisebeam.transforms.noise.spans import replace_spans

NOWHERE = -1  # the origin of a token that is not in the source


class Kind(Enum):
    """What became of a token, or why it is there; the value explains it to people."""

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


GONE = (Kind.COVERED, Kind.DELETED)
_UNCHANGED = (Kind.KEPT, Kind.MOVED, Kind.ROTATED)


class Token(NamedTuple):
    """A token of a sequence, or one that is gone from it but shown where it stood."""

    id: int
    origin: int  # its position in the source, or NOWHERE
    kind: Kind


def source_tokens(batch: FlatBatch, vocabulary: Vocabulary) -> list[Token]:
    """The tokens of a batch of one sample as they are."""
    special = is_special(batch.ids, vocabulary).tolist()
    kinds = (Kind.SPECIAL if found else Kind.KEPT for found in special)
    return [
        Token(id_, i, kind)
        for i, (id_, kind) in enumerate(zip(batch.ids.tolist(), kinds, strict=True))
    ]


def trace_recipe(
    recipe: Recipe, batch: FlatBatch, vocabulary: Vocabulary, seed: int, epoch: int
) -> Iterator[tuple[str, list[Token]]]:
    """The name of each corruption, and the tokens of a batch of one sample after it, those that are
    gone included.
    """
    tokens = source_tokens(batch, vocabulary)
    for corruption in recipe.corruptions:
        after = apply_corruption(corruption, batch, vocabulary, seed, epoch)
        places = trace_corruption(corruption, batch, vocabulary, seed, epoch)
        if isinstance(corruption, SentencePermutation | DocumentRotation):
            tokens = _moved(tokens, batch, after, places, corruption)
        elif isinstance(corruption, BlankInfilling):
            blanks = choose_blanks(batch, vocabulary, corruption, seed, epoch)
            part_a = len(batch.ids) + int((1 - blanks.spans.lengths).sum())
            first = replace(after, ids=after.ids[:part_a])
            tokens = _edited(tokens, first, places[:part_a], corruption, vocabulary)
            tokens += _part_b(after.ids[part_a:], places[part_a:])
        else:
            tokens = _edited(tokens, after, places, corruption, vocabulary)
        if isinstance(corruption, TokenMasking):
            tokens = _with_chosen(
                tokens, choose_masking(batch, vocabulary, corruption, seed, epoch)
            )
        batch = after
        yield corruption.name, tokens


def trace_corruption(
    corruption: Corruption, batch: FlatBatch, vocabulary: Vocabulary, seed: int, epoch: int
) -> IntArray:
    """(tokens after it,): the position in the batch that each token comes from, -1 for a new one.

    A first word that is encoded anew, because its sentence has moved, has the position where its
    sentence starts.
    """
    at = (seed, epoch)
    tagged = replace(batch, ids=np.arange(len(batch.ids)))
    new = np.array(NOWHERE)
    match corruption:
        case SentencePermutation():
            return _reordered(tagged, choose_order(batch, corruption, *at), len(vocabulary.prefix))
        case DocumentRotation():
            ordinary = ordinary_tokens(batch, vocabulary)
            return rotate_to(
                tagged, ordinary, choose_rotation(batch, ordinary, corruption, *at)
            ).ids
        case TokenDeletion():
            return remove_tokens(tagged, choose_deletion(batch, vocabulary, corruption, *at)).ids
        case TokenMasking():
            chosen = choose_masking(batch, vocabulary, corruption, *at)
            changed = chosen.positions[batch.ids[chosen.positions] != chosen.ids]
            return replace_tokens(tagged, Replacements(changed, new)).ids
        case TextInfilling():
            return fill_spans(
                tagged,
                choose_infilling(batch, vocabulary, corruption, *at),
                NOWHERE,
                corruption.replace_length,
            ).ids
        case TokenInsertion():
            return replace_spans(
                tagged, choose_insertion(batch, vocabulary, corruption, *at).spans, new
            ).ids
        case SpanCorruption():
            spans, denoisers = choose_corrupted_spans(batch, vocabulary, corruption, *at)
            modes = [int(corruption.denoisers[i].mode is not None) for i in denoisers]
            return np.concatenate(
                [np.full(sum(modes), NOWHERE), replace_spans(tagged, spans, new).ids]
            )
        case BlankInfilling():
            blanks = choose_blanks(batch, vocabulary, corruption, *at)
            return cut_blanks(tagged, blanks, NOWHERE, NOWHERE, NOWHERE)["input_ids"].values
        case PrefixSplit():
            return tagged.ids
    return _aligned(batch, apply_corruption(corruption, batch, vocabulary, *at))


def _aligned(before: FlatBatch, after: FlatBatch) -> IntArray:
    """The positions that the tokens most likely come from: the corruptions of other packages do not
    tell theirs.
    """
    places = np.full(len(after.ids), NOWHERE)
    matcher = SequenceMatcher(None, before.ids.tolist(), after.ids.tolist(), autojunk=False)
    for start, new_start, size in matcher.get_matching_blocks():
        places[new_start : new_start + size] = np.arange(start, start + size)
    return places


def _reordered(tagged: FlatBatch, order: IntArray, prefix_length: int) -> IntArray:
    if tagged.alternatives is not None:
        starts = np.concatenate([[prefix_length], tagged.sentence_ends[:-1]])
        counts = np.diff(tagged.alternatives.offsets)
        tagged = replace(
            tagged, alternatives=Ragged(starts.repeat(counts), tagged.alternatives.offsets)
        )
    return reorder_sentences(tagged, order, prefix_length).ids


def _moved(
    tokens: Sequence[Token],
    before: FlatBatch,
    after: FlatBatch,
    places: IntArray,
    corruption: Corruption,
) -> list[Token]:
    """The tokens in their new order; those that are gone stay behind the token they stood
    behind.
    """
    leading, followers = _followers(tokens)
    if isinstance(corruption, SentencePermutation):
        was, now = (
            np.searchsorted(batch.sentence_ends, np.arange(len(batch.ids)), "right")
            for batch in (before, after)
        )
        kind, moved = Kind.MOVED, was[places] != now
    else:
        kind, moved = Kind.ROTATED, places < np.arange(len(places))
    result = leading
    for id_, place, other in zip(after.ids.tolist(), places.tolist(), moved.tolist(), strict=True):
        old, *gone = followers[place]
        result += [
            Token(id_, old.origin, kind if other and old.kind is Kind.KEPT else old.kind),
            *gone,
        ]
    return result


def _edited(
    tokens: Sequence[Token],
    after: FlatBatch,
    places: IntArray,
    corruption: Corruption,
    vocabulary: Vocabulary,
) -> list[Token]:
    """The tokens after a corruption that keeps their order: new ones come before those that they
    stand for.
    """
    result, followers = _followers(tokens)
    gone = Kind.DELETED if _only_removes(corruption) else Kind.COVERED
    one_for_one = (
        isinstance(corruption, TokenMasking) or getattr(corruption, "replace_length", 1) == -1
    )
    at = 0
    for id_, place in [*zip(after.ids.tolist(), places.tolist(), strict=True), (0, len(followers))]:
        if place == NOWHERE:
            result.append(Token(id_, NOWHERE, _kind_of_new(id_, corruption, vocabulary)))
            if not one_for_one:
                continue
            place = at
            followers[place][0] = followers[place][0]._replace(kind=gone)
        for old, *others in followers[at:place]:
            result += [old._replace(kind=gone), *others]
        result += followers[place] if place < len(followers) else []
        at = place + 1
    return result


def _part_b(ids: Array, places: IntArray) -> list[Token]:
    return [
        Token(id_, place, Kind.INSERTED if place == NOWHERE else Kind.LABEL)
        for id_, place in zip(ids.tolist(), places.tolist(), strict=True)
    ]


def _only_removes(corruption: Corruption) -> bool:
    return isinstance(corruption, TokenDeletion) or getattr(corruption, "replace_length", 1) == 0


def _kind_of_new(id_: int, corruption: Corruption, vocabulary: Vocabulary) -> Kind:
    if isinstance(corruption, SpanCorruption) and id_ in vocabulary.sentinel_ids:
        return Kind.SENTINEL
    if isinstance(corruption, TokenInsertion | SpanCorruption):
        return Kind.INSERTED
    return (
        Kind.MASKED
        if id_ == vocabulary.mask_id or isinstance(corruption, BlankInfilling)
        else Kind.RANDOM
    )


def _with_chosen(tokens: Sequence[Token], chosen: Replacements) -> list[Token]:
    """Mark the tokens that were chosen, but stayed as they are."""
    positions = set(chosen.positions.tolist())
    place = itertools.count()
    return [
        token._replace(kind=Kind.CHOSEN)
        if token.kind not in GONE and next(place) in positions and token.kind in _UNCHANGED
        else token
        for token in tokens
    ]


def _followers(tokens: Sequence[Token]) -> tuple[list[Token], list[list[Token]]]:
    """The tokens that are gone from before the first one left, and each one left with those gone
    from behind it.
    """
    starts = [i for i, token in enumerate(tokens) if token.kind not in GONE]
    groups = [list(tokens[start:end]) for start, end in itertools.pairwise([*starts, len(tokens)])]
    return list(tokens[: starts[0] if starts else None]), groups
