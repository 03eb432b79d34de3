"""Small models of the training scripts: two layers, 64 wide, no dropout, the same initial weights
every time.

Initial weights are five times larger than usual: at a width of 64 this learns several times faster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
)

from noisebeam.transforms.data.vocabulary import Vocabulary

WIDTH, LAYERS, HEADS, POSITIONS = 64, 2, 4, 256
START = 0.1  # standard deviation of the weights at first
SEED = 17


def bert(vocabulary: Vocabulary) -> BertForMaskedLM:
    """Return a small BERT with a head for masked tokens."""
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
    start = {
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": START,
    }
    config = BertConfig(
        **_ids(vocabulary),
        **sizes,
        **start,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=POSITIONS,
    )
    return seeded(lambda: BertForMaskedLM(config))


def bart(vocabulary: Vocabulary) -> BartForConditionalGeneration:
    """Return a small BART whose decoder starts with the end-of-text token, as the published one
    does.
    """
    sides = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in _SIDE.items()}
    config = BartConfig(
        **_ids(vocabulary),
        **sides,
        d_model=WIDTH,
        max_position_embeddings=POSITIONS,
        dropout=0.0,
        init_std=START,
        decoder_start_token_id=vocabulary.eos_id,
        forced_eos_token_id=None,
    )
    return seeded(lambda: BartForConditionalGeneration(config))


def t5(vocabulary: Vocabulary) -> T5ForConditionalGeneration:
    """Return a small T5 whose decoder starts with the padding token, as the published one does."""
    sizes = {
        "d_model": WIDTH,
        "d_ff": 4 * WIDTH,
        "d_kv": WIDTH // HEADS,
        "num_layers": LAYERS,
        "num_heads": HEADS,
    }
    config = T5Config(
        **_ids(vocabulary), **sizes, dropout_rate=0.0, decoder_start_token_id=vocabulary.pad_id
    )
    return seeded(lambda: T5ForConditionalGeneration(config))


def gpt2(vocabulary: Vocabulary) -> GPT2LMHeadModel:
    """Return a small GPT-2, which has learned positions."""
    start = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "initializer_range": START}
    config = GPT2Config(
        **_ids(vocabulary),
        **start,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        n_positions=POSITIONS,
    )
    return seeded(lambda: GPT2LMHeadModel(config))


def bloom(vocabulary: Vocabulary) -> BloomForCausalLM:
    """Return a small BLOOM, whose attention is biased by distance and which has no positions."""
    sizes = {"hidden_size": WIDTH, "n_layer": LAYERS, "n_head": HEADS}
    config = BloomConfig(**_ids(vocabulary), **sizes, initializer_range=START)
    return seeded(lambda: BloomForCausalLM(config))


_SIDE = {"layers": LAYERS, "attention_heads": HEADS, "ffn_dim": 4 * WIDTH}


def _ids(vocabulary: Vocabulary) -> dict[str, int | None]:
    """Return the settings of a model that follow from the vocabulary: its size and special ids."""
    pad_id = vocabulary.eos_id if vocabulary.pad_id is None else vocabulary.pad_id
    ids = {
        "pad_token_id": pad_id,
        "bos_token_id": vocabulary.bos_id,
        "eos_token_id": vocabulary.eos_id,
    }
    return {"vocab_size": vocabulary.size, **ids}


def seeded(make: Callable[[], Any]) -> Any:
    """Return the model that `make` creates, with the same random weights at each call."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        return make()
