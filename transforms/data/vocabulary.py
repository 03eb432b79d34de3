"""The vocabulary: what noise and training need to know of a tokenizer.

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
    """Special ids of a tokenizer, and which tokens continue a word.

    Ids are 0 to `size` - 1; a token that the tokenizer lacks is None.
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
        """Mask of special and added ids: (size,)."""
        table = np.zeros(self.size, dtype=np.bool_)
        table[list(self.special_ids)] = True
        return table

    @cached_property
    def continues_word(self) -> npt.NDArray[np.bool_]:
        """Mask of ids that continue the word before, as `##s` or a byte-level piece without space:
        (size,).
        """
        bits = np.frombuffer(bytes.fromhex(self.continues_word_hex), dtype=np.uint8)
        return (
            np.unpackbits(bits, count=self.size).astype(np.bool_)
            if len(bits)
            else np.zeros(self.size, np.bool_)
        )

    @property
    def padding_id(self) -> int:
        """Id that pads inputs, under an attention mask of 0: padding, end of text, or 0."""
        known = (self.pad_id, self.eos_id)
        return next((id_ for id_ in known if id_ is not None), 0)

    def id_of(self, token: str | int) -> int | None:
        """Return the id of a token given by its text, its role (mask, pad, bos, eos) or its id.

        None if the vocabulary has no such special or added token.

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
        """Return the suffixes of a document's inner windows and of its last one, with one end of
        text.

        A suffix that has an end of text keeps it in the last window alone; a suffix without one
        gets it there. Raises ValueError if the tokenizer has no end of text.

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
        """Return the vocabulary as plain values, as the manifest has it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Vocabulary:
        """Return the vocabulary of plain values, the inverse of `to_json`."""
        plain: dict[str, Any] = {
            k: tuple(value) if isinstance(value, list) else value for k, value in values.items()
        }
        return cls(**plain)
