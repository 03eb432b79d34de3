"""Encoding of texts word by word, where the ids of a known word are looked up instead of computed.

Most words of a text have occurred before. A word has the white space before it, and is encoded
separately only where `safe_splits` says that this changes nothing; so the ids are those of encoding
the text whole.
"""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from threading import Lock

import numpy as np
from tokenizers import Tokenizer

from noisebeam.transforms.data.ragged import IntArray, Ragged, offsets_of
from noisebeam.transforms.tokenization.safe_splits import SafeSplits

_MOST_CHARACTERS = 2_000_000  # of the words kept: some 200,000 of them, in 40 MB


class WordCache:
    """Encoder of texts, without special tokens, that keeps the ids of their words.

    Texts are divided before white space that begins with a character of `spaces`, such as " \\n".
    With "" they are not divided, as is needed if the tokenizer encodes the first word of a text
    differently. `safe` says where a text may be divided.
    """

    def __init__(self, tokenizer: Tokenizer, safe: SafeSplits, spaces: str) -> None:
        self._tokenizer = tokenizer
        self._safe = safe
        self._spaces = spaces
        self._divide = re.compile(
            f"[{spaces}]*[^{spaces}]+|[{spaces}]+" if spaces else "(?s:.+)"
        ).findall
        self._lock = Lock()
        self._forget()

    def encode(self, texts: Sequence[str]) -> Ragged:
        """Return the token ids of texts as an int32 ragged array, a row for each text. Threads may
        share a cache.
        """
        with self._lock:
            return self._encode(texts)

    def _encode(self, texts: Sequence[str]) -> Ragged:
        """Return the token ids of texts, a row for each text. The caller holds the lock."""
        if self._characters > _MOST_CHARACTERS:
            self._forget()
        divided = list(map(self._divide, texts))
        words = self._look_up(chain.from_iterable(divided))
        if np.frombuffer(self._joining, dtype=np.bool_)[words].any():
            divided = [
                self._keep_whole(text, parts) for text, parts in zip(texts, divided, strict=True)
            ]
            words = self._look_up(chain.from_iterable(divided))
        known = Ragged(
            np.frombuffer(self._ids, dtype=np.int32), np.frombuffer(self._ends, dtype=np.int64)
        )
        ids = known.take(words)
        return Ragged(
            ids.values,
            ids.offsets[offsets_of(np.fromiter(map(len, divided), np.int64, len(divided)))],
        )

    def _forget(self) -> None:
        """Empty the cache."""
        self._numbers: defaultdict[str, int] = defaultdict()
        self._numbers.default_factory = self._numbers.__len__
        self._ids, self._ends = array("i"), array("q", [0])  # of all words by number, end to end
        # by number: 1 for words that what follows may join, white space by `lstrip`
        self._joining = bytearray()
        self._characters = 0

    def _look_up(self, words: Iterable[str]) -> IntArray:
        """Return the number of each word in the cache; new words are encoded and added."""
        known = len(self._numbers)
        found = np.fromiter(map(self._numbers.__getitem__, words), dtype=np.int64)
        self._learn(list(islice(reversed(self._numbers), len(self._numbers) - known))[::-1])
        return found

    def _learn(self, words: Sequence[str]) -> None:
        """Encode words and add their ids to the cache."""
        encodings = self._tokenizer.encode_batch_fast(words, add_special_tokens=False)
        for word, encoding in zip(words, encodings, strict=True):
            self._ids.extend(encoding.ids)
            self._ends.append(len(self._ids))
            self._joining.append(
                word[-1].isspace()
                or not all(self._safe[word[-1] + space] for space in self._spaces)
            )
            self._characters += len(word)

    def _keep_whole(self, text: str, words: list[str]) -> list[str]:
        """Return the words of a text; the whole text as one word if a word in it may be joined to
        the next.
        """
        return [text] if any(self._joining[self._numbers[word]] for word in words[:-1]) else words
