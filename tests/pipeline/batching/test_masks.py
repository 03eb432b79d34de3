"""Masks as literal matrices, in a real GPT-2 that must not notice what they hide, and against
decoding from a cache.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from noisebeam.pipeline.batching.masks import (
    causal_mask,
    glm_mask,
    packed_mask,
    padding_mask,
    picture,
    positions_of,
    prefix_mask,
    to_additive,
)

SIZE, IDS = 6, 50
MakeModel = Callable[..., GPT2LMHeadModel]


@pytest.fixture(scope="module")
def make_model() -> MakeModel:
    """make(attention): a small random GPT-2 in float64."""

    def make(attention: str = "eager") -> GPT2LMHeadModel:
        with torch.random.fork_rng():
            torch.manual_seed(3)
            sizes = {"vocab_size": IDS, "n_positions": 16, "n_embd": 16, "n_layer": 3, "n_head": 2}
            config = GPT2Config(**sizes, initializer_range=0.5, attn_implementation=attention)
            return GPT2LMHeadModel(config).double().eval()

    return make


def tokens(rows: int, size: int = SIZE) -> Tensor:
    return torch.randint(IDS, (rows, size), generator=torch.Generator().manual_seed(5))


def changed_at(ids: Tensor, position: int) -> Tensor:
    changed = ids.clone()
    changed[0, position] = (changed[0, position] + 1) % IDS
    return changed


def lines(*rows: str) -> Tensor:
    return torch.tensor([[character == "#" for character in row] for row in rows])


def test_causal_over_targets_lets_the_first_of_six_see_none_and_the_sixth_five():
    mask = causal_mask(6, strict=True)
    assert torch.equal(mask, lines("------", "#-----", "##----", "###---", "####--", "#####-"))
    assert mask.sum(1).tolist() == [0, 1, 2, 3, 4, 5]


def test_causal_over_shifted_inputs_lets_each_see_itself_and_the_past():
    assert torch.equal(
        causal_mask(6), lines("#-----", "##----", "###---", "####--", "#####-", "######")
    )


@pytest.mark.parametrize("size", [0, 1, 2, 6, 9])
def test_the_strict_form_is_the_other_without_the_column_of_the_start_token(size: int):
    assert torch.equal(causal_mask(size + 1)[:size, 1:], causal_mask(size, strict=True))


def test_padding_hides_keys_from_every_query():
    mask = padding_mask(torch.tensor([[0, 1, 1], [1, 1, 1]])) & causal_mask(3)
    assert torch.equal(mask, torch.stack([lines("---", "-#-", "-##"), lines("#--", "##-", "###")]))


def test_prefixes_are_seen_from_everywhere():
    assert torch.equal(
        prefix_mask(torch.tensor([0, 3, 4]), 4),
        torch.stack(
            [
                lines("#---", "##--", "###-", "####"),
                lines("###-", "###-", "###-", "####"),
                lines("####", "####", "####", "####"),
            ]
        ),
    )


@pytest.mark.parametrize("length", [-1, 5])
def test_a_prefix_outside_the_row_is_an_error(length: int):
    with pytest.raises(ValueError, match=f"expected prefix lengths from 0 to 4, got {length};"):
        prefix_mask([2, length], 4)


def test_glm_part_a_sees_part_a_and_part_b_also_what_is_before_it():
    assert torch.equal(glm_mask([2], 5)[0], lines("##---", "##---", "###--", "####-", "#####"))


def test_packed_documents_see_themselves_alone_and_padding_sees_and_shows_nothing():
    mask = packed_mask(torch.tensor([[7, 7, 2, -1, -1], [0, 1, 1, 1, 0]]))
    assert torch.equal(mask[0], lines("##---", "##---", "--#--", "-----", "-----"))
    assert torch.equal(mask[1], lines("#---#", "-###-", "-###-", "-###-", "#---#"))
    assert torch.equal(mask[1] & causal_mask(5), lines("#----", "-#---", "-##--", "-###-", "#---#"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_the_additive_form_is_zero_or_minus_infinity(dtype: torch.dtype):
    additive = to_additive(causal_mask(3), dtype)
    assert additive.dtype == dtype
    assert additive.tolist() == [[0, -torch.inf, -torch.inf], [0, 0, -torch.inf], [0, 0, 0]]


def test_blind_queries_see_their_own_position_so_that_no_softmax_gives_nan():
    left_padded = torch.tensor([[0, 0, 1], [0, 0, 0]])
    additive = to_additive(padding_mask(left_padded) & causal_mask(3))
    assert torch.equal(
        additive == 0, torch.stack([lines("#--", "-#-", "--#"), lines("#--", "-#-", "--#")])
    )
    assert torch.softmax(additive, -1).isfinite().all()


def test_blind_queries_after_a_cache_count_from_the_last_key_back():
    assert torch.equal(
        to_additive(torch.zeros(2, 5, dtype=torch.bool)) == 0, lines("---#-", "----#")
    )


def test_only_blind_queries_are_helped():
    mask = lines("--", "#-")
    assert torch.equal(to_additive(mask)[1] == 0, mask[1])


def test_pictures_are_the_same_of_both_forms():
    mask = causal_mask(3)
    assert picture(mask) == picture(to_additive(mask)) == "#--\n##-\n###"


def test_positions_count_tokens_and_not_padding():
    attention_mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]])
    assert positions_of(attention_mask).tolist() == [[0, 0, 0, 1], [0, 1, 2, 3], [0, 0, 0, 0]]


MASKS = {
    "causal": causal_mask(SIZE).expand(1, -1, -1),
    "left-padded": padding_mask(torch.tensor([[0, 0, 1, 1, 1, 1]])) & causal_mask(SIZE),
    "right-padded": padding_mask(torch.tensor([[1, 1, 1, 1, 0, 0]])) & causal_mask(SIZE),
    "padded, both directions": padding_mask(torch.tensor([[1, 1, 1, 1, 0, 0]])).expand(
        -1, SIZE, -1
    ),
    "prefix": prefix_mask([3], SIZE),
    "glm": glm_mask([2], SIZE),
    "packed": packed_mask(torch.tensor([[0, 0, 1, 1, 1, -1]])),
    "packed and causal": packed_mask(torch.tensor([[0, 0, 1, 1, 1, -1]])) & causal_mask(SIZE),
}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", MASKS)
def test_a_hidden_token_can_change_without_a_bit_of_the_logits_changing(
    make_model: MakeModel, name: str, attention: str
):
    model, mask, ids = make_model(attention), MASKS[name], tokens(1)
    additive = to_additive(mask, torch.float64)[:, None]

    def logits(ids: Tensor) -> Tensor:
        with torch.no_grad():
            return model(ids, attention_mask=additive, use_cache=False).logits[0]

    same = torch.stack(
        [(logits(changed_at(ids, k)) == logits(ids)).all(-1) for k in range(SIZE)], 1
    )
    sees = mask[0] | torch.eye(SIZE, dtype=torch.bool)  # a position always has its own embedding
    assert torch.equal(same, ~sees)


@pytest.mark.parametrize(("attention", "takes_booleans"), [("sdpa", True), ("eager", False)])
def test_only_sdpa_takes_the_boolean_form(
    make_model: MakeModel, attention: str, takes_booleans: bool
):
    model, ids, mask = make_model(attention), tokens(1), prefix_mask([3], SIZE)[:, None]
    with torch.no_grad():
        boolean = model(ids, attention_mask=mask).logits
        additive = model(ids, attention_mask=to_additive(mask, torch.float64)).logits
    assert torch.allclose(boolean, additive) == takes_booleans


def test_targets_of_shifted_inputs_are_predicted_from_those_before_them_alone(
    make_model: MakeModel,
):
    model, targets = make_model(), tokens(1)
    start = torch.zeros(1, 1, dtype=torch.int64)
    additive = to_additive(causal_mask(SIZE), torch.float64)[None, None]

    def predictions(targets: Tensor) -> Tensor:
        shifted = torch.cat([start, targets[:, :-1]], 1)
        with torch.no_grad():
            return model(shifted, attention_mask=additive, use_cache=False).logits[0]

    before = predictions(targets)
    depends = torch.stack(
        [(predictions(changed_at(targets, j)) != before).any(-1) for j in range(SIZE)], 1
    )
    assert torch.equal(depends, causal_mask(SIZE, strict=True))


def stepwise(model: GPT2LMHeadModel, ids: Tensor, first: int, **inputs: Tensor) -> Tensor:
    """The logits of `ids[:, :first]` in one pass with `inputs`, and of the others one by one, from
    cached states.
    """
    with torch.no_grad():
        out = model(ids[:, :first], use_cache=True, **inputs)
        logits = [out.logits]
        for i in range(first, ids.shape[1]):
            out = model(ids[:, i : i + 1], past_key_values=out.past_key_values, use_cache=True)
            logits.append(out.logits)
    return torch.cat(logits, 1)


def test_decoding_from_cached_states_without_a_mask_gives_the_logits_of_one_masked_pass(
    make_model: MakeModel,
):
    model, ids = make_model(), tokens(2, 12)
    with torch.no_grad():
        masked = model(
            ids, attention_mask=to_additive(causal_mask(12), torch.float64)[None, None]
        ).logits
    torch.testing.assert_close(stepwise(model, ids, 1), masked, rtol=1e-12, atol=1e-12)


def test_decoding_after_a_prefix_needs_its_mask_for_the_prefix_alone(make_model: MakeModel):
    model, ids = make_model(), tokens(1, 12)
    additive = to_additive(prefix_mask([5], 12), torch.float64)[:, None]
    with torch.no_grad():
        masked = model(ids, attention_mask=additive).logits
    found = stepwise(model, ids, 5, attention_mask=additive[:, :, :5, :5])
    torch.testing.assert_close(found, masked, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(stepwise(model, ids, 1), masked)


def test_packed_rows_with_reset_positions_give_the_logits_of_each_document_alone(
    make_model: MakeModel,
):
    model, ids = make_model(), tokens(1, 7)
    mask = packed_mask(torch.tensor([[0, 0, 0, 1, 1, 1, 1]])) & causal_mask(7)
    positions = torch.tensor([[0, 1, 2, 0, 1, 2, 3]])
    with torch.no_grad():
        packed = model(
            ids, attention_mask=to_additive(mask, torch.float64)[:, None], position_ids=positions
        ).logits
        alone = torch.cat([model(ids[:, :3]).logits, model(ids[:, 3:]).logits], 1)
    torch.testing.assert_close(packed, alone, rtol=1e-12, atol=1e-12)
