"""Packing: several samples in a row of fixed length, each of which sees itself alone.

row of 8    a a a b b c c .      position_ids  0 1 2 0 1 0 1 .
labels      - a a - b - c -      the first label of each sample is -100
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
    """Batching that packs whole samples into rows of `length` tokens, planned for `window` samples
    of the epoch at a time.

    The plan reads only the shard indexes. Samples must be as long as their inputs: clean ids,
    `causal` and `mlm`; other noise changes lengths, and an encoder-decoder would need two packed
    sides. `position_ids` begin again with each sample. The first label of each sample is -100, so
    that a causal model, which shifts labels, never predicts a sample from another one. `attention`
    is one of:

    - `mask`: `attention_mask` (rows, 1, length, length), 0 and minus infinity: block-diagonal,
      causal except for `mlm`.
    - `positions`: no mask, for causal models of transformers 5, which derive it from
      `position_ids`.
    - `varlen`: all rows in one without padding, (1, tokens), with `cu_seq_lens_q` and
      `cu_seq_lens_k`, (samples + 1,) int32, and the numbers `max_length_q` and `max_length_k`, as
      transformers' flash attention takes them. Without flash attention it is for causal models
      alone, as `positions`.

    Transformers looks at positions only if a model keeps no cache, which GPT-2 and others do even
    in training: so for causal models the last two have `use_cache`, False.

    Starting at any position of the epoch reads the indexes of the shards of those `window` samples;
    `len` reads all indexes. The data set sets `causal` by the objective.
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
        """Return this packing set up for an objective; raise ValueError if its samples cannot be
        packed.

        `max_tokens` is the length of the longest sample, which must fit in a row.
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
                f"Pack: expected attention mask or varlen for the objective {objective}, got "
                "positions; "
                "models that see both sides do not work out of positions where samples begin"
            )
        if self.length < max_tokens:
            raise ValueError(
                f"Pack: expected rows of at least {max_tokens} tokens, as the longest sample may "
                "have, "
                f"got {self.length}; take longer rows, or leave out longer samples with max_tokens"
            )
        return replace(self, causal=causal)

    def rows(self, count: int, lengths: Lengths, rng_key: tuple[int, ...]) -> Ragged:
        """Return the rows of `count` samples, in as few rows as best-fit packing finds: each row
        has the numbers, 0 to count - 1, of its samples.

        `lengths` returns the token counts of the samples; `rng_key` is not used.
        """
        return pack_best_fit(lengths(), self.length)

    def collate(self, fields: Mapping[str, Ragged], bounds: IntArray, collate: Collate) -> Batch:
        """Return a batch with `input_ids`, `labels`, `position_ids` and the mask or offsets that
        separate the samples of a row.

        `fields` has the samples one after another; row i of the batch has samples `bounds[i]` to
        `bounds[i + 1]` - 1. `collate` pads ragged rows to tensors.
        """
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
        """The model argument `use_cache=False` for causal objectives, as a dict; empty for
        others.
        """
        return {"use_cache": False} if self.causal else {}


def _flat(values: Mapping[str, Array], samples: Ragged) -> dict[str, Any]:
    """Return the tensors and numbers that `varlen` attention takes, all rows in one without
    padding.
    """
    bounds = torch.from_numpy(samples.offsets.astype(np.int32))
    longest = int(samples.lengths.max())
    return {
        **{name: torch.from_numpy(array.astype(np.int64))[None] for name, array in values.items()},
        **dict.fromkeys(("cu_seq_lens_q", "cu_seq_lens_k"), bounds),
        **dict.fromkeys(("max_length_q", "max_length_k"), longest),
    }
