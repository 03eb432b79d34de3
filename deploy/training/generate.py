"""Generation with GPT-2 for a batch of prompts of different lengths, as if each were alone.

    python deploy/training/generate.py --model DIR --tokenizer DIR "It will rain in the" "My dog is"

`--model tiny` uses a small random model, without any download.

Prompts are padded on the left, so that all of them end where the new tokens begin. The attention
mask hides the padding, and positions are counted from the first token that is not padding. With
padding on the right, or without the mask, a prompt would be continued differently than alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from noisebeam.pipeline.batching.masks import positions_of
from noisebeam.transforms.tokenization.tokenizer import LoadedTokenizer, load_tokenizer


def main(arguments: Sequence[str] | None = None) -> int:
    """Print how a model continues each prompt; return exit status 1 if a prompt alone is continued
    differently.
    """
    options = parse(arguments)
    tokenizer = load_tokenizer(options.tokenizer)
    pad_id = padding_id(tokenizer)
    model = load_model(options.model, tokenizer.vocabulary.size)
    prompts = [
        tokenizer.tokenizer.encode(prompt, add_special_tokens=False).ids
        for prompt in options.prompts
    ]
    end = {
        "pad_id": pad_id,
        "eos_id": tokenizer.vocabulary.eos_id,
        "max_new_tokens": options.max_new_tokens,
    }
    found = generate(model, prompts, **end)
    alone = [generate(model, [prompt], **end)[0] for prompt in prompts]
    batch = left_pad(prompts, pad_id)
    for i, (prompt, new) in enumerate(zip(options.prompts, found, strict=True)):
        print(f"input_ids       {' '.join(map(str, batch['input_ids'][i].tolist()))}")
        print(f"attention_mask  {' '.join(map(str, batch['attention_mask'][i].tolist()))}")
        print(f"new ids         {' '.join(map(str, new))}")
        print(f"text            {prompt}|{tokenizer.tokenizer.decode(new)}")
        print(
            "alone           "
            f"{'the same' if new == alone[i] else 'different: ' + ' '.join(map(str, alone[i]))}\n"
        )
    return int(found != alone)


def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    pad_id: int,
    eos_id: int | None = None,
    max_new_tokens: int = 20,
) -> list[list[int]]:
    """Return the new ids of each prompt: the likeliest token at each step, up to `eos_id` if that
    is given.

    `prompts` are ids, at least one in each; there are at most `max_new_tokens` new ids. States are
    cached: every pass after the first is over one token of each prompt. Raises ValueError if a
    prompt has no ids, or if the longest one leaves too few positions of the model.
    """
    check_lengths(
        [len(prompt) for prompt in prompts], max_new_tokens, model.config.max_position_embeddings
    )
    batch = left_pad(prompts, pad_id)
    ids, mask = batch["input_ids"], batch["attention_mask"]
    positions = positions_of(mask)
    ended = torch.zeros(len(ids), dtype=torch.bool)
    new: list[Tensor] = []
    states = None
    with torch.inference_mode():
        while len(new) < max_new_tokens and not ended.all():
            out = model(
                ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=states,
                use_cache=True,
            )
            states = out.past_key_values
            ids = out.logits[:, -1].argmax(-1, keepdim=True)
            new.append(ids[:, 0])
            ended = ended | (ids[:, 0] == eos_id) if eos_id is not None else ended
            mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
            positions = positions[:, -1:] + 1
    return [up_to(row, eos_id) for row in torch.stack(new, dim=1).tolist()]


def left_pad(prompts: Sequence[Sequence[int]], pad_id: int) -> dict[str, Tensor]:
    """Return `input_ids` and `attention_mask` of prompts, (prompts, longest) int64, padded on the
    left with `pad_id`.

    >>> batch = left_pad([[5], [6, 7, 8]], pad_id=0)
    >>> batch["input_ids"].tolist(), batch["attention_mask"].tolist()
    ([[0, 0, 5], [6, 7, 8]], [[0, 0, 1], [1, 1, 1]])
    """
    width = max(map(len, prompts))
    ids = np.full((len(prompts), width), pad_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    for i, prompt in enumerate(prompts):
        ids[i, width - len(prompt) :] = prompt
        mask[i, width - len(prompt) :] = 1
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}


def up_to(ids: list[int], eos_id: int | None) -> list[int]:
    """Return the ids up to and including the first `eos_id`; all ids if it does not occur."""
    return ids[: ids.index(eos_id) + 1] if eos_id in ids else ids


def check_lengths(lengths: Sequence[int], max_new_tokens: int, most: int) -> None:
    """Raise ValueError unless each prompt has ids, and the model has positions for the longest
    prompt and its new ids.

    `lengths` are those of the prompts, `most` is the number of positions.
    """
    if not lengths or min(lengths) < 1:
        raise ValueError(
            f"expected prompts of one token or more, got lengths {list(lengths)}; add a start token"
        )
    if max_new_tokens < 1:
        raise ValueError(f"expected max_new_tokens of 1 or more, got {max_new_tokens}")
    if max(lengths) + max_new_tokens > most:
        raise ValueError(
            f"expected at most {most} tokens with the new ones, got {max(lengths)} + "
            f"{max_new_tokens}; "
            "cut the prompt, or generate fewer"
        )


def padding_id(tokenizer: LoadedTokenizer) -> int:
    """Return the id of the padding token; that of the end of text for tokenizers without one, such
    as GPT-2's.

    Raises ValueError if there is neither.
    """
    known = (tokenizer.vocabulary.pad_id, tokenizer.vocabulary.eos_id)
    found = next((id_ for id_ in known if id_ is not None), None)
    if found is None:
        raise ValueError(
            f"tokenizer {tokenizer.name!r}: expected a padding or end-of-text token, found neither"
        )
    return found


def load_model(name: str, size: int) -> PreTrainedModel:
    """Return the model in a folder; for the name `tiny` a small random GPT-2 with `size` token ids,
    always the same.
    """
    if name != "tiny":
        return GPT2LMHeadModel.from_pretrained(name).eval()
    with torch.random.fork_rng():
        torch.manual_seed(17)
        sizes = {"vocab_size": size, "n_positions": 256, "n_embd": 32, "n_layer": 2, "n_head": 2}
        config = GPT2Config(**sizes, initializer_range=0.2, bos_token_id=None, eos_token_id=None)
        return GPT2LMHeadModel(config).eval()


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed options of the command line."""
    parser = argparse.ArgumentParser(
        description="Greedy generation with GPT-2 from left-padded prompts."
    )
    parser.add_argument(
        "--model", required=True, metavar="DIR", help="a folder with a GPT-2 model, or tiny"
    )
    parser.add_argument(
        "--tokenizer", required=True, metavar="DIR", help="a folder with tokenizer.json"
    )
    parser.add_argument(
        "--max-new-tokens", type=int, default=20, metavar="N", help="at most so many (default 20)"
    )
    parser.add_argument("prompts", nargs="+", metavar="PROMPT", help="texts to go on with")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
