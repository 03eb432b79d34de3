"""Recipes: presets, YAML, mappings, and errors that say what is allowed."""

from __future__ import annotations

import pickle
import re

import pytest
import yaml

from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise import PRESETS, Recipe, check_recipe, load_recipe
from noisebeam.transforms.noise.corruptions.masking import TokenMasking
from noisebeam.transforms.noise.corruptions.permutation import SentencePermutation
from noisebeam.transforms.noise.corruptions.text_infilling import TextInfilling
from noisebeam.transforms.noise.span_lengths import SpanLengths


def test_the_presets_are_these() -> None:
    assert PRESETS == (
        "bart",
        "bart-paper-document-rotation",
        "bart-paper-sentence-shuffling",
        "bart-paper-text-infilling",
        "bart-paper-text-infilling-sentence-shuffling",
        "bart-paper-token-deletion",
        "bart-paper-token-masking",
        "bert",
        "bert-whole-words",
        "causal",
        "document-rotation",
        "glm",
        "mbart",
        "prefix-lm",
        "roberta",
        "sentence-permutation",
        "t5",
        "text-infilling",
        "token-deletion",
        "token-insertion",
        "token-masking",
        "ul2",
    )


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_loads_and_comes_back_from_its_text(name) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert load_recipe(yaml.safe_load(recipe.text)) == recipe
    assert load_recipe(recipe.to_dict()) == recipe
    assert pickle.loads(pickle.dumps(recipe)) == recipe
    assert hash(recipe) == hash(load_recipe(name))


def test_bart_is_30_percent_infilling_with_permuted_sentences() -> None:
    assert load_recipe("bart") == Recipe(
        "bart", (SentencePermutation(), TextInfilling(0.3, SpanLengths("poisson", 3)))
    )


def test_a_single_corruption_preset_holds_that_corruption_alone() -> None:
    for name in (
        "token-masking",
        "token-deletion",
        "text-infilling",
        "sentence-permutation",
        "document-rotation",
    ):
        assert [corruption.name for corruption in load_recipe(name).corruptions] == [name]
        assert load_recipe(name).objective == "denoising"


def test_the_text_spells_every_setting_out() -> None:
    assert load_recipe("bart").text == (
        "name: bart\n"
        "objective: denoising\n"
        "corruptions:\n"
        "- sentence-permutation:\n"
        "    probability: 1.0\n"
        "- text-infilling:\n"
        "    share: 0.3\n"
        "    lengths:\n"
        "      poisson: 3\n"
        "    replace_length: 1\n"
        "    probability: 1.0\n"
    )


def test_a_recipe_comes_back_as_it_is() -> None:
    recipe = load_recipe("bert")
    assert load_recipe(recipe) is recipe


def test_a_yaml_file_is_named_by_its_file(tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "objective: mlm\ncorruptions:\n  - token-masking: {share: 0.4, mask: 0.5, random: 0.5}\n"
    )
    for recipe in (load_recipe(path), load_recipe(str(path))):
        assert recipe == Recipe("mine", (TokenMasking(0.4, 0.5, 0.5),), "mlm")


def test_a_corruption_without_settings_has_the_defaults() -> None:
    recipe = load_recipe({"corruptions": ["token-masking", {"token-deletion": None}]})
    assert [corruption.share for corruption in recipe.corruptions] == [0.15, 0.15]
    assert recipe.name == "unnamed"


