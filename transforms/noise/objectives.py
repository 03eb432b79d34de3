"""Objectives: how model inputs and labels are made from a sample. A table with one row for each.

A new objective is a row here. If a corruption makes its labels, that corruption has a method
`model_inputs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Attention(Enum):
    """Pattern of attention: the positions that a model sees from each position of a sample.

    The value is a description for users.
    """

    ENCODER_DECODER = "encoder and causal decoder"
    BIDIRECTIONAL = "encoder"
    CAUSAL = "causal"
    PREFIX = "prefix, then causal"  # a first part is seen from everywhere: the prefix, or part A


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Row of the table of objectives: everything that other code must know of one objective.

    `corruptions` are the names of the corruptions that a recipe with this objective must have,
    exactly; None allows any.
    """

    name: str
    corruptions: tuple[str, ...] | None
    attention: Attention
    attention_title: str = ""  # of the picture of its mask, if it is not the value of `attention`
    labels_from_corruption: bool = False  # labels come from `model_inputs`; else they are the ids
    masks_labels: bool = False  # labels are -100 at some of the sample's own tokens
    closes_documents: bool = False  # a document ends in an end of text: build with `append_eos`
    packable: bool = False  # inputs are as long as the sample, with a label for each token
    takes_decoder_inputs: bool = False  # batches may have `decoder_input_ids`
    takes_left_padding: bool = False  # batches may be padded on the left, with `position_ids`
    unchanged: tuple[str, ...] = ()  # fields whose values are the ids of the sample, not copied

    @property
    def title(self) -> str:
        """Title of the drawing of this objective's attention mask."""
        return self.attention_title or self.attention.value


_ALL = (
    Objective(
        name="denoising",
        corruptions=None,
        attention=Attention.ENCODER_DECODER,
        takes_decoder_inputs=True,
        unchanged=("labels",),
    ),
    Objective(
        name="mlm",
        corruptions=("token-masking",),
        attention=Attention.BIDIRECTIONAL,
        labels_from_corruption=True,
        masks_labels=True,
        packable=True,
    ),
    Objective(
        name="spans",
        corruptions=("span-corruption",),
        attention=Attention.ENCODER_DECODER,
        labels_from_corruption=True,
        takes_decoder_inputs=True,
    ),
    Objective(
        name="causal",
        corruptions=(),
        attention=Attention.CAUSAL,
        closes_documents=True,
        packable=True,
        takes_left_padding=True,
        unchanged=("input_ids", "labels"),
    ),
    Objective(
        name="prefix",
        corruptions=("prefix-split",),
        attention=Attention.PREFIX,
        labels_from_corruption=True,
        masks_labels=True,
        closes_documents=True,
        unchanged=("input_ids",),
    ),
    Objective(
        name="glm",
        corruptions=("blank-infilling",),
        attention=Attention.PREFIX,
        attention_title="part A, then part B",
        labels_from_corruption=True,
        masks_labels=True,
    ),
)

OBJECTIVES: Mapping[str, Objective] = {objective.name: objective for objective in _ALL}
"""The objectives that a recipe may have, by name."""

CLEAN = Objective(
    name="clean",
    corruptions=(),
    attention=Attention.CAUSAL,
    packable=True,
    takes_decoder_inputs=True,
    takes_left_padding=True,
)
"""Samples without a recipe: the ids are inputs and labels of whatever model takes them."""

BATCH_OBJECTIVES: Mapping[str, Objective] = {**OBJECTIVES, CLEAN.name: CLEAN}
"""The objectives that a batch may have, by name."""
