"""Texts by way of their words: the ids are those of encoding the texts whole."""

from __future__ import annotations

import gzip
import json
import random
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from noisebeam.transforms.tokenization import word_cache
from noisebeam.transforms.tokenization.safe_splits import SafeSplits
from noisebeam.transforms.tokenization.sentence_encoder import Encoder
from noisebeam.transforms.tokenization.tokenizer import LoadedTokenizer, load_tokenizer
from noisebeam.transforms.tokenization.word_cache import WordCache

TOKENIZERS = ["bart-base", "gpt2", "bert-base-uncased", "bert-base-chinese", "t5-base"]
HOSTILE = (
    *"ab c d \n\n\t .,'!?~\"1234é\u0301\u200b\u00a0\u2028\u3000\x1c\x85你好。，ไทय\u094d🙂▁Ġ\r",
    *("<mask>", "</s>", "<pad>", "[MASK]", "<extra_id_0>", "👍🏽", "n't", "  ", "\r\n"),
)


def words_of(cache: WordCache, text: str) -> list[str]:
    return cache._divide(text)


def whole(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [
        encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    ]


def rows(cache: WordCache, texts: list[str]) -> list[list[int]]:
    return [row.tolist() for row in cache.encode(texts).rows()]


@pytest.fixture(scope="module", params=TOKENIZERS)
def encoder(request: pytest.FixtureRequest, shared: Path) -> Encoder:
    return Encoder(load_tokenizer(str(shared / "tokenizers" / request.param)))


@pytest.mark.parametrize("corpus", ["en_books", "zh_docs"])
def test_real_texts_have_the_ids_that_they_have_whole(
    encoder: Encoder, shared: Path, corpus: str
) -> None:
    with gzip.open(shared / "corpora" / f"{corpus}.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"][:20_000] for line in islice(lines, 20)]
    assert rows(encoder._words, texts) == whole(encoder._tokenizer, texts)


def test_hostile_texts_have_the_ids_that_they_have_whole(encoder: Encoder) -> None:
    draw = random.Random(17)
    texts = ["".join(draw.choices(HOSTILE, k=draw.randrange(30))) for _ in range(3000)]
    for i in range(0, len(texts), 20):
        assert rows(encoder._words, texts[i : i + 20]) == whole(
            encoder._tokenizer, texts[i : i + 20]
        )


def made(pre_tokenizer: pre_tokenizers.PreTokenizer | None = None, **added: bool) -> Tokenizer:
    tokenizer = Tokenizer(
        models.BPE({"a": 0, "b": 1, " ": 2, "\n": 3, "<": 4, ">": 5, "ab": 6}, [("a", "b")])
    )
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.add_special_tokens([AddedToken("<>", **added)])
    return tokenizer


