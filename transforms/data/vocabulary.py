"""The vocabulary: what noise and training must know of a tokenizer.

The manifest stores it, so that training needs no tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Vocabulary:
    """Special ids of a tokenizer, and which of its tokens continue a word.

    Ids are 0 to `size` - 1. `prefix` and `suffix` are the special ids that the tokenizer puts
    before and after a text: (0,) and (2,) for BART. `special_ids` are all special and added ids,
    ascending, which are never noised or drawn; `special_tokens` are their texts, or empty if
    unknown. The id of a special token that the tokenizer does not have is None. `sentinel_ids` are
    T5's <extra_id_0>, <extra_id_1>, ..., in this order.
    """

    size: int
    prefix: tuple[int, ...] = ()  # special ids that the tokenizer puts before a text: (0,) for BART
    suffix: tuple[int, ...] = ()  # special ids that it puts after a text: (2,) for BART
    special_ids: tuple[int, ...] = ()  # special and added ids, ascending: never noised, never drawn
    special_tokens: tuple[str, ...] = ()  # the tokens of these ids; () if unknown
    pad_id: int | None = None
    mask_id: int | None = None
    bos_id: int | None = None
    eos_id: int | None = None
    sentinel_ids: tuple[int, ...] = ()  # T5's <extra_id_0>, <extra_id_1>, ... in this order
    continues_word_hex: str = (
        ""  # bit i (most significant first) is 1 where token i continues a word; "" if unknown
    )

    @cached_property
    def is_special(self) -> npt.NDArray[np.bool_]:
        """Mask (size,) bool that is True for special and added ids."""
        table = np.zeros(self.size, dtype=np.bool_)
        table[list(self.special_ids)] = True
        return table

    @cached_property
    def continues_word(self) -> npt.NDArray[np.bool_]:
        """Mask (size,) bool that is True for ids that continue the word before them, such as `##s`
        or a byte-level piece without a space.
        """
        bits = np.frombuffer(bytes.fromhex(self.continues_word_hex), dtype=np.uint8)
        return (
            np.unpackbits(bits, count=self.size).astype(np.bool_)
            if len(bits)
            else np.zeros(self.size, np.bool_)
        )

    @property
    def padding_id(self) -> int:
        """Id for the padding of inputs: that of the padding token, else of the end of text,
        else 0.
        """
        known = (self.pad_id, self.eos_id)
        return next((id_ for id_ in known if id_ is not None), 0)

    def id_of(self, token: str | int) -> int | None:
        """Return the id of a token given by its text, its role (mask, pad, bos, eos) or its id;
        None if there is no such special or added token.

        >>> vocabulary = Vocabulary(8, special_ids=(5, 6), special_tokens=("[M]", "[R]"), mask_id=5)
        >>> [vocabulary.id_of(token) for token in ("[R]", "mask", "eos", 7, 8)]
        [6, 5, None, 7, None]
        """
        if isinstance(token, int):
            return token if token < self.size else None
        roles = {"mask": self.mask_id, "pad": self.pad_id, "bos": self.bos_id, "eos": self.eos_id}
        named = dict(zip(self.special_tokens, self.special_ids, strict=False))
        return roles[token] if token in roles else named.get(token)

    def document_suffixes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return two suffixes (special ids after a text): for the inner windows of a document, and
        for its last window.

        Only the last window of a document ends with the end-of-text token: it is taken away from
        other suffixes, or added here. Raises ValueError if the tokenizer has no end-of-text token.

        >>> Vocabulary(9, suffix=(2,), eos_id=2).document_suffixes()
        ((), (2,))
        >>> Vocabulary(9, eos_id=8).document_suffixes()
        ((), (8,))
        """
        if self.eos_id is None:
            raise ValueError(
                "append_eos: needs an end-of-text token, and the tokenizer has none; "
                "name one as eos_token in its tokenizer_config.json"
            )
        end = (self.eos_id,)
        inner = self.suffix[:-1] if self.suffix[-1:] == end else self.suffix
        return inner, inner + end

    def to_json(self) -> dict[str, Any]:
        """Return the vocabulary as a dict for JSON, as the manifest stores it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Vocabulary:
        """Return the vocabulary that `to_json` wrote."""
        plain: dict[str, Any] = {
            k: tuple(value) if isinstance(value, list) else value for k, value in values.items()
        }
        return cls(**plain)
