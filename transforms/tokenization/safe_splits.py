"""Safe splits: positions where the two sides of a text can be encoded separately, with the same
ids.

"It rains. We stay."   before the space: safe if the tokenizer splits words at white space
"下雨了。我们留下。"       after the full stop: safe if no token can contain "。我"
"rain|drops"           not safe: "raindrops" may be one token
"""

from __future__ import annotations

from tokenizers import Tokenizer

_SPACES = " \n\r\t\f\v\u00a0\u3000"  # that an added token may take in with `rstrip`


class SafeSplits(dict[str, bool]):
    """Mapping from a pair of characters to whether a text may be divided between them; computed
    once for each pair.

    A split is safe if both sides can be encoded separately with the same ids: the pre-tokenizer
    separates the two characters or, for models that merge tokens (BPE, Unigram), no token of the
    vocabulary contains the two side by side.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._composes = type(tokenizer.model).__name__ in ("BPE", "Unigram")
        self._vocabulary = frozenset(tokenizer.get_vocab(with_added_tokens=False))
        added = tokenizer.get_added_tokens_decoder().values()
        taking = [token.content + space for token in added if token.rstrip for space in _SPACES]
        contents = [*(token.content for token in added), *taking]
        self._added = {content[i : i + 2] for content in contents for i in range(len(content) - 1)}
        self._neighbours = {
            token[i : i + 2] for token in self._vocabulary for i in range(len(token) - 1)
        }

    def __missing__(self, pair: str) -> bool:
        """Compute whether a text may be divided between the two characters of `pair`, store and
        return it.
        """
        is_safe = self._separates(pair) or (self._composes and not self._may_join(pair))
        is_safe = self[pair] = is_safe and pair not in self._added
        return is_safe

    def _normalize(self, text: str) -> str:
        """Return the text after the tokenizer's normalizer."""
        normalizer = self._tokenizer.normalizer
        return str(normalizer.normalize_str(text)) if normalizer else text

    def _separates(self, pair: str) -> bool:
        """Return True if the pre-tokenizer divides the text between the two characters of
        `pair`.
        """
        pre_tokenizer, whole = self._tokenizer.pre_tokenizer, self._normalize(pair)
        cut, rest = len(self._normalize(pair[0])), len(self._normalize(pair[1]))
        if pre_tokenizer is None or not cut or not rest or len(whole) != cut + rest:
            return False  # what a normalizer drops at a cut might change what lies beyond it
        return all(
            end <= cut or start >= cut for _, (start, end) in pre_tokenizer.pre_tokenize_str(whole)
        )

    def _may_join(self, pair: str) -> bool:
        """Return True if one token could contain both characters of `pair`, or one unknown token
        could replace both.
        """
        left, right = (self._symbols(character) for character in pair)
        if not left or not right or self._symbols(pair) != left + right:
            return True
        both_unknown = left[-1] not in self._vocabulary and right[0] not in self._vocabulary
        return both_unknown or left[-1] + right[0] in self._neighbours

    def _symbols(self, text: str) -> str:
        """Return a text in the alphabet of the model (such as bytes as characters), as it is inside
        a longer text.
        """
        return self._whole_symbols("x" + text).removeprefix(self._whole_symbols("x"))

    def _whole_symbols(self, text: str) -> str:
        """Return a text in the alphabet of the model, as it is at the start of a text."""
        text, pre_tokenizer = self._normalize(text), self._tokenizer.pre_tokenizer
        return (
            "".join(piece for piece, _ in pre_tokenizer.pre_tokenize_str(text))
            if pre_tokenizer
            else text
        )
