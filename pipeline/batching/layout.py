"""Layout of batches: padding side, masks, positions and decoder inputs of each objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Literal, get_args

import torch
from torch import Tensor

from noisebeam.pipeline.batching.collate import Batch, collate
from noisebeam.pipeline.batching.masks import padding_mask, positions_of, prefix_mask, to_additive
from noisebeam.transforms.data.ragged import Ragged
from noisebeam.transforms.noise.labels import IGNORED
from noisebeam.transforms.noise.objectives import BATCH_OBJECTIVES, Attention

Side = Literal["left", "right"]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Rules by which ragged rows become a batch: padding side, masks, positions, decoder inputs.

    An objective is the training task of a recipe; `clean` is text without noise.

    | objective | batch |
    |---|---|
    | any | `input_ids`, `attention_mask`, `labels` |
    | denoising, spans, clean | also `decoder_input_ids`, with `decoder_start_token_id` |
    | causal, clean | padded on the `padding_side`; `position_ids` on request |
    | prefix | `attention_mask` (rows, 1, width, width) |
    | glm | `attention_mask` as for prefix, and `position_ids` (rows, 2, width) |

    The two rows of GLM's positions are the position in part A and the position in the span. Widths
    are multiples of `multiple`. Four-dimensional masks are boolean, True where a query sees a key,
    or additive in another `mask_dtype`. Raises ValueError for settings that the objective does not
    allow.
    """

    pad_id: int
    objective: str = "clean"
    padding_side: Side = "right"
    position_ids: bool = False
    decoder_start_token_id: int | None = None
    multiple: int = 1  # of widths
    mask_dtype: torch.dtype = torch.bool

    def __post_init__(self) -> None:
        if self.padding_side not in get_args(Side):
            raise ValueError(f"expected padding_side left or right, got {self.padding_side!r}")
        for name, wanted, allows in (
            ("padding_side left", self.padding_side == "left", attrgetter("takes_left_padding")),
            ("position_ids", self.position_ids, attrgetter("takes_left_padding")),
            (
                "decoder_start_token_id",
                self.decoder_start_token_id is not None,
                attrgetter("takes_decoder_inputs"),
            ),
        ):
            if wanted and not allows(BATCH_OBJECTIVES[self.objective]):
                known = ", ".join(row.name for row in BATCH_OBJECTIVES.values() if allows(row))
                raise ValueError(f"{name}: expected an objective of {known}, got {self.objective}")

    @property
    def _has_prefix(self) -> bool:
        """True if the first part of a row (the prefix, or part A of GLM) is seen by all positions
        of the row.
        """
        return BATCH_OBJECTIVES[self.objective].attention is Attention.PREFIX

    @property
    def extended(self) -> bool:
        """True if padding is on the left, or batches have `position_ids` or `decoder_input_ids`."""
        return (
            self.padding_side == "left"
            or self.position_ids
            or self.decoder_start_token_id is not None
        )

    @property
    def flat(self) -> bool:
        """True if the attention mask has two dimensions and not four; such batches are quick to
        make.
        """
        return not self._has_prefix

    @property
    def form(self) -> Layout:
        """Copy of this layout in which objectives with the same tensors in a batch are equal.

        Data sets can be mixed if these copies are equal.
        """
        return replace(self, objective=self.objective if self._has_prefix else "clean")

    def __call__(self, fields: Mapping[str, Ragged], multiple: int | None = None) -> Batch:
        """Return the batch of ragged rows, by name: int64 tensors, except for masks of
        `mask_dtype`.

        `multiple`, if given, replaces the layout's own multiple of widths.
        """
        batch = collate(fields, pad_id=self.pad_id, multiple=multiple or self.multiple)
        if self.padding_side == "left":
            batch = padded_left(batch)
        if self.position_ids:
            batch["position_ids"] = positions_of(batch["attention_mask"])
        if self.decoder_start_token_id is not None:
            batch["decoder_input_ids"] = shifted_right(
                batch["labels"], self.decoder_start_token_id, self.pad_id
            )
        if "block_position_ids" in batch:
            batch["position_ids"] = torch.stack(
                [batch["position_ids"], batch.pop("block_position_ids")], 1
            )
        if self._has_prefix:
            batch["attention_mask"] = self._given_mask(batch)
        return batch

    def _given_mask(self, batch: Batch) -> Tensor:
        """Return the mask (rows, 1, width, width) in which all positions see the first part of
        their row, and the rest is causal.

        The first part is the prefix, or part A of GLM. Padding is not seen.
        """
        shown = batch["attention_mask"]
        mask = prefix_mask(given_lengths(batch["labels"], shown), shown.shape[1]) & padding_mask(
            shown
        )
        return (mask if self.mask_dtype is torch.bool else to_additive(mask, self.mask_dtype))[
            :, None
        ]


def given_lengths(labels: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the number of tokens before the first label of each row: (rows,) int64.

    That is the length of the prefix, or of part A of GLM. In a row without labels it is the number
    of tokens that are not padding.

    >>> labels = torch.tensor([[-100, -100, 7], [-100, -100, -100]])
    >>> given_lengths(labels, torch.tensor([[1, 1, 1], [1, 1, 0]])).tolist()
    [2, 2]
    """
    predicted = labels != IGNORED
    return torch.where(predicted.any(1), predicted.long().argmax(1), attention_mask.sum(1))


def padded_left(batch: Batch) -> Batch:
    """Return a batch of a causal model with the padding moved from the right side to the left.

    All tensors are (rows, width). The label of the first token after padding becomes -100, since a
    model would predict this token from padding.

    >>> ids = torch.tensor([[5, 6], [7, 0]])
    >>> batch = {"input_ids": ids, "labels": ids, "attention_mask": torch.tensor([[1, 1], [1, 0]])}
    >>> left = padded_left(batch)
    >>> left["input_ids"].tolist(), left["labels"].tolist()
    ([[5, 6], [0, 7]], [[5, 6], [0, -100]])
    """
    lengths = batch["attention_mask"].sum(1, keepdim=True)
    width = batch["attention_mask"].shape[1]
    columns = torch.arange(width)
    batch = {name: values.gather(1, (columns + lengths) % width) for name, values in batch.items()}
    first = (columns == width - lengths) & (lengths < width)
    return {**batch, "labels": batch["labels"].masked_fill(first, IGNORED)}


def shifted_right(labels: Tensor, start_id: int, pad_id: int) -> Tensor:
    """Return decoder inputs (rows, width): `start_id`, then the labels except the last one.

    >>> shifted_right(torch.tensor([[7, 8, 2], [9, 2, -100]]), start_id=2, pad_id=1).tolist()
    [[2, 7, 8], [2, 9, 2]]
    """
    shifted = labels.roll(1, dims=1)
    shifted[:, 0] = start_id
    return shifted.masked_fill(shifted == IGNORED, pad_id)
