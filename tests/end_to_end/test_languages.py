"""Builds of one language and of several: told by a setting, by a field, or by the text."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from noisebeam.pipeline import ShardDataset
from noisebeam.pipeline.builder.build import build
from noisebeam.pipeline.builder.options import BuildOptions, SettingsError
from noisebeam.pipeline.cli import main
from noisebeam.pipeline.inspect.verify import verify

ENGLISH = "Dr. Smith came by train, e.g. in the rain, and stayed for a week. He left in the end. "
GERMAN = (
    "Herr Dr. Schmidt kam mit dem Zug, z.B. im Regen, und blieb eine Woche. Am Ende ging er "
    "wieder. "
)
SWEDISH = "Herr Lind kom med tåget i regnet och stannade i en vecka. Till slut reste han hem igen. "
needs_py3langid = pytest.mark.skipif(find_spec("py3langid") is None, reason="needs noisebeam[lang]")

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(*records: dict[str, Any]) -> Path:
        path = tmp_path / "corpus.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        return path

    return write


def options(corpus: Path, tokenizer: str | Path, **settings: Any) -> BuildOptions:
    output = str(corpus.with_name("out"))
    return BuildOptions.of(
        input=(str(corpus),), output=output, tokenizer=str(tokenizer), overwrite=True, **settings
    )


def languages(metrics: Any) -> dict[str, int]:
    return {name: number for name, number in metrics.items() if name.startswith("documents-")}


def test_a_field_tells_the_language_and_the_setting_where_it_does_not(
    write: Write, tokenizer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = write(
        {"text": GERMAN * 2, "language": "deu_Latn"},
        {"text": SWEDISH * 2, "language": "sv"},
        {"text": ENGLISH * 2, "language": None},
        {"text": ENGLISH * 3, "language": "klingon"},
        {"text": ENGLISH * 4, "language": 5},
    )
    chosen = options(corpus, tokenizer, lang_field="language", num_shards=1)
    assert languages(build(chosen, quiet=True).metrics) == {
        "documents-in-de": 1,
        "documents-in-sv": 1,
        "documents-in-en": 3,
        "documents-without-language": 3,
        "documents-by-fallback": 1,
    }
    flags = [
        "--tokenizer",
        tokenizer,
        "--lang-field",
        "language",
        "--num-shards",
        "1",
        "--overwrite",
    ]
    assert main(["build", "--input", str(corpus), "--output", chosen.output.url, *flags]) == 0
    out = capsys.readouterr().out
    assert "languages: en 3, de 1, sv 1\n" in out
    assert "3 documents name no language: taken as 'en'\n" in out
    assert (
        "1 documents in languages that sentencex does not know, or in none: the rules of English "
        "were used\n" in out
    )


@needs_py3langid
def test_the_text_tells_the_language_before_languages_are_chosen(
    write: Write, tokenizer: str
) -> None:
    corpus = write(
        {"text": ENGLISH * 3, "language": "fr"},
        {"text": GERMAN * 3},
        {"text": SWEDISH * 3},
        {"text": "1 2 3. 4 5. 6"},
    )
    chosen = options(corpus, tokenizer, lang="auto", lang_field="language", num_shards=1)
    assert languages(build(chosen, quiet=True).metrics) == {
        "documents-in-fr": 1,
        "documents-in-de": 1,
        "documents-in-sv": 1,
        "documents-in-und": 1,
        "documents-by-fallback": 2,
    }
    kept = options(corpus, tokenizer, lang="auto", keep_langs=("de", "sv"), num_shards=1)
    assert languages(build(kept, quiet=True).metrics) == {
        "documents-in-de": 1,
        "documents-in-sv": 1,
        "documents-by-fallback": 1,
    }


@pytest.mark.slow
@needs_py3langid
def test_detection_gives_the_same_shards_with_two_workers(write: Write, tokenizer: str) -> None:
    corpus = write(
        *({"text": text * number} for number in range(1, 20) for text in (ENGLISH, GERMAN, SWEDISH))
    )
    chosen = options(corpus, tokenizer, lang="auto", num_shards=2)
    workers = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    shards = [build(chosen, flags, quiet=True).outcome.shards for flags in ([], workers)]  # type: ignore[union-attr]
    assert shards[0] == shards[1]


def test_what_stands_in_for_a_language_without_rules_is_told_at_the_start(
    write: Write, tokenizer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = write({"text": SWEDISH})
    places = [
        "--input",
        str(corpus),
        "--output",
        str(corpus.with_name("out")),
        "--tokenizer",
        tokenizer,
    ]
    note = "lang: sentencex has no rules of its own for 'sv'; it uses those of 'en'\n"
    assert main(["build", *places, "--lang", "sv", "--dry-run"]) == 0
    assert note in capsys.readouterr().out
    assert main(["build", *places, "--lang", "sv"]) == 0
    assert f"noisebeam: {note}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"lang": "klingon"},
            "^lang: expected a language code such as 'en' or 'zh-hans', got 'klingon'$",
        ),
        ({"lang": "cn"}, "^lang: expected a language code such as 'en' or 'zh-hans', got 'cn'$"),
        ({"lang_field": ""}, "^lang_field: expected the name of a field, got ''$"),
        (
            {"lang_field": "l", "format": "text"},
            "^lang_field: expected only where records have fields, got it with 't",
        ),
    ],
)
def test_nonsensical_languages_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises((SettingsError, ValueError), match=message):
        BuildOptions.of(input=("a",), output="b", tokenizer="c", **settings)  # type: ignore[arg-type]


def first_records(path: Path, count: int) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in islice(file, count)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lang", "corpus", "tokenizer", "recipe", "begins"),
    [
        ("en", "en_books", "bart-base", "bart", "<s>"),
        ("zh", "zh_docs", "bert-base-chinese", "bert", "[CLS]"),
    ],
)
def test_english_and_chinese_end_to_end(
    shared: Path, write: Write, lang: str, corpus: str, tokenizer: str, recipe: str, begins: str
) -> None:
    records = first_records(shared / f"corpora/{corpus}.jsonl.gz", 60)
    chosen = options(
        write(*records), shared / "tokenizers" / tokenizer, lang=lang, recipe=recipe, max_tokens=128
    )
    result = build(chosen, quiet=True)
    assert languages(result.metrics) == {
        f"documents-in-{lang}": 60,
        "documents-without-language": 60,
    }
    assert result.metrics["sentences"] > 1000
    assert verify(chosen.output.url) == []
    batch = next(iter(ShardDataset(chosen.output.url, batch_size=8)))
    loaded = Tokenizer.from_file(str(shared / "tokenizers" / tokenizer / "tokenizer.json"))
    assert {int(row[0]) for row in batch["input_ids"]} == {loaded.token_to_id(begins)}
    masks = loaded.token_to_id("<mask>" if lang == "en" else "[MASK]")
    assert (batch["input_ids"] == masks).any()
    assert (batch["labels"] >= -100).all()


@pytest.mark.slow
@needs_py3langid
def test_a_corpus_of_two_languages_is_told_apart_and_each_segmented_by_its_own(
    shared: Path, write: Write
) -> None:
    english = first_records(shared / "corpora/en_books.jsonl.gz", 40)
    chinese = first_records(shared / "corpora/zh_docs.jsonl.gz", 40)
    mixed = [record for pair in zip(english, chinese, strict=True) for record in pair]
    tokenizer = shared / "tokenizers/bert-base-chinese"
    settings = {
        "lang": "auto",
        "segmenter": "cascade",
        "stanza_dir": str(shared / "stanza_resources"),
    }
    result = build(options(write(*mixed), tokenizer, max_tokens=128, **settings), quiet=True)
    found = languages(result.metrics)
    assert found["documents-in-en"] >= 38
    assert found["documents-in-zh"] >= 36
    assert sum(found.values()) - found["documents-by-fallback"] == 80
    assert found["documents-by-fallback"] == 80 - found["documents-in-en"]
    alone = build(
        options(write(*english), tokenizer, max_tokens=128, **settings), quiet=True
    ).metrics["sentences"]
    rules = build(
        options(write(*chinese), tokenizer, max_tokens=128, lang="zh"), quiet=True
    ).metrics["sentences"]
    assert result.metrics["sentences"] == alone + rules
