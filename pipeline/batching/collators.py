"""Collators for data sets of your own, in the place of Hugging Face's: lists of examples in,
batches of tensors out.

    collator = DenoisingCollator("bart", tokenizer, seed=17)

    class FreshNoise(TrainerCallback):
        def on_epoch_begin(self, args, state, control, **kwargs):
            collator.set_epoch(int(state.epoch))

    Trainer(model=model, args=TrainingArguments("run", remove_unused_columns=False), train_dataset=examples,
            data_collator=collator, callbacks=[FreshNoise()])

An example is a mapping with `input_ids` (a list, array or tensor, special tokens included) and, if
it is padded, an `attention_mask` that is 0 on padding. It may also have:

- `key`, an integer (modulo 2**64) that names it to the random numbers, as in `Sample`; otherwise a
  hash of its ids does, and examples with the same ids get the same noise;
- `sentence_lengths`, and with some tokenizers `head_lengths`, `alternative_lengths` and
  `alternatives`, as in `Sample`: for recipes that permute sentences. The trainer takes these
  columns away unless `remove_unused_columns=False`;
- `prefix_length`, for `PrefixCollator`.

All else in it is left out. Noise is a function of (seed, epoch, key) alone: the same in every
batch, worker process and rank, and for the samples of a build the same as in `ShardDataset`.
Without `set_epoch` before each epoch the noise of the first one comes again. Worker processes that
stay take notice of it.

A tokenizer is a `Vocabulary`, a fast tokenizer of `transformers`, or a name for `load_tokenizer`.
Rows are filled up to the longest, or to a multiple of `pad_to_multiple_of`, with the padding token,
or the end of text where there is none. Masks and labels go by lengths, so that a real end of text
always counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from noisebeam.pipeline.batching.collate import Batch
from noisebeam.pipeline.batching.hf_examples import field, flat_examples, flat_rows, ids_of, key_of
from noisebeam.pipeline.batching.layout import Layout
from noisebeam.transforms.data.ragged import IntArray, Ragged
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.apply import apply_recipe
from noisebeam.transforms.noise.corruptions.prefix_split import (
    PrefixSplit,
    choose_prefixes,
    prefix_labels,
)
from noisebeam.transforms.noise.recipes import Recipe, check_recipe, load_recipe
from noisebeam.transforms.tokenization.tokenizer import LoadedTokenizer, load_tokenizer

Recipes = str | Mapping[str, Any] | Recipe

_ROLES = ("mask_token", "pad_token", "bos_token", "eos_token")


class Epoch:
    """The number of an epoch, shared with worker processes."""

    def __init__(self, epoch: int) -> None:
        self._number = torch.tensor(epoch).share_memory_()  # type: ignore[no-untyped-call]

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return int(self._number)

    def set_epoch(self, epoch: int) -> None:
        """Draw what follows as in this epoch."""
        self._number.fill_(epoch)


class DenoisingCollator(Epoch):
    """Corrupted `input_ids` with their `attention_mask`, and the whole originals as `labels`, as
    for BART.

    `recipe` is a preset's name, a YAML file, a mapping or a `Recipe`; ValueError if its objective
    is not that of the collator, or if the tokenizer lacks what it needs. Models make
    `decoder_input_ids` of the labels by themselves; with `decoder_start_token_id` the batch has
    them. `layout` are settings of `Layout`.

    >>> vocabulary = Vocabulary(20, (0,), (2,), (0, 1, 2, 19), pad_id=1, mask_id=19, eos_id=2)
    >>> collator = DenoisingCollator("token-deletion", vocabulary, seed=17)
    >>> batch = collator([{"input_ids": [0, 5, 6, 7, 8, 9, 2]}, {"input_ids": [0, 5, 2]}])
    >>> batch["input_ids"].tolist(), batch["labels"].tolist()
    ([[0, 5, 7, 8, 9, 2], [0, 5, 2, 1, 1, 1]], [[0, 5, 6, 7, 8, 9, 2], [0, 5, 2, -100, -100, -100, -100]])
    """

    objective: ClassVar[str] = "denoising"

    def __init__(
        self,
        recipe: Recipes,
        tokenizer: Any,
        seed: int,
        *,
        epoch: int = 0,
        pad_to_multiple_of: int | None = None,
        **layout: Any,
    ) -> None:
        super().__init__(epoch)
        self.recipe = load_recipe(recipe)
        self.vocabulary = vocabulary_of(tokenizer)
        self.seed = seed
        self.layout = Layout(
            pad_id=padding_id(self.vocabulary),
            objective=self.objective,
            multiple=pad_to_multiple_of or 1,
            **layout,
        )
        if self.recipe.objective != self.objective:
            raise ValueError(
                f"{type(self).__name__}: expected a recipe with objective {self.objective}, "
                f"got {self.recipe.name!r} with {self.recipe.objective}; take the collator of that objective"
            )
        check_recipe(self.recipe, self.vocabulary)

    def __call__(self, examples: Sequence[Any]) -> Batch:
        """`input_ids`, `attention_mask` and `labels` of these examples: (examples, longest)
        int64.
        """
        batch = flat_examples(examples, self.vocabulary, self.recipe.needs_sentences)
        return self.layout(apply_recipe(self.recipe, batch, self.vocabulary, self.seed, self.epoch))


class MlmCollator(DenoisingCollator):
    """As `DataCollatorForLanguageModeling`: `labels` are the ids at the chosen positions, and -100
    elsewhere.

    The recipe `bert` chooses 15 %: 80 % of them masked, 10 % random, 10 % kept; `bert-whole-words`
    chooses whole words. The number chosen in each row is exact, where Hugging Face's draws every
    token by itself. Random tokens are never special ones.
    """

    objective = "mlm"

    def __init__(
        self, tokenizer: Any, seed: int, *, recipe: Recipes = "bert", **settings: Any
    ) -> None:
        super().__init__(recipe, tokenizer, seed, **settings)


class SpanCollator(DenoisingCollator):
    """Spans replaced by sentinels in `input_ids`; `labels` are the sentinels with their spans, as
    for T5 and UL2.
    """

    objective = "spans"

    def __init__(
        self, tokenizer: Any, seed: int, *, recipe: Recipes = "t5", **settings: Any
    ) -> None:
        super().__init__(recipe, tokenizer, seed, **settings)


class GlmCollator(DenoisingCollator):
    """Blank infilling as for GLM: part A and part B, a four-dimensional mask and two rows of
    positions (see `Layout`).

    Labels stand where they are predicted: no model is to shift them. The mask is boolean, or
    additive in `mask_dtype`.
    """

    objective = "glm"

    def __init__(
        self, tokenizer: Any, seed: int, *, recipe: Recipes = "glm", **settings: Any
    ) -> None:
        super().__init__(recipe, tokenizer, seed, **settings)


class CausalCollator:
    """Documents as they are, for GPT-2, BLOOM and the like: `labels` are `input_ids`, and -100 on
    padding.

    The end of text is appended to each example that has none at its end; not if `append_eos` is
    False. With `position_ids=True` the batch has positions counted without padding: models with
    absolute positions (GPT-2) need them for `padding_side="left"`; BLOOM takes none.

    Models shift the labels themselves: with padding on the left, the first token of a padded row
    would be predicted from padding, as it is with Hugging Face's collator. Here its label is -100.

    >>> collator = CausalCollator(Vocabulary(20, eos_id=9), padding_side="left")
    >>> batch = collator([{"input_ids": [5, 6]}, {"input_ids": [7]}])
    >>> batch["input_ids"].tolist(), batch["attention_mask"].tolist(), batch["labels"].tolist()
    ([[5, 6, 9], [9, 7, 9]], [[1, 1, 1], [0, 1, 1]], [[5, 6, 9], [-100, -100, 9]])
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        padding_side: Literal["left", "right"] = "right",
        append_eos: bool = True,
        position_ids: bool = False,
        pad_to_multiple_of: int | None = None,
    ) -> None:
        self.vocabulary = vocabulary_of(tokenizer)
        self.ending = ending(self.vocabulary, append_eos)
        self.layout = Layout(
            pad_id=padding_id(self.vocabulary),
            objective="causal",
            padding_side=padding_side,
            position_ids=position_ids,
            multiple=pad_to_multiple_of or 1,
        )

    def __call__(self, examples: Sequence[Any]) -> Batch:
        """`input_ids`, `attention_mask` and `labels` of these examples: (examples, longest)
        int64.
        """
        ids = Ragged.of([ended(ids, self.ending) for ids in ids_of(examples, self.vocabulary)])
        return self.layout({"input_ids": ids, "labels": ids})


