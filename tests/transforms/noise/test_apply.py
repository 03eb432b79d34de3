"""Recipes applied: the same bits in any company, golden digests, bounded memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noisebeam.transforms.data.ragged import Ragged, offsets_of
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.noise import PRESETS, apply_corruption, apply_recipe, load_recipe
from noisebeam.transforms.noise.batch_ops import samples_between

ids = st.integers(4, 89) | st.sampled_from([3, 98])
samples = st.lists(
    st.lists(st.lists(ids, min_size=1, max_size=30), max_size=4), min_size=1, max_size=6
)
presets = pytest.mark.parametrize("name", PRESETS)


def with_heads(batch: FlatBatch) -> FlatBatch:
    """The batch with another first token for each sentence."""
    count = len(batch.sentence_ends)
    lengths = np.ones(count, dtype=np.int64)
    return replace(
        batch,
        head_lengths=lengths,
        alternatives=Ragged(
            (np.arange(count) % 86 + 4).astype(batch.ids.dtype), offsets_of(lengths)
        ),
    )


@pytest.fixture(scope="session")
def golden_batch(make_batch) -> FlatBatch:
    """40 samples of 0 to 12 sentences of 1 to 20 tokens, by arithmetic alone."""
    made = [
        [
            [4 + (i * 31 + j * 17 + k * 7) % 86 for k in range(1 + (i * 7 + j * 5) % 20)]
            for j in range(i * 5 % 13)
        ]
        for i in range(40)
    ]
    return with_heads(make_batch(made, keys=[i * 0x9E3779B97F4A7C15 % 2**64 for i in range(40)]))


@presets
def test_golden_digests(golden_batch, vocabulary, name) -> None:
    fields = apply_recipe(load_recipe(name), golden_batch, vocabulary, seed=17, epoch=2)
    digest = sha256()
    for field in fields:
        for array in fields[field]:
            digest.update(array.astype("<i8").tobytes())
    assert digest.hexdigest()[:16] == DIGESTS[name]


@presets
def test_a_sample_is_noised_alike_in_any_company_and_order(
    golden_batch, to_rows, vocabulary, name
) -> None:
    recipe = load_recipe(name)
    together = apply_recipe(recipe, golden_batch, vocabulary, 3, 1)
    for size in (1, 7):
        for first in range(0, 40, size):
            part = samples_between(golden_batch, first, min(first + size, 40))
            alone = apply_recipe(recipe, part, vocabulary, 3, 1)
            for field in together:
                assert to_rows(alone[field]) == to_rows(together[field])[first : first + size]


@presets
def test_large_batches_are_worked_on_in_parts(
    golden_batch, to_rows, vocabulary, monkeypatch, name
) -> None:
    whole = apply_recipe(load_recipe(name), golden_batch, vocabulary, 3, 1)
    for size in (1, 300, 1000):
        monkeypatch.setattr("noisebeam.transforms.noise.apply.PART_TOKENS", size)
        parts = apply_recipe(load_recipe(name), golden_batch, vocabulary, 3, 1)
        for field in whole:
            assert to_rows(parts[field]) == to_rows(whole[field])


@pytest.mark.parametrize("changed", [{"seed": 4}, {"epoch": 2}])
@presets
def test_seed_and_epoch_change_the_noise(golden_batch, vocabulary, name, changed) -> None:
    first, second = (
        apply_recipe(
            load_recipe(name), golden_batch, vocabulary, **{"seed": 3, "epoch": 1, **change}
        )
        for change in ({}, changed)
    )
    same = [
        np.array_equal(first[field].values, second[field].values)
        for field in ("input_ids", "labels")
    ]
    assert all(same) == (name == "causal")


@presets
@settings(max_examples=25)
@given(samples=samples, seed=st.integers(0, 2**64 - 1))
def test_special_tokens_come_through_in_order(
    make_batch, to_rows, vocabulary, name, samples, seed
) -> None:
    recipe = load_recipe(name)
    batch = make_batch(samples)
    permuted = any(corruption.name == "sentence-permutation" for corruption in recipe.corruptions)
    fields = apply_recipe(recipe, batch, vocabulary, seed, 0)
    for before, after in zip(to_rows(batch), to_rows(fields["input_ids"]), strict=True):
        after = after[name == "ul2" :]  # but for the mode token
        after = after[: after.index(2) + 1] if recipe.objective == "glm" else after  # part A
        assert (after[0], after[-1]) == (0, 2)
        old, new = ([id_ for id_ in row if id_ in (0, 1, 2, 3, 98)] for row in (before, after))
        assert (sorted(new) == sorted(old)) if permuted else (new == old)


@pytest.mark.parametrize(
    "name", [name for name in PRESETS if load_recipe(name).objective == "denoising"]
)
def test_labels_of_denoising_are_the_source(golden_batch, vocabulary, name) -> None:
    labels = apply_recipe(load_recipe(name), golden_batch, vocabulary, 3, 1)["labels"]
    assert labels.values is golden_batch.ids
    assert labels.offsets is golden_batch.offsets


@pytest.mark.parametrize("dtype", ["uint16", "int32", "int64"])
@presets
def test_inputs_keep_their_dtype(golden_batch, vocabulary, name, dtype) -> None:
    batch = replace(golden_batch, ids=golden_batch.ids.astype(dtype))
    batch = replace(
        batch,
        alternatives=Ragged(batch.alternatives.values.astype(dtype), batch.alternatives.offsets),
    )
    fields = apply_recipe(load_recipe(name), batch, vocabulary, 3, 1)
    assert fields["input_ids"].values.dtype == dtype
    expected = {"int64": "int64"}.get(dtype, "int32") if load_recipe(name).masks_labels else dtype
    assert fields["labels"].values.dtype == expected


@presets
def test_a_batch_without_samples(make_batch, vocabulary, name) -> None:
    fields = apply_recipe(load_recipe(name), make_batch([]), vocabulary, 3, 1)
    assert [len(fields[field].values) for field in ("input_ids", "labels")] == [0, 0]


@presets
def test_the_batch_itself_is_left_alone(golden_batch, vocabulary, name) -> None:
    before = golden_batch.ids.copy()
    golden_batch.ids.flags.writeable = False
    apply_recipe(load_recipe(name), golden_batch, vocabulary, 3, 1)
    assert np.array_equal(golden_batch.ids, before)


def test_each_corruption_of_a_recipe_applies_to_the_result_of_the_one_before(
    golden_batch, vocabulary
) -> None:
    recipe, batch = load_recipe("bart"), golden_batch
    for corruption in recipe.corruptions:
        batch = apply_corruption(corruption, batch, vocabulary, 3, 1)
    result = apply_recipe(recipe, golden_batch, vocabulary, 3, 1)["input_ids"]
    assert np.array_equal(batch.ids, result.values)


@presets
def test_memory_is_at_most_six_times_the_batch(make_batch, vocabulary, name) -> None:
    batch = with_heads(make_batch([[[50] * 25] * 20] * 2000))
    recipe = load_recipe(name)
    apply_recipe(recipe, samples_between(batch, 0, 200), vocabulary, 3, 1)
    tracemalloc.start()
    apply_recipe(recipe, batch, vocabulary, 3, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * batch.ids.nbytes


DIGESTS = {
    "bart": "9667c70bc7280966",
    "bart-paper-document-rotation": "3ccb1bf92e840175",
    "bart-paper-sentence-shuffling": "8498ceacdb983efb",
    "bart-paper-text-infilling": "4096cad7a6f3cf2e",
    "bart-paper-text-infilling-sentence-shuffling": "9667c70bc7280966",
    "bart-paper-token-deletion": "411c88b0b9e5c823",
    "bart-paper-token-masking": "e8ee31a2f8eb48ef",
    "bert": "55be78c1ed948bf2",
    "bert-whole-words": "9d1ebb315e5856a6",
    "causal": "821823d4637dfe12",
    "document-rotation": "3ccb1bf92e840175",
    "glm": "f3d760c79bfda7ce",
    "mbart": "3eafec48676b0066",
    "prefix-lm": "b8be8bffec79e3e5",
    "roberta": "55be78c1ed948bf2",
    "sentence-permutation": "8498ceacdb983efb",
    "t5": "9f058dcb40199363",
    "text-infilling": "4096cad7a6f3cf2e",
    "token-deletion": "411c88b0b9e5c823",
    "token-insertion": "6d156cb2b4b3558d",
    "token-masking": "e8ee31a2f8eb48ef",
    "ul2": "ea6ce536d2ff7a4e",
}
