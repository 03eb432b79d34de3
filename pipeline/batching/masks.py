"""Attention masks as tensors: which key positions (columns) each query position (row) may see.

Masks are boolean, True where a query may see a key, and are combined with `&`: `causal_mask(4) &
padding_mask(ones)`. Most causal models of Hugging Face take a mask with an axis for heads, (rows,
1, queries, keys), unchanged; BLOOM and OPT do not, since they count positions in a two-dimensional
mask. Use the additive form, `to_additive(mask)[:, None]`: `eager` attention would add True and
False to the scores as 1 and 0 without an error. Only `sdpa` takes both forms.

Two forms of the causal mask are in use. They are the same relation at two places:

- over target tokens, strictly lower-triangular: target i is predicted from the targets before it,
  the first one from none;
- over inputs, which are the targets shifted right by a start token: each input sees itself and the
  inputs before it.

Input i + 1 is target i, so the strict form is the other one without the column of the start token:

>>> bool((causal_mask(7)[:6, 1:] == causal_mask(6, strict=True)).all())
True

Models need the second form: in the first one the first row sees nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from noisebeam.pipeline.batching import mask_arrays


def padding_mask(attention_mask: Tensor) -> Tensor:
    """Return a mask (rows, 1, keys) in which no query sees padding.

    `attention_mask` (rows, keys) is 0 on padding, else 1.

    >>> padding_mask(torch.tensor([[1, 1, 0], [0, 1, 1]])).tolist()
    [[[True, True, False]], [[False, True, True]]]
    """
    return attention_mask.bool()[:, None]


def causal_mask(size: int, *, strict: bool = False) -> Tensor:
    """Return a bool mask (size, size) in which each position sees itself and those before it.

    If `strict` is True, a position sees only those before it. Entry [i, j] is True if query i sees
    key j.

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
    return torch.from_numpy(mask_arrays.causal(size, strict=strict))


def prefix_mask(prefix_lengths: Tensor | Sequence[int], size: int) -> Tensor:
    """Return a bool mask (rows, size, size) in which all positions see the prefix of their row, and
    the rest is causal.

    `prefix_lengths` (rows,) are 0 to `size`. Raises ValueError if one is outside.

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
                f"expected prefix lengths from 0 to {size}, got {length}; "
                "cut the prefix, or widen the rows"
            )
    mask = torch.from_numpy(mask_arrays.prefix(lengths.cpu().numpy(), size))
    return mask.to(lengths.device)


def glm_mask(part_a_lengths: Tensor | Sequence[int], size: int) -> Tensor:
    """Return the bool mask (rows, size, size) of GLM: all positions see part A, and part B is
    causal.

    Part A is the corrupted text, part B the spans that were cut out of it, in random order (Du et
    al. 2022, figure 2). `part_a_lengths` (rows,) are the lengths of part A. It is `prefix_mask`
    with part A as the prefix; the two objectives differ in their positions.

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
    """Return a block-diagonal bool mask (rows, size, size): each position sees its own document.

    `documents` (rows, size) are integers that number the documents packed into a row; a negative
    one is padding, which sees nothing and is not seen. A causal model takes `packed_mask(documents)
    & causal_mask(size)`.

    >>> print(picture(packed_mask(torch.tensor([[0, 0, 1, 1, 1, -1]]))[0]))
    ##----
    ##----
    --###-
    --###-
    --###-
    ------
    """
    return torch.from_numpy(mask_arrays.packed(documents.cpu().numpy())).to(documents.device)


def to_additive(mask: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return a bool mask as numbers that are added to the scores before the softmax: 0 where it is
    True, else -inf.

    The shape (..., queries, keys) stays. The softmax of a query that sees nothing (mostly padding)
    would be NaN, which the next layer spreads to the whole row. So such a query sees one key, its
    own position, where the last query and the last key have the same position; its output must not
    be in a loss.

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
    """Return the index of each token in its row, not counting padding: (rows, keys) int64.

    Padding before the first token has position 0. `attention_mask` (rows, keys) is 0 on padding,
    else 1.

    >>> positions_of(torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]])).tolist()
    [[0, 0, 0, 1], [0, 1, 2, 2]]
    """
    return (attention_mask.long().cumsum(-1) - 1).clamp(min=0)


def picture(mask: Tensor) -> str:
    """Return a mask (queries, keys) as a drawing of characters: a line for each query, `#` where it
    sees a key, else `-`.

    `mask` is boolean, or additive (0 where a key is seen).
    """
    sees = mask if mask.dtype == torch.bool else mask == 0
    return "\n".join("".join("#" if seen else "-" for seen in row) for row in sees.tolist())