class PrefixCollator(Epoch):
    """A prefix that is seen in both directions, and a rest that is causal: `labels` are -100 on
    prefix and padding.

    `attention_mask` is (examples, 1, longest, longest) in `mask_dtype`, 0 and minus infinity.
    GPT-2, GPT-NeoX and Llama take it as it is; BLOOM and OPT, which count positions in a
    two-dimensional mask, do not.

    The prefix is as long as the example's `prefix_length` says; where there is none, it ends at a
    random token, all but the last equally likely, drawn anew in every epoch. The end of text is
    appended as in `CausalCollator`.

    >>> collator = PrefixCollator(Vocabulary(20, eos_id=9), seed=17)
    >>> batch = collator([{"input_ids": [5, 6, 7], "prefix_length": 2}])
    >>> batch["labels"].tolist(), (batch["attention_mask"][0, 0] == 0).int().tolist()
    ([[-100, -100, 7, 9]], [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]])
    """

    def __init__(
        self,
        tokenizer: Any,
        seed: int,
        *,
        epoch: int = 0,
        append_eos: bool = True,
        pad_to_multiple_of: int | None = None,
        mask_dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(epoch)
        self.vocabulary = vocabulary_of(tokenizer)
        self.seed = seed
        self.ending = ending(self.vocabulary, append_eos)
        self.layout = Layout(
            pad_id=padding_id(self.vocabulary),
            objective="prefix",
            multiple=pad_to_multiple_of or 1,
            mask_dtype=mask_dtype,
        )

    def __call__(self, examples: Sequence[Any]) -> Batch:
        """`input_ids` and `labels`, (examples, longest) int64, and `attention_mask`."""
        originals = ids_of(examples, self.vocabulary)
        keys = [key_of(example, ids) for example, ids in zip(examples, originals, strict=True)]
        batch = flat_rows([ended(ids, self.ending) for ids in originals], keys)
        lengths = choose_prefixes(batch, PrefixSplit(), self.seed, self.epoch)
        for i, (example, most) in enumerate(
            zip(examples, np.diff(batch.offsets).tolist(), strict=True)
        ):
            if (given := field(example, "prefix_length")) is not None:
                lengths[i] = checked_prefix(given, i, most)
        return self.layout(
            {"input_ids": Ragged(batch.ids, batch.offsets), "labels": prefix_labels(batch, lengths)}
        )


def vocabulary_of(tokenizer: Any) -> Vocabulary:
    """The vocabulary of a tokenizer: of `transformers` (a fast one), a name for `load_tokenizer`,
    or a `Vocabulary`.
    """
    if isinstance(tokenizer, Vocabulary):
        return tokenizer
    if isinstance(tokenizer, str):
        return load_tokenizer(tokenizer).vocabulary
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise TypeError(
            f"expected a Vocabulary, a fast tokenizer of transformers or the name of one, "
            f"got {type(tokenizer).__name__}; load it with AutoTokenizer"
        )
    roles = {role: getattr(tokenizer, role, None) for role in _ROLES}
    text = tokenizer.backend_tokenizer.to_str()
    return LoadedTokenizer(
        str(tokenizer.name_or_path), text, json.dumps(roles, default=str)
    ).vocabulary


def padding_id(vocabulary: Vocabulary) -> int:
    """What fills rows up, under a mask of 0: the padding token, or the end of text, or else 0."""
    known = (vocabulary.pad_id, vocabulary.eos_id)
    return next((id_ for id_ in known if id_ is not None), 0)


def ending(vocabulary: Vocabulary, append_eos: bool) -> int | None:
    """The id to append to each document, None for none; ValueError if the tokenizer has no end of
    text.
    """
    if append_eos and vocabulary.eos_id is None:
        raise ValueError(
            "expected a tokenizer with an end-of-text token, found none; add one, or set append_eos=False"
        )
    return vocabulary.eos_id if append_eos else None


def ended(ids: IntArray, eos_id: int | None) -> IntArray:
    """The ids with `eos_id` (None for none) at their end, where it may be already."""
    return ids if eos_id is None or (len(ids) and ids[-1] == eos_id) else np.append(ids, eos_id)


def checked_prefix(length: Any, i: int, most: int) -> int:
    """The prefix length of example i; ValueError unless it is from 0 to `most`."""
    if not 0 <= int(length) <= most:
        raise ValueError(f"example {i}: expected prefix_length from 0 to {most}, got {int(length)}")
    return int(length)
