"""Packed batches of a data set, and what real models make of them."""

import json
from itertools import islice

import numpy as np
import pytest
import torch
from support.sets import SAMPLES, dataset, equal, make_samples
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel

from noisebeam.pipeline import Pack, ShardDataset

TEXTS = {tuple(sample.fields["ids"].tolist()) for sample in make_samples(baked=False)}
MLM = {"objective": "mlm", "corruptions": [{"token-masking": {}}]}


def packed(url: str, attention: str = "mask", **changes) -> ShardDataset:
    return dataset(
        url, batching=Pack(64, window=40, attention=attention), **{"batch_size": 2, **changes}
    )


def samples_of(batch) -> list[tuple[int, ...]]:
    """The samples of a batch, row by row: they begin where positions do."""
    found = []
    for ids, positions in zip(batch["input_ids"], batch["position_ids"], strict=True):
        starts = torch.nonzero(positions == 0).flatten().tolist()
        pieces = [ids[a:b].tolist() for a, b in zip(starts, [*starts[1:], len(ids)], strict=True)]
        found += [tuple(piece) for piece in pieces if piece != [1]]
    return found


def test_an_epoch_has_each_sample_once(url):
    data = packed(url, tail="pad")
    seen = [sample for batch in data for sample in samples_of(batch)]
    assert set(seen) == TEXTS
    assert all(batch["input_ids"].shape == (2, 64) for batch in data)
    assert len(list(data)) == len(data)
    assert 0 < data.padding_share < 0.1


def test_labels_are_inputs_but_for_the_first_of_each_sample_and_padding(url):
    for batch in packed(url):
        hidden = (batch["position_ids"] == 0) | (batch["input_ids"] == 1)
        assert torch.all(batch["labels"][hidden] == -100)
        assert torch.equal(batch["labels"][~hidden], batch["input_ids"][~hidden])


def test_the_mask_is_block_diagonal_and_causal(url):
    batch = next(iter(packed(url)))
    assert batch["attention_mask"].shape == (2, 1, 64, 64)
    for positions, ids, mask in zip(
        batch["position_ids"], batch["input_ids"], batch["attention_mask"], strict=True
    ):
        sees = (mask[0] == 0).sum(1)
        assert torch.equal(sees[ids != 1], positions[ids != 1] + 1)


