"""A small model as GLM (Du et al. 2022): one transformer with two position embeddings and a mask.

A row is part A, the text with a mask token for each span that was cut out, and part B, these spans,
each after a start token. `position_ids` (rows, 2, tokens) has the position in part A (a token of
part B has that of the mask it fills), and the position within the span, from 1; it is 0 in part A.
So part A does not show how long a span is.

`labels[i]` is the token that follows the token at i. Labels are not shifted by the model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from noisebeam.pipeline.batching.masks import glm_mask


class GlmModel(nn.Module):
    """Transformer from token ids to logits, with GLM's two position embeddings.

    `width` is a multiple of `heads`; rows and spans have at most `positions` tokens. `start` is the
    standard deviation of the initial embeddings.
    """

    def __init__(
        self,
        vocabulary_size: int,
        *,
        width: int = 128,
        layers: int = 2,
        heads: int = 4,
        positions: int = 512,
        start: float = 0.02,
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary_size, width)
        self.positions = nn.Embedding(positions, width)
        self.block_positions = nn.Embedding(positions, width)
        self.layers = nn.ModuleList(_Layer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for table in (self.tokens, self.positions, self.block_positions):
            nn.init.normal_(table.weight, std=start)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        labels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return a dict of `logits`, (rows, tokens, vocabulary), and with labels the mean `loss`.

        `input_ids` and `labels` are (rows, tokens), `position_ids` (rows, 2, tokens).
        `attention_mask` (rows, 1, tokens, tokens) is boolean, True where a query sees a key, or
        additive.
        """
        states = (
            self.tokens(input_ids)
            + self.positions(position_ids[:, 0])
            + self.block_positions(position_ids[:, 1])
        )
        for layer in self.layers:
            states = layer(states, attention_mask)
        logits = self.norm(states) @ self.tokens.weight.T
        if labels is None:
            return {"logits": logits}
        loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
        return {"loss": loss, "logits": logits}


class _Layer(nn.Module):
    """Transformer layer with self-attention under a mask and a feed-forward network."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.projections = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        heads = self.projections(self.norms[0](states)).unflatten(-1, (3, self.heads, -1))
        # each (rows, heads, tokens, width / heads)
        queries, keys, values = heads.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        mixed = states + self.output(mixed.transpose(1, 2).flatten(2))
        result: Tensor = mixed + self.feed_forward(self.norms[1](mixed))
        return result


@torch.no_grad()
def fill_blanks(
    model: GlmModel,
    part_a: Sequence[int],
    *,
    mask_id: int,
    start_id: int,
    end_id: int,
    most: int = 16,
) -> list[list[int]]:
    """Return the tokens that the model puts in place of each mask of `part_a`, from left to right:
    the likeliest at each step.

    A blank ends at `end_id` or after `most` tokens. Later blanks see the tokens of the earlier
    ones.
    """
    ids = list(part_a)
    positions, steps = list(range(len(ids))), [0] * len(ids)
    filled = []
    for blank in (at for at, id_ in enumerate(part_a) if id_ == mask_id):
        span: list[int] = []
        while len(span) < most:
            ids.append(span[-1] if span else start_id)
            positions.append(blank)
            steps.append(len(span) + 1)
            mask = glm_mask([len(part_a)], len(ids))[:, None]
            logits = model(torch.tensor([ids]), mask, torch.tensor([[positions, steps]]))["logits"]
            likeliest = int(logits[0, -1].argmax())
            if likeliest == end_id:
                break
            span.append(likeliest)
        filled.append(span)
    return filled
