"""Attention masks: which key positions (columns) each query position (row) may see.

Masks are boolean, True where a query may see a key, and combine with `&`: `causal_mask(4) &
padding_mask(ones)`. Most causal models of Hugging Face take a mask with an axis for heads, (rows,
1, queries, keys), and leave it as it is; not BLOOM and OPT, which count positions in a
two-dimensional one. Give the additive form: `to_additive(mask)[:, None]`. Their `eager` attention
would add True and False to the scores as 1 and 0 without an error. Only `sdpa` takes both.

Two forms of the causal mask are in use, and they are one relation seen at two places:

- over target tokens, strictly lower-triangular: target i is predicted from the targets before it,
  the first from none;
- over inputs, which are the targets shifted right by a start token: each input sees itself and the
  past.

Input i + 1 is target i, so the strict form is the other one without the column of the start token:

>>> bool((causal_mask(7)[:6, 1:] == causal_mask(6, strict=True)).all())
True

Give models the second form: in the first the first row is blind, and what a row predicts is not
among its inputs only if the inputs are shifted.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def padding_mask(attention_mask: Tensor) -> Tensor:
    """(rows, 1, keys) of booleans: no query sees padding. `attention_mask` (rows, keys) is 0 on
    padding, else 1.

    >>> padding_mask(torch.tensor([[1, 1, 0], [0, 1, 1]])).tolist()
    [[[True, True, False]], [[False, True, True]]]
    """
    return attention_mask.bool()[:, None]


def causal_mask(size: int, *, strict: bool = False) -> Tensor:
    """(size, size) of booleans: each position sees itself and those before it; if `strict`, only
    those before it.

    >>> print(picture(causal_mask(4)))
    #---
    ##--
    ###-
    ####
    >>> print(picture(causal_mask(4, strict=True)))
    ----
    #---
    ##--
    ###-
    """
    return torch.ones(size, size, dtype=torch.bool).tril(-1 if strict else 0)


def prefix_mask(prefix_lengths: Tensor | Sequence[int], size: int) -> Tensor:
    """(rows, size, size) of booleans: all see the prefix, its own positions too; the rest is
    causal.

    `prefix_lengths` has a number of positions from 0 to `size` for each row; ValueError if one is
    outside.

    >>> print(picture(prefix_mask([2], 4)[0]))
    ##--
    ##--
    ###-
    ####
    """
    lengths = torch.as_tensor(prefix_lengths, dtype=torch.int64)
    for length in lengths.tolist():
        if not 0 <= length <= size:
            raise ValueError(
                f"expected prefix lengths from 0 to {size}, got {length}; cut the prefix, or widen the rows"
            )
    in_prefix = torch.arange(size, device=lengths.device) < lengths[:, None]
    return in_prefix[:, None] | causal_mask(size).to(lengths.device)


def glm_mask(part_a_lengths: Tensor | Sequence[int], size: int) -> Tensor:
    """(rows, size, size) of booleans: part A sees part A; part B sees part A, and of part B itself
    and what is before.

    Part A is the corrupted text, part B the spans that were cut out of it, in random order (Du et
    al. 2022, figure 2). The matrix is that of `prefix_mask` with part A as the prefix: a span sees
    the spans put before it, wherever they were in the text. What tells the two objectives apart are
    the positions, not the mask.

    >>> print(picture(glm_mask([3], 7)[0]))  # A: x1 [M] x4; B: [S] x5, then [S] x2
    ###----
    ###----
    ###----
    ####---
    #####--
    ######-
    #######
    """
    return prefix_mask(part_a_lengths, size)


def packed_mask(documents: Tensor) -> Tensor:
    """(rows, size, size) of booleans, block-diagonal: each position sees those of its own document.

    `documents` (rows, size) of integers numbers the documents packed into a row; below 0 is
    padding, which sees nothing and is not seen. For a causal model take `packed_mask(documents) &
    causal_mask(size)`.

    >>> print(picture(packed_mask(torch.tensor([[0, 0, 1, 1, 1, -1]]))[0]))
    ##----
    ##----
    --###-
    --###-
    --###-
    ------
    """
    same: Tensor = documents[:, :, None] == documents[:, None, :]
    return same & (documents >= 0)[:, None]


def to_additive(mask: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The mask as numbers to add to the scores before the softmax: 0 where it is True, minus
    infinity elsewhere.

    A query that may see nothing (padding, mostly) would come out of the softmax as NaN, which
    spreads to the whole row in the next layer. So it sees one key, its own position, counting
    queries from the last key back: it mixes in no other token, and what it gives is to be left out
    of the loss. The shape (..., queries, keys) stays.

    >>> to_additive(torch.tensor([[True, False], [True, True]])).tolist()
    [[0.0, -inf], [0.0, 0.0]]
    >>> to_additive(torch.tensor([[False, False], [True, False]])).tolist()
    [[0.0, -inf], [0.0, -inf]]
    """
    queries, keys = mask.shape[-2:]
    own = (
        torch.ones(queries, keys, dtype=torch.bool, device=mask.device)
        .tril(keys - queries)
        .triu(keys - queries)
    )
    blind = ~mask.any(dim=-1, keepdim=True)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(
        ~(mask | blind & own), -torch.inf
    )


def positions_of(attention_mask: Tensor) -> Tensor:
    """(rows, keys) int64: the position of each token in its row, not counting padding; 0 on padding
    before the first.

    `attention_mask` (rows, keys) is 0 on padding, else 1.

    >>> positions_of(torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]])).tolist()
    [[0, 0, 0, 1], [0, 1, 2, 2]]
    """
    return (attention_mask.long().cumsum(-1) - 1).clamp(min=0)


def picture(mask: Tensor) -> str:
    """A (queries, keys) mask, boolean or additive, as text: a line for each query, `#` where it
    sees, `-` elsewhere.
    """
    sees = mask if mask.dtype == torch.bool else mask == 0
    return "\n".join("".join("#" if seen else "-" for seen in row) for row in sees.tolist())