O200K = (
    r"[^\r\n\p{L}\p{N}]?\p{Lu}*\p{Ll}+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?\p{Lu}+\p{Ll}*|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
SINGLE_SPACES = normalizers.Replace(Regex(" {2,}"), " ")
KINDS = {
    "o200k": (
        pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(O200K), "isolated"), BYTES]),
        None,
    ),
    "bytes after a space": (pre_tokenizers.ByteLevel(add_prefix_space=True), None),
    "llama": (
        None,
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
    ),
    "metaspace": (
        pre_tokenizers.Metaspace(),
        normalizers.Sequence([normalizers.NFKC(), SINGLE_SPACES]),
    ),
    "metaspace, stripped": (pre_tokenizers.Metaspace(), normalizers.Strip()),
    "bert": (pre_tokenizers.BertPreTokenizer(), normalizers.BertNormalizer()),
}
CORPUS = [
    "It rains today; we stay at home.\n\nNobody minds, it's 1234 o'clock!  The cat (ours) sleeps "
    "in a box... ",
    "Don't say 'no', say \"yes\"!\r\n\tIt rained yesterday.~\n \n— 下雨了。我们留下，你好。 à "
    "l'été",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", [models.BPE, models.Unigram])
def test_any_kind_of_tokenizer_gives_the_ids_of_whole_texts(kind: str, model: type) -> None:
    tokenizer = Tokenizer(model())
    pre_tokenizer, normalizer = KINDS[kind]
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer if model is models.BPE else trainers.UnigramTrainer
    settings = {} if model is models.BPE else {"unk_token": "<unk>"}
    tokenizer.train_from_iterator(
        CORPUS,
        trainer(
            vocab_size=400, special_tokens=["<unk>", "<mask>"], show_progress=False, **settings
        ),
    )
    tokenizer.add_special_tokens(
        [AddedToken("<sep>", rstrip=True, lstrip=True), AddedToken("<|two words|>")]
    )
    encoder = Encoder(LoadedTokenizer(kind, tokenizer.to_str()))
    draw = random.Random(17)
    parts = (*HOSTILE, "<sep>", "<|two words|>", *CORPUS[0].split(" "), *CORPUS[1].split(" "))
    for _ in range(30):
        texts = ["".join(draw.choices(parts, k=draw.randrange(20))) for _ in range(20)]
        assert rows(encoder._words, texts) == whole(encoder._tokenizer, texts)


def test_a_known_word_is_not_encoded_again() -> None:
    tokenizer = made(pre_tokenizers.Split(" ", "merged_with_next"))
    cache = WordCache(tokenizer, SafeSplits(tokenizer), spaces=" ")
    assert rows(cache, ["ab a ab", " a"]) == [[6, 2, 0, 2, 6], [2, 0]]
    known = len(cache._numbers)
    assert rows(cache, ["a a ab", ""]) == [[0, 2, 0, 2, 6], []]
    assert list(cache._numbers) == ["ab", " a", " ab", "a"]
    assert known == 3


def test_a_text_stays_whole_where_a_word_may_join_the_space_after_it() -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, " ": 2, "b ": 3}, [("b", " ")]))
    cache = WordCache(tokenizer, SafeSplits(tokenizer), spaces=" ")
    assert (
        rows(cache, ["a b a", "a a"])
        == whole(tokenizer, ["a b a", "a a"])
        == [[0, 2, 3, 0], [0, 2, 0]]
    )
    assert words_of(cache, "a b a") == ["a", " b", " a"]


def test_a_token_that_takes_in_the_space_after_it_stays_with_it() -> None:
    tokenizer = made(pre_tokenizers.Split(" ", "merged_with_next"), rstrip=True, lstrip=True)
    cache = WordCache(tokenizer, SafeSplits(tokenizer), spaces=" ")
    assert rows(cache, ["a <> b"]) == whole(tokenizer, ["a <> b"]) == [[0, 7, 1]]


def test_a_normalizer_that_strips_texts_keeps_them_whole() -> None:
    tokenizer = made()
    tokenizer.normalizer = normalizers.Strip()
    cache = WordCache(tokenizer, SafeSplits(tokenizer), spaces=" ")
    assert rows(cache, [" a b "]) == whole(tokenizer, [" a b "]) == [[0, 2, 1]]


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_cache, "_MOST_CHARACTERS", 20)
    tokenizer = made(pre_tokenizers.Split(" ", "merged_with_next"))
    cache = WordCache(tokenizer, SafeSplits(tokenizer), spaces=" ")
    texts = [" ".join("ab" * i for i in range(n, n + 4)) for n in range(1, 12)]
    assert [rows(cache, [text]) for text in texts] == [whole(tokenizer, [text]) for text in texts]
    assert len(cache._numbers) < 10


def test_threads_share_a_cache() -> None:
    tokenizer = made(pre_tokenizers.Split(" ", "merged_with_next"))
    cache = WordCache(tokenizer, SafeSplits(tokenizer), spaces=" ")
    texts = [" ".join("ab" * (i * j % 7 + 1) for j in range(9)) for i in range(400)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda text: rows(cache, [text])[0], texts)) == whole(tokenizer, texts)
