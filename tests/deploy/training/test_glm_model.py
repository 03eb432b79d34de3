"""A GLM-style model: what a position must not see does not change a bit of it; positions; learning
to fill a blank.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from noisebeam.deploy.training.glm_model import GlmModel, fill_blanks
from noisebeam.pipeline.batching.masks import glm_mask, padding_mask, to_additive

IDS = 30
MASK, START, END = 27, 28, 29
# x1 [M] x4 of x1 x2 x3 x4, then [S] x2 x3: part A has three tokens.
PART_A, SIZE = 3, 6
POSITIONS = torch.tensor([[[0, 1, 2, 1, 1, 1], [0, 0, 0, 1, 2, 3]]])


@pytest.fixture(scope="module")
def model() -> GlmModel:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return GlmModel(IDS, width=16, heads=2, positions=16).double().eval()


def ids() -> Tensor:
    return torch.tensor([[5, MASK, 8, START, 6, 7]])


@pytest.mark.parametrize("form", ["boolean", "additive"])
@pytest.mark.parametrize("position", range(SIZE))
def test_a_hidden_token_can_change_without_a_bit_of_the_logits_changing(
    model: GlmModel, form: str, position: int
):
    mask = glm_mask([PART_A], SIZE)[:, None]
    given = mask if form == "boolean" else to_additive(mask, torch.float64)
    changed = ids()
    changed[0, position] += 1
    with torch.no_grad():
        before, after = (model(each, given, POSITIONS)["logits"][0] for each in (ids(), changed))
    same = (before == after).all(-1)
    assert same.tolist() == (~mask[0, 0, :, position]).tolist()


@pytest.mark.parametrize("row", [0, 1])
def test_both_positions_matter(model: GlmModel, row: int):
    moved = POSITIONS.clone()
    moved[0, row, -1] += 1
    mask = glm_mask([PART_A], SIZE)[:, None]
    with torch.no_grad():
        before, after = (
            model(ids(), mask, positions)["logits"][0] for positions in (POSITIONS, moved)
        )
    assert (before == after).all(-1).tolist() == [True] * 5 + [False]


def test_padding_changes_nothing(model: GlmModel):
    padded = torch.cat([ids(), torch.zeros(1, 2, dtype=torch.long)], 1)
    positions = torch.cat([POSITIONS, torch.zeros(1, 2, 2, dtype=torch.long)], 2)
    shown = padding_mask(torch.tensor([[1] * SIZE + [0] * 2]))
    with torch.no_grad():
        alone = model(ids(), glm_mask([PART_A], SIZE)[:, None], POSITIONS)["logits"]
        both = model(padded, (glm_mask([PART_A], SIZE + 2) & shown)[:, None], positions)["logits"]
    torch.testing.assert_close(both[:, :SIZE], alone, rtol=1e-12, atol=1e-12)
    assert both.isfinite().all()


def test_what_was_learnt_fills_the_blanks():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = GlmModel(IDS, width=32, heads=2, positions=16)
    part_a = [5, MASK, 8, MASK]  # of 5 6 7 8 9: part B has the second blank first
    batch = {
        "input_ids": torch.tensor(
            [[*part_a, START, 9, START, 6, 7], [*part_a, START, 6, 7, START, 9]]
        ),
        "attention_mask": glm_mask([4, 4], 9)[:, None],
        "position_ids": torch.tensor(
            [
                [[0, 1, 2, 3, 3, 3, 1, 1, 1], [0, 0, 0, 0, 1, 2, 1, 2, 3]],
                [[0, 1, 2, 3, 1, 1, 1, 3, 3], [0, 0, 0, 0, 1, 2, 3, 1, 2]],
            ]
        ),
        "labels": torch.tensor(
            [[-100] * 4 + [9, END, 6, 7, END], [-100] * 4 + [6, 7, END, 9, END]]
        ),
    }
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(300):
        loss = model(**batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    assert fill_blanks(model.eval(), part_a, mask_id=MASK, start_id=START, end_id=END) == [
        [6, 7],
        [9],
    ]
    # A span that is not complete stands in front of the second blank: nothing was learnt of that.
    first, second = fill_blanks(model, part_a, mask_id=MASK, start_id=START, end_id=END, most=1)
    assert first == [6]
    assert len(second) <= 1
