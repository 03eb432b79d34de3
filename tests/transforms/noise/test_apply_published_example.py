"""The published BART example: given choices give the published ids."""

from __future__ import annotations

import numpy as np
import pytest
from support.bart_example import FIRST, SECOND, THIRD

from noisebeam.transforms.data.ragged import Ragged
from noisebeam.transforms.data.samples import FlatBatch, flat_batch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise import (
    Replacements,
    apply_recipe,
    load_recipe,
    remove_tokens,
    reorder_sentences,
    replace_tokens,
    rotate_to,
)
from noisebeam.transforms.noise.corruptions.span_corruption import sentinels, span_labels
from noisebeam.transforms.noise.ordinary_tokens import ordinary_tokens
from noisebeam.transforms.noise.spans import Spans, replace_spans

BART = Vocabulary(
    size=50265,
    prefix=(0,),
    suffix=(2,),
    special_ids=(0, 1, 2, 3, 50264),
    pad_id=1,
    mask_id=50264,
    bos_id=0,
    eos_id=2,
)
PAD = 1


def one_row(**fields: list[int]) -> dict[str, Ragged]:
    return {name: Ragged.of([np.array(values)]) for name, values in fields.items()}


@pytest.fixture(scope="module")
def window() -> FlatBatch:
    """The three sentences as one sample, with five tokens of padding after it."""
    row = [0, *FIRST, *SECOND, *THIRD, 2, *[PAD] * 5]
    return flat_batch(
        one_row(ids=row, sentence_lengths=[len(FIRST), len(SECOND), len(THIRD)]),
        keys=np.array([1]),
        prefix_length=1,
    )


def test_masking_puts_50264_at_the_positions(window) -> None:
    positions = np.array([1, 5, 13, 30])
    masked = replace_tokens(window, Replacements(positions, np.array(BART.mask_id))).ids
    assert masked[:8].tolist() == [0, 50264, 2577, 1054, 18, 50264, 16, 10]
    assert (masked != window.ids).nonzero()[0].tolist() == positions.tolist()


def test_order_first_third_second_exchanges_the_blocks(window) -> None:
    permuted = reorder_sentences(window, np.array([0, 2, 1]), prefix_length=1)
    assert permuted.ids.tolist() == [0, *FIRST, *THIRD, *SECOND, 2, *[PAD] * 5]
    assert permuted.sentence_ends.tolist() == [31, 49, 79]


def test_deleting_leaves_the_survivors_in_order(window) -> None:
    deleted = remove_tokens(window, np.array([2, 3, 31, 60]))
    survivors = np.delete(window.ids, [2, 3, 31, 60])
    assert deleted.ids.tolist() == survivors.tolist()
    assert deleted.ids[:4].tolist() == [0, 38831, 18, 2199]
    assert deleted.offsets.tolist() == [0, len(window.ids) - 4]


@pytest.mark.parametrize("start", [1, 30, 77])
def test_rotation_keeps_0_first_and_2_last_and_the_padding_after_it(window, start) -> None:
    rotated = rotate_to(window, ordinary_tokens(window, BART), np.array([start]))
    text = FIRST + SECOND + THIRD
    assert rotated.ids.tolist() == [0, *text[start:], *text[:start], 2, *[PAD] * 5]


def test_infilling_puts_one_mask_for_a_span_and_inserts_one_for_an_empty_one(window) -> None:
    spans = Spans(np.array([1, 6, 30]), np.array([3, 0, 1]), np.array([3]))
    filled = replace_spans(window, spans, np.full(3, BART.mask_id)).ids
    assert filled[:8].tolist() == [0, 50264, 18, 2199, 50264, 16, 10, 14913]
    assert len(filled) == len(window.ids) - 1


@pytest.mark.parametrize(
    "name", ["bart", "token-masking", "token-deletion", "text-infilling", "document-rotation"]
)
def test_padding_is_never_moved_or_noised(window, name) -> None:
    for seed in range(20):
        noised = apply_recipe(load_recipe(name), window, BART, seed, 0)["input_ids"].values
        assert noised[-6:].tolist() == [2, *[PAD] * 5]
        assert noised[0] == 0
        assert np.count_nonzero(noised == PAD) == 5


def test_the_example_of_the_t5_paper() -> None:
    """Figure 2: "Thank you for inviting me to your party last week ." without "for inviting" and
    "last".
    """
    words = [11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]
    t5 = Vocabulary(
        size=40,
        suffix=(1,),
        special_ids=(0, 1, *range(30, 40)),
        eos_id=1,
        sentinel_ids=(39, 38, 37),
    )
    batch = flat_batch(
        one_row(ids=[*words, 1], sentence_lengths=[11]),
        keys=np.array([1]),
        prefix_length=0,
    )
    spans = Spans(np.array([2, 8]), np.array([2, 1]), np.array([2]))
    inputs = replace_spans(batch, spans, sentinels(spans, t5))
    assert inputs.ids.tolist() == [11, 12, 39, 15, 16, 17, 18, 38, 20, 21, 1]
    assert span_labels(batch, spans, t5).values.tolist() == [39, 13, 14, 38, 19, 1]
