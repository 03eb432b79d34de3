"""Collators for data sets of your own, in place of Hugging Face's: lists of examples -> batches.

    collator = DenoisingCollator("bart", tokenizer, seed=17)

    class FreshNoise(TrainerCallback):
        def on_epoch_begin(self, args, state, control, **kwargs):
            collator.set_epoch(int(state.epoch))

    arguments = TrainingArguments("run", remove_unused_columns=False)
    Trainer(model=model, args=arguments, train_dataset=examples, data_collator=collator,
            callbacks=[FreshNoise()])

An example is a mapping with `input_ids` (a list, array or tensor, special tokens included) and, if
it is padded, an `attention_mask` that is 0 on padding. It may also have:

- `key`, an integer (modulo 2**64) that seeds its noise, as in `Sample`; without it a hash of the
  ids does, and examples with the same ids get the same noise;
- `sentence_lengths`, and with some tokenizers `head_lengths`, `alternative_lengths` and
  `alternatives`, as in `Sample`: for recipes that permute sentences. The trainer removes these
  columns unless `remove_unused_columns=False`;
- `prefix_length`, for `PrefixCollator`.

Other fields are dropped. Noise is a function of (seed, epoch, key) alone: the same in every batch,
worker process and rank, and for the samples of a build the same as in `ShardDataset`. Call
`set_epoch` before each epoch: otherwise every epoch has the noise of the first one. Persistent
worker processes see the new epoch too.

A tokenizer is a `Vocabulary`, a fast tokenizer of `transformers`, or a name for `load_tokenizer`.
Rows are padded to the longest one, or to a multiple of `pad_to_multiple_of`, with the padding
token, or with the end of text if there is none. Masks and labels depend on lengths, not on ids, so
that an end of text in a document always counts.
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


class SharedEpoch:
    """Number of the current epoch, in memory shared with loader workers, so that they see a
    change.
    """

    def __init__(self, epoch: int) -> None:
        self._number = torch.tensor(epoch).share_memory_()  # type: ignore[no-untyped-call]

    @property
    def epoch(self) -> int:
        """Number of the current epoch."""
        return int(self._number)

    def set_epoch(self, epoch: int) -> None:
        """Set the current epoch: batches made from now on have the noise of this epoch. Call it
        before each epoch.
        """
        self._number.fill_(epoch)


class Collator(SharedEpoch):
    """Base class of collators: makes a batch of a list of examples, with the noise of a recipe.

    A subclass sets `objective` and `default_recipe`. `recipe` is a preset's name, a YAML file, a
    mapping or a `Recipe`; None takes that of the subclass. `tokenizer` is a `Vocabulary`, a fast
    tokenizer of `transformers` or a name; `seed` seeds the noise. `layout` are settings of
    `Layout`. Raises ValueError if the recipe has another objective, or if the tokenizer lacks a
    token that the recipe needs.
    """

    objective: ClassVar[str]
    default_recipe: ClassVar[str]

    def __init__(
        self,
        tokenizer: Any,
        seed: int = 0,
        *,
        recipe: Recipes | None = None,
        epoch: int = 0,
        pad_to_multiple_of: int | None = None,
        **layout: Any,
    ) -> None:
        super().__init__(epoch)
        self.recipe = load_recipe(self.default_recipe if recipe is None else recipe)
        self.vocabulary = vocabulary_of(tokenizer)
        self.seed = seed
        self.layout = Layout(
            pad_id=self.vocabulary.padding_id,
            objective=self.objective,
            multiple=pad_to_multiple_of or 1,
            **layout,
        )
        if self.recipe.objective != self.objective:
            raise ValueError(
                f"{type(self).__name__}: expected a recipe with objective {self.objective}, "
                f"got {self.recipe.name!r} with {self.recipe.objective}; "
                "take the collator of that objective"
            )
        self.check_vocabulary()

    def check_vocabulary(self) -> None:
        """Raise ValueError if the tokenizer lacks a token that the recipe needs, such as a mask
        token.
        """
        check_recipe(self.recipe, self.vocabulary)

    def __call__(self, examples: Sequence[Any]) -> Batch:
        """Return the batch of a list of examples, noised: int64 tensors (examples, width), and
        masks.

        An example is a mapping with `input_ids`, or bare ids.
        """
        return self.layout(self.fields(examples))

    def fields(self, examples: Sequence[Any]) -> dict[str, Ragged]:
        """Return the noised inputs and the labels of a list of examples, by name: a row for each
        example, not yet padded.
        """
        batch = flat_examples(examples, self.vocabulary, self.recipe.needs_sentences)
        return apply_recipe(self.recipe, batch, self.vocabulary, self.seed, self.epoch)


class DenoisingCollator(Collator):
    """Collator for BART: `input_ids` are corrupted, and `labels` are the whole original ids.

    Models make `decoder_input_ids` from the labels; with `decoder_start_token_id` the batch has
    them.

    >>> vocabulary = Vocabulary(20, (0,), (2,), (0, 1, 2, 19), pad_id=1, mask_id=19, eos_id=2)
    >>> collator = DenoisingCollator("token-deletion", vocabulary, seed=17)
    >>> batch = collator([{"input_ids": [0, 5, 6, 7, 8, 9, 2]}, {"input_ids": [0, 5, 2]}])
    >>> batch["input_ids"].tolist()
    [[0, 5, 7, 8, 9, 2], [0, 5, 2, 1, 1, 1]]
    >>> batch["labels"].tolist()
    [[0, 5, 6, 7, 8, 9, 2], [0, 5, 2, -100, -100, -100, -100]]
    """

    objective = "denoising"

    def __init__(self, recipe: Recipes, tokenizer: Any, seed: int, **settings: Any) -> None:
        super().__init__(tokenizer, seed, recipe=recipe, **settings)


class MlmCollator(Collator):
    """Collator for BERT: `labels` are the original ids at the positions that were chosen for
    prediction, and -100 elsewhere.

    As `DataCollatorForLanguageModeling`, but the number of chosen tokens in each row is exact, and
    random tokens are never special ones. The recipe `bert` chooses 15 % of the tokens: 80 % of
    these are masked, 10 % replaced by random tokens, 10 % unchanged; `bert-whole-words` chooses
    whole words.
    """

    objective = "mlm"
    default_recipe = "bert"


class SpanCollator(Collator):
    """Collator for T5 and UL2: spans of the inputs are replaced by sentinel tokens; `labels` are
    the sentinels, each followed by its span.
    """

    objective = "spans"
    default_recipe = "t5"


class GlmCollator(Collator):
    """Collator for GLM: each row is part A (text with blanks) and part B (the blanked spans).

    A batch has a four-dimensional mask and two rows of positions for each row of ids. A label is at
    the position that predicts it: models must not shift labels. The mask is boolean, or additive in
    `mask_dtype` (see `Layout`).
    """

    objective = "glm"
    default_recipe = "glm"


class CausalCollator(Collator):
    """Collator for GPT-2, BLOOM and the like: `labels` are `input_ids`, and -100 on padding.

    The end of text is appended to each example that does not end in it, unless `append_eos` is
    False. With `position_ids=True` the batch has positions without padding: models with absolute
    positions (GPT-2) need them for `padding_side="left"`; BLOOM takes none.

    Models shift the labels. With padding on the left they would predict the first token of a padded
    row from padding, as with Hugging Face's collator; here its label is -100.

    >>> collator = CausalCollator(Vocabulary(20, eos_id=9), padding_side="left")
    >>> batch = collator([{"input_ids": [5, 6]}, {"input_ids": [7]}])
    >>> batch["input_ids"].tolist(), batch["attention_mask"].tolist(), batch["labels"].tolist()
    ([[5, 6, 9], [9, 7, 9]], [[1, 1, 1], [0, 1, 1]], [[5, 6, 9], [-100, -100, 9]])
    """

    objective = "causal"
    default_recipe = "causal"

    def check_vocabulary(self) -> None:
        """Check nothing here: only `append_eos` needs a token, the end of text, and `ending` checks
        that.
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
        super().__init__(
            tokenizer,
            padding_side=padding_side,
            position_ids=position_ids,
            pad_to_multiple_of=pad_to_multiple_of,
        )
        self.ending = ending(self.vocabulary, append_eos)

    def fields(self, examples: Sequence[Any]) -> dict[str, Ragged]:
        """Return the ids of each example, with the end of text appended, as both `input_ids` and
        `labels`.
        """
        ids = Ragged.of([ended(ids, self.ending) for ids in ids_of(examples, self.vocabulary)])
        return {"input_ids": ids, "labels": ids}


