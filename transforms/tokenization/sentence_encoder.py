"""Sentences become token ids such that a window of sentences has exact ids in any order.

    text          "It rains. We stay."
    pieces        "It rains." | " We stay."             divided at safe splits
    as first      ids of "We stay."                     heads, for the start of a text
    continuing    ids of " We stay."                    ids, after another sentence

A document is encoded once, sentence by sentence, and its windows are put together from the pieces.
The ids of a window are those of encoding its text in one piece, because sentences are divided only
where the result on one side does not depend on the other (`safe_splits`). For the same reason a
permuted sample reads as text: each sentence is kept as the first of a text, and as it follows
another sentence, with the white space before it.

A head is the first tokens of a sentence that differ between these two forms. An anchor is a
character before a piece without which its ids would differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np

from noisebeam.transforms.data.ragged import Array, IntArray, Ragged, in_smallest_dtype, offsets_of
from noisebeam.transforms.data.spans import Spans
from noisebeam.transforms.tokenization.encoded_sentences import EncodedSentences
from noisebeam.transforms.tokenization.long_sentences import split_long_sentence
from noisebeam.transforms.tokenization.safe_splits import SafeSplits
from noisebeam.transforms.tokenization.tokenizer import LoadedTokenizer, load_once
from noisebeam.transforms.tokenization.word_cache import WordCache

_CACHED_HEADS = 200_000
_LONGEST_CACHED_HEAD = 40  # characters
_Head = tuple[int, tuple[int, ...]]


class _Piece(NamedTuple):
    """A sentence in a text and the white space before it.

    `gap` is that white space, which the first sentence of a text borrows from the second; `anchor`
    is the character before the gap. `opens` is True if the piece must be the first of a window.
    """

    start: int
    end: int
    gap: str
    anchor: str  # the character before the gap
    opens: bool


class Encoder:
    """Encoder of sentences for one tokenizer; it keeps what it has computed for pairs of characters
    and for words.
    """

    def __init__(self, loaded: LoadedTokenizer) -> None:
        self.vocabulary = loaded.vocabulary
        self._prefix = np.array(self.vocabulary.prefix, dtype=np.int32)
        self._dtype = np.min_scalar_type(self.vocabulary.size)
        self._tokenizer = loaded.tokenizer
        self._safe = SafeSplits(self._tokenizer)
        self._heads: dict[tuple[str, str, str], _Head] = {}
        self._words = WordCache(self._tokenizer, self._safe, spaces="")
        self._prepends, self._prepends_to_space = (
            self._after(".", text) != self._ids(text) for text in ("x", " x")
        )
        probes = ("x", " x", "  x", "\nx", "\n\nx", "\tx")
        self.has_alternatives = any(self._after(".", probe) != self._ids("x") for probe in probes)
        spaces = "" if self._prepends_to_space else " " if self._prepends else " \n\r\t"
        self._words = WordCache(self._tokenizer, self._safe, spaces)

    def encode(self, text: str, spans: Spans, budget: int | None = None) -> EncodedSentences:
        """Return the sentences of a text as token ids, given their spans, (sentences, 2); only
        white space may be between them.

        With a `budget` in tokens (32 or more, special ones not counted), a sentence that exceeds it
        as the first of a text is divided into shorter ones, between words if possible; None divides
        none.
        """
        known: dict[_Piece, Array] = {}
        encoded = self._encode(text, spans.tolist(), [False] * len(spans), known)
        if budget is None:
            return encoded
        allowed, cut = budget, ()
        while len(too_long := np.flatnonzero(encoded.first_lengths > budget)):
            cut = cut or tuple(encoded.spans[too_long, 0].tolist())
            parts = list(self._split_long(text, encoded, set(too_long.tolist()), allowed))
            encoded = self._encode(
                text, [part[:2] for part in parts], [part[2] for part in parts], known
            )
            allowed = max(1, allowed - budget // 8)
        return replace(encoded, cut=cut)

    def join(
        self, encoded: EncodedSentences, first: int, last: int, suffix: Sequence[int] | None = None
    ) -> dict[str, Array]:
        """Return the fields of a sample (see `Sample`) made of sentences `first` to `last` - 1.

        `suffix` are the special ids at the end; None means those of the tokenizer. Sentences that
        the tokenizer might join to the one before are one sentence here.
        """
        ids, heads, lengths = encoded.ids, encoded.heads, encoded.lengths[first:last]
        lengths[0] = encoded.first_lengths[first]
        kept = encoded.head_lengths[first]
        begin = ids.offsets[first]
        first_head = heads.values[heads.offsets[first] : heads.offsets[first + 1]]
        rest = ids.values[begin + kept : ids.offsets[last]]
        end = np.array(self.vocabulary.suffix if suffix is None else suffix, dtype=np.int32)
        units = self._movable(encoded, first, last)
        tokens = np.concatenate(
            [self._prefix, first_head, rest, end], dtype=self._dtype, casting="unsafe"
        )
        fields: dict[str, Array] = {
            "ids": tokens,
            "sentence_lengths": in_smallest_dtype(np.add.reduceat(lengths, units)),
        }
        if self.has_alternatives:
            rows = [ids.values[begin : begin + kept]]
            rows += [
                heads.values[heads.offsets[first + i] : heads.offsets[first + i + 1]]
                for i in units[1:]
            ]
            head_lengths = encoded.head_lengths[first + units]
            head_lengths[0] = len(first_head)
            fields["head_lengths"] = in_smallest_dtype(head_lengths)
            fields["alternative_lengths"] = in_smallest_dtype(np.array([len(row) for row in rows]))
            fields["alternatives"] = np.concatenate(rows, dtype=self._dtype, casting="unsafe")
        return fields

    # One sentence after the other
    # -----------------------------------------------------------------------------------

    def _encode(
        self,
        text: str,
        spans: Sequence[Sequence[int]],
        opens: Sequence[bool],
        known: dict[_Piece, Array],
    ) -> EncodedSentences:
        """Return spans of a text as token ids; ids in `known` are used again, and new ones are
        added to it.

        `opens` says for each span whether it must be the first of a window.
        """
        pieces = self._separate(text, spans, opens)
        ids = self._encode_pieces(text, pieces, known)
        lengths = np.diff(ids.offsets)
        if not lengths.all() and lengths.any():
            pieces = _join_empty(pieces, lengths)
            ids = self._encode_pieces(text, pieces, known)
        heads = self._find_heads(text, pieces, self._holds_special(ids))
        return EncodedSentences(
            spans=np.array([(piece.start, piece.end) for piece in pieces], dtype=np.int64).reshape(
                -1, 2
            ),
            ids=ids,
            head_lengths=np.array([length for length, _ in heads], dtype=np.int64),
            heads=_ragged([head for _, head in heads]),
            opens=np.array([piece.opens for piece in pieces], dtype=np.bool_),
            edges=tuple(
                (piece.gap[:1] or text[piece.start], text[piece.end - 1]) for piece in pieces
            ),
        )

    def _separate(
        self, text: str, spans: Sequence[Sequence[int]], opens: Sequence[bool]
    ) -> list[_Piece]:
        """Return the spans of a text as pieces that can be encoded separately; a span that cannot
        is joined to the one before.
        """
        pieces: list[_Piece] = []
        for (start, end), must_open in zip(spans, opens, strict=True):
            if not pieces:
                pieces.append(_Piece(start, end, "", "", must_open))
                continue
            previous = pieces[-1]
            split = previous.end if must_open else self._first_safe_split(text, previous.end, start)
            if split is None:
                pieces[-1] = previous._replace(end=end)
                continue
            if split > previous.end:  # white space that the tokenizer joins to the sentence before
                pieces[-1] = previous._replace(end=split)
            pieces.append(_Piece(start, end, text[split:start], text[split - 1], must_open))
        if len(pieces) > 1:
            last = text[pieces[0].end - 1]
            gap = pieces[1].gap
            anchor = last if self._safe[last + (gap or text[pieces[0].start])[0]] else ""
            pieces[0] = pieces[0]._replace(gap=gap, anchor=anchor)
        return pieces

    def _first_safe_split(self, text: str, end: int, start: int) -> int | None:
        """Return the first position of a safe split in the white space from `end` to `start`; None
        if there is none.
        """
        safe = self._safe
        if safe[text[end - 1 : end + 1]]:
            return end
        return next((at for at in range(end + 1, start + 1) if safe[text[at - 1 : at + 1]]), None)

    def _encode_pieces(self, text: str, pieces: list[_Piece], known: dict[_Piece, Array]) -> Ragged:
        """Return the token ids of pieces of a text, a row for each; ids in `known` are used again,
        and new ones are added to it.
        """
        new = [piece for piece in pieces if piece not in known] if known else pieces
        ids = self._encode_new(text, new)
        known.update(zip(new, ids.rows(), strict=True))
        return ids if new is pieces else Ragged.of([known[piece] for piece in pieces])

    def _encode_new(self, text: str, pieces: list[_Piece]) -> Ragged:
        """Return the token ids of pieces of a text, a row for each, as they follow another
        sentence.
        """
        anchors = [self._anchor(piece.anchor, piece.gap) for piece in pieces]
        texts = [
            anchor + piece.gap + text[piece.start : piece.end]
            for anchor, piece in zip(anchors, pieces, strict=True)
        ]
        ids = self._words.encode(texts)
        if not any(anchors):
            return ids
        before = [len(self._ids(anchor)) if anchor else 0 for anchor in anchors]
        return Ragged.of([row[length:] for row, length in zip(ids.rows(), before, strict=True)])

    def _anchor(self, anchor: str, gap: str) -> str:
        """Return the character after which a piece must be encoded to get its ids; "" if the ids
        are the same without it.
        """
        return anchor if (self._prepends_to_space if gap[:1] == " " else self._prepends) else ""

    def _find_heads(self, text: str, pieces: list[_Piece], whole: list[bool]) -> list[_Head]:
        """Return, for each piece, how its first tokens change when it begins a text: the number of
        tokens to replace, and the new ids.

        `whole` says for each piece whether it has special tokens: then the ids of the whole piece
        are compared with those at the start of a text, else only those of its first word.
        """
        keys = [
            self._head_key(text, piece, special)
            for piece, special in zip(pieces, whole, strict=True)
        ]
        new = list(dict.fromkeys(key for key in keys if key not in self._heads))
        if not new:
            return [self._heads[key] for key in keys]
        anchors, later, first = (
            [anchor for anchor, _, _ in new],
            ["".join(key) for key in new],
            [key[2] for key in new],
        )
        found = {
            key: _without_common_end(after[len(before) :], start)
            for key, before, after, start in zip(
                new, *map(self._batch, (anchors, later, first)), strict=True
            )
        }
        heads = [found.get(key) or self._heads[key] for key in keys]
        if len(self._heads) < _CACHED_HEADS:
            self._heads.update(
                {key: head for key, head in found.items() if len(key[2]) <= _LONGEST_CACHED_HEAD}
            )
        return heads

    def _head_key(self, text: str, piece: _Piece, whole: bool) -> tuple[str, str, str]:
        """Return all on which the head of a piece depends: anchor, white space before it, and its
        text up to a safe split.
        """
        end = piece.end if whole else self._head_end(text, piece.start, piece.end)
        return self._anchor(piece.anchor, piece.gap), piece.gap, text[piece.start : end]

    def _head_end(self, text: str, start: int, end: int) -> int:
        """Return the position of a safe split early in a sentence: at its first space if that is
        safe, else anywhere, else its end.
        """
        safe = self._safe
        space = text.find(" ", start + 1, min(end, start + _LONGEST_CACHED_HEAD))
        if space > 0 and safe[text[space - 1 : space + 1]]:
            return space
        return next((at for at in range(start + 1, end) if safe[text[at - 1 : at + 1]]), end)

    def _holds_special(self, ids: Ragged) -> list[bool]:
        """Return, for each row of ids, whether it has special tokens."""
        special = self.vocabulary.is_special[ids.values]
        if not special.any():
            return [False] * (len(ids.offsets) - 1)
        counts = offsets_of(special)[ids.offsets]
        return [bool(count) for count in np.diff(counts)]

    def _batch(self, texts: list[str]) -> list[list[int]]:
        """Return the token ids of several texts, without special tokens."""
        return [row.tolist() for row in self._words.encode(texts).rows()]

    def _ids(self, text: str) -> list[int]:
        """Return the token ids of a text, without special tokens."""
        return self._batch([text])[0]

    def _after(self, anchor: str, text: str) -> list[int]:
        """Return the token ids of a text as it follows the character `anchor`."""
        return self._ids(anchor + text)[len(self._ids(anchor)) :] if anchor else self._ids(text)

    def _split_long(
        self, text: str, encoded: EncodedSentences, too_long: set[int], budget: int
    ) -> Iterator[tuple[int, int, bool]]:
        """Yield the sentences of a text, those with the numbers `too_long` divided into parts of
        about `budget` tokens: start, end, and whether a part must be the first of a window.
        """
        for i, ((start, end), opens) in enumerate(
            zip(encoded.spans.tolist(), encoded.opens.tolist(), strict=True)
        ):
            if i in too_long:
                yield from split_long_sentence(
                    text, (start, end), opens, budget, self._tokenizer, self._safe
                )
            else:
                yield start, end, opens

    # Windows
    # ----------------------------------------------------------------------------------------------

    def _movable(self, encoded: EncodedSentences, first: int, last: int) -> IntArray:
        """Return the indices, from `first` on, of the sentences that a permutation may move.

        A sentence that the tokenizer might join to another one moves together with the one before
        it.
        """
        edges = encoded.edges[first:last]
        lasts = {edge[1] for edge in edges}
        safe = {
            begin: all(self._safe[end + begin] for end in lasts)
            for begin in {edge[0] for edge in edges}
        }
        if all(safe.values()):
            return np.arange(last - first)
        if not safe[edges[0][0]]:
            return np.zeros(1, dtype=np.int64)
        return np.array([i for i, edge in enumerate(edges) if safe[edge[0]]], dtype=np.int64)


@lru_cache(maxsize=4)
def load_encoder(name: str, fingerprint: str, add_tokens: tuple[str, ...] = ()) -> Encoder:
    """Return the encoder of a tokenizer with added special tokens, made once in a process.

    Raises TokenizerError if the tokenizer called `name` has another fingerprint.
    """
    return Encoder(load_once(name, fingerprint).with_tokens(add_tokens))


def _ragged(rows: Sequence[Sequence[int]]) -> Ragged:
    """Return rows of integers as an int32 ragged array."""
    values = np.fromiter(chain.from_iterable(rows), dtype=np.int32)
    return Ragged(values, offsets_of(np.array([len(row) for row in rows], dtype=np.int64)))


def _join_empty(pieces: list[_Piece], lengths: IntArray) -> list[_Piece]:
    """Return the pieces, with pieces without tokens joined to the piece before, or to the first one
    behind.

    `lengths` (pieces,) are their numbers of tokens.
    """
    joined: list[_Piece] = []
    has_tokens = False  # the last one of `joined`
    for piece, length in zip(pieces, lengths.tolist(), strict=True):
        if joined and not (length and has_tokens):
            joined[-1] = joined[-1]._replace(end=piece.end)
            has_tokens = has_tokens or bool(length)
        else:
            joined.append(piece)
            has_tokens = bool(length)
    return joined


def _without_common_end(old: list[int], new: list[int]) -> tuple[int, tuple[int, ...]]:
    """Return how many ids at the start of `old` must be replaced to get `new`, and the ids to put
    there.

    >>> _without_common_end([623, 9], [133, 9])
    (1, (133,))
    """
    common = 0
    while common < min(len(old), len(new)) and old[-1 - common] == new[-1 - common]:
        common += 1
    return len(old) - common, tuple(new[: len(new) - common])