def test_resume_from_every_batch_on_other_ranks(url):
    whole = [samples_of(batch) for batch in packed(url, tail="pad")]
    data = packed(url, tail="pad")
    states = [json.loads(json.dumps(data.state_dict())) for _ in data]
    assert states[-1]["position"] == SAMPLES
    for n, state in enumerate(states[:-1], start=1):
        world_size = 1 + n % 2
        ranks = [
            packed(url, rank=r, world_size=world_size, batch_size=2 // world_size)
            for r in range(world_size)
        ]
        for rank in ranks:
            rank.load_state_dict(state)
        steps = [
            [sample for share in shares for sample in samples_of(share)]
            for shares in zip(*ranks, strict=True)
        ]
        assert list(map(sorted, steps)) == list(map(sorted, whole[n : n + len(steps)]))
        assert len(steps) >= len(whole) - n - 1


def test_workers_give_the_same_batches_and_resume(url):
    workers = 2
    whole = list(packed(url))
    loader = StatefulDataLoader(packed(url), batch_size=None, num_workers=workers)
    assert equal(list(islice(loader, 5)), whole[:5])
    resumed = StatefulDataLoader(packed(url), batch_size=None, num_workers=workers)
    resumed.load_state_dict(loader.state_dict())
    assert equal(list(resumed), whole[5:])
    data = packed(url)
    list(islice(DataLoader(data, batch_size=None, num_workers=workers), 5))
    resumed = packed(url)
    resumed.load_state_dict(data.state_dict(batches=5))
    assert equal(list(resumed), whole[5:])


def test_the_flat_form_tells_where_samples_begin(url):
    for rows, flat in zip(packed(url), packed(url, "varlen"), strict=True):
        bounds = flat["cu_seq_lens_q"]
        assert bounds.dtype == torch.int32
        assert torch.equal(bounds, flat["cu_seq_lens_k"])
        lengths = np.diff(bounds).tolist()
        assert flat["max_length_q"] == flat["max_length_k"] == max(lengths)
        assert [
            tuple(piece.tolist()) for piece in flat["input_ids"][0].split(lengths)
        ] == samples_of(rows)
        assert (
            flat["input_ids"].shape
            == flat["labels"].shape
            == flat["position_ids"].shape
            == (1, int(bounds[-1]))
        )
        assert torch.equal(flat["labels"], rows["labels"][rows["input_ids"] != 1][None])


def logits_of_each_sample(model, batch) -> torch.Tensor:
    """(tokens of the batch, vocabulary): the model's logits of each sample alone, one after the
    other.
    """
    return torch.cat(
        [model(input_ids=torch.tensor([sample])).logits[0] for sample in samples_of(batch)]
    )


def without(batch, *names: str) -> dict:
    return {name: values for name, values in batch.items() if name not in names}


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("attention", ["mask", "positions", "varlen"])
@torch.no_grad()
def test_a_causal_model_gives_a_packed_sample_the_logits_it_has_alone(
    url, attention, implementation
):
    torch.manual_seed(0)
    config = GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=1000, n_positions=64)
    model = GPT2LMHeadModel._from_config(config, attn_implementation=implementation).eval()
    rows, batch = (next(iter(packed(url, kind))) for kind in ("mask", attention))
    logits = model(**without(batch, "labels")).logits
    real = batch["input_ids"] != 1
    torch.testing.assert_close(logits[real], logits_of_each_sample(model, rows), atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_loss_of_a_packed_batch_is_that_of_its_samples(url):
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(n_layer=1, n_head=2, n_embd=16, vocab_size=1000, n_positions=64)
    ).eval()
    batch = next(iter(packed(url)))
    alone = [
        model(input_ids=ids, labels=ids).loss * (ids.shape[1] - 1)
        for ids in map(row, samples_of(batch))
    ]
    tokens = sum(len(sample) - 1 for sample in samples_of(batch))
    torch.testing.assert_close(model(**batch).loss, torch.stack(alone).sum() / tokens)


def row(sample: tuple[int, ...]) -> torch.Tensor:
    return torch.tensor([sample])


@torch.no_grad()
def test_a_masked_language_model_sees_both_sides_of_its_own_sample_alone(url):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=1000,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
    )
    model = BertForMaskedLM(config).eval()
    batch = next(iter(packed(url, recipe=MLM)))
    assert torch.any(batch["labels"] != -100)
    logits = model(**without(batch, "labels")).logits[batch["input_ids"] != 1]
    torch.testing.assert_close(logits, logits_of_each_sample(model, batch), atol=1e-5, rtol=0)


def test_noise_that_changes_lengths_cannot_be_packed(url, baked_url):
    message = "Pack: expected samples without noise or the objective causal or mlm, got denoising"
    with pytest.raises(ValueError, match=message):
        packed(url, recipe="bart")
    with pytest.raises(ValueError, match=message):
        packed(baked_url)


def test_positions_do_not_keep_apart_what_sees_both_sides(url):
    with pytest.raises(
        ValueError, match="Pack: expected attention mask or varlen for the objective mlm, got"
    ):
        packed(url, "positions", recipe=MLM)


def test_rows_too_short_for_the_longest_sample_are_an_error_unless_those_are_left_out(url):
    with pytest.raises(
        ValueError, match=r"Pack: expected rows of at least 64 tokens, .*, got 32; take longer rows"
    ):
        dataset(url, batching=Pack(32))
    assert next(iter(dataset(url, batching=Pack(32), max_tokens=32)))["input_ids"].shape == (4, 32)
