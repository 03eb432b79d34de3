"""Tokenizers are found, read for their roles, and refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.tokenization.tokenizer import TokenizerError, load_once, load_tokenizer


@pytest.mark.parametrize(
    ("name", "size", "prefix", "suffix", "mask", "pad", "eos"),
    [
        ("bart-base", 50265, (0,), (2,), 50264, 1, 2),
        ("bert-base-uncased", 30522, (101,), (102,), 103, 0, 102),
        ("bert-base-chinese", 21128, (101,), (102,), 103, 0, 102),
        ("gpt2", 50257, (), (), None, None, 50256),
        ("t5-base", 32100, (), (1,), None, 0, 1),
    ],
)
def test_roles_are_read(
    shared: Path,
    name: str,
    size: int,
    prefix: tuple[int],
    suffix: tuple[int],
    mask: int,
    pad: int,
    eos: int,
) -> None:
    vocabulary = load_tokenizer(str(shared / "tokenizers" / name)).vocabulary
    assert (vocabulary.size, vocabulary.prefix, vocabulary.suffix) == (size, prefix, suffix)
    assert (vocabulary.mask_id, vocabulary.pad_id, vocabulary.eos_id) == (mask, pad, eos)
    assert set(prefix + suffix) <= set(vocabulary.special_ids)


def test_t5_has_its_sentinels_in_order(shared: Path) -> None:
    vocabulary = load_tokenizer(str(shared / "tokenizers/t5-base")).vocabulary
    assert vocabulary.sentinel_ids == tuple(range(32099, 31999, -1))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("bart-base", " unbelievably good", ["Ġunbelievably", "Ġgood"]),
        ("bert-base-uncased", "unbelievably good", ["un##bel##ie##va##bly", "good"]),
        ("t5-base", "unbelievably good", ["▁unbelievably", "▁good"]),
        ("bert-base-chinese", "我爱北京", ["我", "爱", "北", "京"]),
        ("gpt2", "我爱", ["æĪĳ", "çĪ±"]),  # each character is two byte-level tokens
    ],
)
def test_tokens_that_continue_a_word_are_known(
    shared: Path, name: str, text: str, words: list[str]
) -> None:
    loaded = load_tokenizer(str(shared / "tokenizers" / name))
    encoding = loaded.tokenizer.encode(text, add_special_tokens=False)
    found: list[str] = []
    for token, continues in zip(
        encoding.tokens, loaded.vocabulary.continues_word[encoding.ids], strict=True
    ):
        found[-1:] = [found[-1] + token] if continues else [*found[-1:], token]
    assert found == words


def test_a_vocabulary_survives_json(shared: Path) -> None:
    vocabulary = load_tokenizer(str(shared / "tokenizers/t5-base")).vocabulary
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


def test_a_tokenizer_file_may_be_named_itself(shared: Path) -> None:
    folder = shared / "tokenizers/gpt2"
    named = load_tokenizer(str(folder / "tokenizer.json"))
    assert named.fingerprint == load_tokenizer(folder.as_uri()).fingerprint


def test_a_worker_with_other_files_is_told(shared: Path) -> None:
    name = str(shared / "tokenizers/gpt2")
    with pytest.raises(
        TokenizerError,
        match=r"expected tokenizer.json with SHA-256 0000, found [0-9a-f]{64}; make the same",
    ):
        load_once(name, "0000")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"^tokenizer '\./absent': no such file or folder$"):
        load_tokenizer("./absent")


def test_an_unreadable_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{broken")
    with pytest.raises(
        TokenizerError, match=r"^tokenizer .*: its files cannot be read: key must be a string"
    ):
        load_tokenizer(str(tmp_path))


def test_a_folder_without_tokenizer_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        TokenizerError, match=r"there is no tokenizer.json, nor files to make one of"
    ):
        load_tokenizer(str(tmp_path))
