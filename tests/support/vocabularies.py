"""The vocabularies of small tests: BART's roles with sentinels and mode tokens, and GPT-2's with
none but the end.
"""

from __future__ import annotations

import numpy as np

from noisebeam.transforms.data.vocabulary import Vocabulary

SENTINELS = tuple(range(97, 89, -1))

# Ids 0 to 102: ordinary ones are 4 to 89, and odd ones continue a word.
BART_LIKE = Vocabulary(
    size=103,
    prefix=(0,),
    suffix=(2,),
    special_ids=(0, 1, 2, 3, *range(90, 103)),
    special_tokens=(
        *("<s>", "<pad>", "</s>", "<unk>"),
        *(f"<extra_id_{97 - id_}>" for id_ in range(90, 98)),
        *("<added>", "<mask>", "[R]", "[S]", "[X]"),
    ),
    pad_id=1,
    mask_id=99,
    bos_id=0,
    eos_id=2,
    sentinel_ids=SENTINELS,
    continues_word_hex=np.packbits(np.arange(103) % 2 == 1).tobytes().hex(),
)

# Nothing around a text, and no padding token.
GPT_LIKE = Vocabulary(
    size=100, special_ids=(99,), special_tokens=("<|endoftext|>",), bos_id=99, eos_id=99
)
