"""Several samples in a row of fixed length, each seeing itself alone: little padding for texts of
any length.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch

from noisebeam.pipeline.batching.bin_packing import pack_best_fit
from noisebeam.pipeline.batching.collate import Batch
from noisebeam.pipeline.batching.masks import causal_mask, packed_mask
from noisebeam.pipeline.batching.plan import WINDOW, Collate, Lengths
from noisebeam.transforms.data.ragged import Array, IntArray, Ragged
from noisebeam.transforms.noise.labels import IGNORED
from noisebeam.transforms.noise.objectives import BATCH_OBJECTIVES, OBJECTIVES, Attention

PackedAttention = Literal["mask", "positions", "varlen"]


@dataclass(frozen=True)
class Pack:
    """Whole samples share rows of `length` tokens, planned `window` samples at a time from the
    indexes alone.

    For samples whose inputs are as long as they are themselves: clean ids, `causal` and `mlm`;
    other noise changes lengths, and an encoder-decoder would have to pack two sides alike.
    `position_ids` begin anew with each sample. The first label of each sample is -100, so that a
    causal model, which shifts them, never predicts a sample from another one. No sample sees
    another, by one of three forms of `attention`:

    - `mask`: `attention_mask` (rows, 1, length, length), 0 and minus infinity: block-diagonal,
      causal but for `mlm`.
    - `positions`: none, for causal models of transformers 5 that work it out of `position_ids`.
    - `varlen`: all rows in one, without padding, (1, tokens), with `cu_seq_lens_q` and
      `cu_seq_lens_k`, (samples + 1,) int32, and the numbers `max_length_q` and `max_length_k`, as
      transformers' flash attention takes them. Without flash attention it is for causal models
      alone, as `positions`.

    Transformers looks at positions only where a model keeps no cache, which GPT-2 and others do
    even in training: so for causal models the last two come with `use_cache`, False.

    A start, at any place, reads the indexes of the shards that its window lies in; `len` reads them
    all.

    The data set sets `causal`, as the objective asks.
    """

    length: int
    window: int = WINDOW
    attention: PackedAttention = field(default="mask", repr=False)
    causal: bool = field(default=True, repr=False)
    sample_rows: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name, value in (("length", self.length), ("window", self.window)):
            if operator.index(value) < 1:
                raise ValueError(f"Pack: expected {name} of at least 1, got {value}")
        if self.attention not in get_args(PackedAttention):
            raise ValueError(
                f"Pack: expected attention mask, positions or varlen, got {self.attention!r}"
            )

    def checked(self, objective: str, max_tokens: int) -> Pack:
        """This, causal or not as the objective asks; ValueError if samples of this objective cannot
        be packed.
        """
        row = BATCH_OBJECTIVES[objective]
        if not row.packable:
            known = " or ".join(sorted(one.name for one in OBJECTIVES.values() if one.packable))
            raise ValueError(
                f"Pack: expected samples without noise or the objective {known}, got {objective}, "
                "whose inputs have lengths or attention of their own; take GroupByLength"
            )
        causal = row.attention is Attention.CAUSAL
        if not causal and self.attention == "positions":
            raise ValueError(
                f"Pack: expected attention mask or varlen for the objective {objective}, got positions; "
                "models that see both sides do not work out of positions where samples begin"
            )
        if self.length < max_tokens:
            raise ValueError(
                f"Pack: expected rows of at least {max_tokens} tokens, as the longest sample may have, "
                f"got {self.length}; take longer rows, or leave out longer samples with max_tokens"
            )
        return replace(self, causal=causal)

    def rows(self, count: int, lengths: Lengths, rng_key: tuple[int, ...]) -> Ragged:
        """The samples in as few rows as best fit finds."""
        return pack_best_fit(lengths(), self.length)

    def collate(self, fields: Mapping[str, Ragged], bounds: IntArray, collate: Collate) -> Batch:
        """`input_ids`, `labels`, `position_ids` and what tells the samples apart."""
        samples, labels = fields["input_ids"], fields["labels"].values
        positions = np.arange(samples.offsets[-1]) - np.repeat(
            samples.offsets[:-1], samples.lengths
        )
        if self.causal:
            labels = np.where(positions == 0, IGNORED, labels.astype(np.int64))
        values = {"input_ids": samples.values, "labels": labels, "position_ids": positions}
        if self.attention == "varlen":
            return {**_flat(values, samples), **self._no_cache}
        values["documents"] = np.repeat(np.arange(1, len(samples.lengths) + 1), samples.lengths)
        offsets = samples.offsets[bounds]
        batch = collate(
            {name: Ragged(array, offsets) for name, array in values.items()}, multiple=self.length
        )
        documents, real = batch.pop("documents"), batch.pop("attention_mask").bool()
        if self.attention == "positions":
            return {**batch, **self._no_cache}
        # Padding sees itself: a position that sees nothing would come out of the softmax as NaN.
        documents = torch.where(
            real, documents, len(samples.lengths) + 1 + torch.arange(self.length)
        )
        mask = packed_mask(documents)
        if self.causal:
            mask &= causal_mask(self.length)
        return {**batch, "attention_mask": torch.where(mask, 0.0, -torch.inf)[:, None]}

    @property
    def _no_cache(self) -> dict[str, Any]:
        return {"use_cache": False} if self.causal else {}


def _flat(values: Mapping[str, Array], samples: Ragged) -> dict[str, Any]:
    bounds = torch.from_numpy(samples.offsets.astype(np.int32))
    longest = int(samples.lengths.max())
    return {
        **{name: torch.from_numpy(array.astype(np.int64))[None] for name, array in values.items()},
        **dict.fromkeys(("cu_seq_lens_q", "cu_seq_lens_k"), bounds),
        **dict.fromkeys(("max_length_q", "max_length_k"), longest),
    }