class PrefixCollator(Collator):
    """Collator for prefix language models: `labels` are -100 on the prefix and on padding.

    A prefix is seen in both directions, the rest is causal: `attention_mask` is (examples, 1,
    width, width) in `mask_dtype`, 0 where a position is seen, else minus infinity. GPT-2, GPT-NeoX
    and Llama take it; BLOOM and OPT, which count positions in a two-dimensional mask, do not.

    The length of the prefix is the example's `prefix_length`. Without one, it is drawn anew in
    every epoch: all lengths that leave at least one token are equally likely. The end of text is
    appended as in `CausalCollator`.

    >>> collator = PrefixCollator(Vocabulary(20, eos_id=9), seed=17)
    >>> batch = collator([{"input_ids": [5, 6, 7], "prefix_length": 2}])
    >>> batch["labels"].tolist(), (batch["attention_mask"][0, 0] == 0).int().tolist()
    ([[-100, -100, 7, 9]], [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]])
    """

    objective = "prefix"
    default_recipe = "prefix-lm"

    def check_vocabulary(self) -> None:
        """Check nothing here: only `append_eos` needs a token, the end of text, and `ending` checks
        that.
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
        super().__init__(
            tokenizer,
            seed,
            epoch=epoch,
            pad_to_multiple_of=pad_to_multiple_of,
            mask_dtype=mask_dtype,
        )
        self.ending = ending(self.vocabulary, append_eos)

    def fields(self, examples: Sequence[Any]) -> dict[str, Ragged]:
        """Return the ids of each example as `input_ids`, and as `labels` with -100 on the
        prefix.
        """
        originals = ids_of(examples, self.vocabulary)
        keys = [key_of(example, ids) for example, ids in zip(examples, originals, strict=True)]
        batch = flat_rows([ended(ids, self.ending) for ids in originals], keys)
        lengths = choose_prefixes(batch, PrefixSplit(), self.seed, self.epoch)
        longest = np.diff(batch.offsets).tolist()
        for i, (example, most) in enumerate(zip(examples, longest, strict=True)):
            if (given := field(example, "prefix_length")) is not None:
                lengths[i] = checked_prefix(given, i, most)
        labels = prefix_labels(batch, lengths)
        return {"input_ids": Ragged(batch.ids, batch.offsets), "labels": labels}


def vocabulary_of(tokenizer: Any) -> Vocabulary:
    """Return the `Vocabulary` of a tokenizer: a fast tokenizer of `transformers`, a name or path,
    or a `Vocabulary`, which is returned as it is.

    Raises TypeError for other values.
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


def ending(vocabulary: Vocabulary, append_eos: bool) -> int | None:
    """Return the id of the end-of-text token to append to each document; None if `append_eos` is
    False.

    Raises ValueError if `append_eos` is True and the tokenizer has no such token.
    """
    if append_eos and vocabulary.eos_id is None:
        raise ValueError(
            "expected a tokenizer with an end-of-text token, found none; "
            "add one, or set append_eos=False"
        )
    return vocabulary.eos_id if append_eos else None


def ended(ids: IntArray, eos_id: int | None) -> IntArray:
    """Return the ids with `eos_id` at their end, appended unless the ids end with it; unchanged if
    `eos_id` is None.
    """
    return ids if eos_id is None or (len(ids) and ids[-1] == eos_id) else np.append(ids, eos_id)


def checked_prefix(length: Any, i: int, most: int) -> int:
    """Return the `prefix_length` of example number `i` as an integer; raise ValueError unless it is
    0 to `most`, the number of its tokens.
    """
    if not 0 <= int(length) <= most:
        raise ValueError(f"example {i}: expected prefix_length from 0 to {most}, got {int(length)}")
    return int(length)