ERRORS = [
    (3, "recipe 3: expected a preset's name, a YAML file, a mapping or a Recipe"),
    ("brat", "recipe 'brat': expected a preset or a YAML file, got neither; did you mean 'bart'?"),
    (
        "x",
        "recipe 'x': expected a preset or a YAML file, got neither; presets are bart, bart-paper",
    ),
    ("none.yaml", "recipe 'none.yaml' cannot be read: [Errno 2] No such file or directory"),
    (
        {},
        "recipe 'unnamed': corruptions is None; expected a list, as in [token-deletion: {share: "
        "0.1}]",
    ),
    (
        {"corruption": []},
        "recipe 'unnamed': unknown key 'corruption'; expected name, objective, corruptions",
    ),
    (
        {"corruptions": ["noise"]},
        "recipe 'unnamed': corruption 'noise': expected one of blank-infilling, token-deletion,",
    ),
    (
        {"corruptions": [3]},
        "recipe 'unnamed': corruption 3: expected a name, or one name with its settings",
    ),
    (
        {"name": "a", "corruptions": [{"token-deletion": 0.1}]},
        "recipe 'a': token-deletion: settings are 0.1; expected a mapping",
    ),
    (
        {"name": "a", "corruptions": [{"token-deletion": {"ratio": 0.1}}]},
        "recipe 'a': token-deletion: unknown key 'ratio'; expected share, probability",
    ),
    (
        {"name": "a", "corruptions": [{"token-deletion": {"share": 15}}]},
        "recipe 'a': token-deletion: share is 15; expected a number from 0 to 1",
    ),
    (
        {"name": "a", "corruptions": [{"text-infilling": {"lengths": 3}}]},
        "recipe 'a': text-infilling: lengths is 3; expected a mapping, as in {poisson: 3}",
    ),
    (
        {"name": "a", "corruptions": [{"text-infilling": {"lengths": {"normal": 3}}}]},
        "recipe 'a': text-infilling: lengths is {'normal': 3}; expected one of poisson, geometric, "
        "uniform, fixed",
    ),
    (
        {"name": "a", "objective": "spans", "corruptions": [{"span-corruption": {"denoisers": 3}}]},
        "recipe 'a': span-corruption: denoisers is 3; expected a list of mappings",
    ),
    (
        {
            "name": "a",
            "objective": "spans",
            "corruptions": [{"span-corruption": {"denoisers": [{"mean": 3}]}}],
        },
        "recipe 'a': span-corruption: denoisers: unknown key 'mean'; expected share, mean_length, "
        "weight, mode",
    ),
    (
        {"name": "a", "objective": "gan", "corruptions": []},
        "recipe 'a': objective is 'gan'; expected one of denoising, mlm, spans, causal, prefix, "
        "glm",
    ),
    ({"name": 3, "corruptions": []}, "recipe: name is 3; expected some text"),
    (
        {"name": "a", "corruptions": ["token-deletion", "token-deletion"]},
        "recipe 'a': corruptions are token-deletion, token-deletion; expected each at most once",
    ),
    (
        {"name": "a", "corruptions": ["text-infilling", "sentence-permutation"]},
        "recipe 'a': corruptions are text-infilling, sentence-permutation; expected "
        "sentence-permutation to come first",
    ),
    (
        {"name": "a", "objective": "mlm", "corruptions": ["token-deletion"]},
        "recipe 'a': objective mlm goes with token-masking alone; corruptions are "
        "['token-deletion']",
    ),
    (
        {"name": "a", "objective": "causal", "corruptions": ["token-deletion"]},
        "recipe 'a': objective causal goes with no corruption; corruptions are ['token-deletion']",
    ),
    (
        {"name": "a", "corruptions": ["blank-infilling"]},
        "recipe 'a': blank-infilling needs objective glm; it is 'denoising'",
    ),
    (
        {"name": "a", "objective": "prefix"},
        "recipe 'a': corruptions is None; expected a list",
    ),
    (
        {"name": "a", "objective": "spans", "corruptions": []},
        "recipe 'a': objective spans goes with span-corruption alone; corruptions are none",
    ),
    (
        {"name": "a", "corruptions": ["span-corruption"]},
        "recipe 'a': span-corruption needs objective spans; it is 'denoising'",
    ),
]


@pytest.mark.parametrize(("recipe", "message"), ERRORS)
def test_errors_name_key_value_and_what_is_allowed(recipe, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        load_recipe(recipe)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "is not YAML: "), ("- 3", "expected a mapping with the key")]
)
def test_a_file_that_is_not_a_recipe(tmp_path, text, message) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        load_recipe(path)
    assert "\n" not in str(error.value)


def test_check_names_recipe_and_what_to_do() -> None:
    lacking = Vocabulary(size=10)
    with pytest.raises(
        ValueError,
        match=r"recipe 'bart': text-infilling: needs a mask token, .*; add one to the tokenizer",
    ):
        check_recipe(load_recipe("bart"), lacking)
    with pytest.raises(ValueError, match="recipe 't5': span-corruption: needs sentinels"):
        check_recipe(load_recipe("t5"), lacking)
    with pytest.raises(
        ValueError,
        match="recipe 'causal': objective causal needs an end-of-text token, and the tokenizer has",
    ):
        check_recipe(load_recipe("causal"), lacking)
    with pytest.raises(
        ValueError,
        match="recipe 'glm': blank-infilling: mask is 'mask', and the tokenizer has no such",
    ):
        check_recipe(load_recipe("glm"), lacking)
    ends = Vocabulary(size=10, eos_id=1, sentinel_ids=(8, 9))
    with pytest.raises(
        ValueError,
        match=r"recipe 'ul2': span-corruption: mode is '\[R\]', and the tokenizer has no such",
    ):
        check_recipe(load_recipe("ul2"), ends)
    check_recipe(load_recipe("prefix-lm"), ends)
    check_recipe(load_recipe("sentence-permutation"), lacking)
