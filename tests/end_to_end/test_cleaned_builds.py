"""Builds that clean their documents: each step counted, the same bytes in any order and with any
number of workers.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from noisebeam.pipeline.cli import main
from noisebeam.pipeline.inspect.verify import verify
from noisebeam.transforms.output.manifest import Manifest, read_manifest

CLEANING = (
    "--normalize",
    "--remove-controls",
    "--min-chars",
    "20",
    "--max-chars",
    "50000",
    "--near-duplicates",
    "0.8",
)
TWO_WORKERS = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


def build(tokenizer: str, corpus: Path, output: Path, *flags: str) -> int:
    places = ("--input", str(corpus), "--output", str(output), "--tokenizer", tokenizer)
    return main(["build", *places, "--max-tokens", "128", "--num-shards", "2", *flags])


def built(tokenizer: str, corpus: Path, output: Path, *flags: str) -> Manifest:
    assert build(tokenizer, corpus, output, *flags) == 0
    assert verify(str(output)) == []
    return read_manifest(str(output))


def write(path: Path, documents: list[tuple[str, str]]) -> Path:
    path.write_text(
        "".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in documents)
    )
    return path


def key(name: str, text: str) -> bytes:
    """Of documents that are nearly the same, the one with the smallest is kept."""
    return hashlib.blake2b(f"{name}\0{text}".encode(), digest_size=16).digest()


def nearly(text: str) -> str:
    words = text.split(" ")
    return " ".join("changed" if i % 200 == 100 else word for i, word in enumerate(words))


@pytest.fixture(scope="session")
def dirty(topics: dict[str, str]) -> list[tuple[str, str]]:
    """Ten topics; copies of four; near copies of others and of one of these; six of other lengths;
    a record twice.
    """
    named = sorted(topics.items(), key=lambda topic: -len(topic[1]))[30:40]
    copies = [(f"copy of {name}", text) for name, text in named[:4]]
    near = [(f"near {name}", nearly(text)) for name, text in named[4:7]]
    near_copies = [(f"near copy {i}", nearly(named[0][1])) for i in range(2)]
    short = [(f"short {i}", "Too short.\x01") for i in range(5)]
    mended = [
        ("accent", "Cafe\u0301s are open and people drink coffee there."),
        ("bell", "A bell \x07rings in the tower."),
    ]
    return named + copies + near + near_copies + short + mended + [("long", "x" * 50_001), named[9]]


def checksums(output: Path) -> dict[str, str]:
    files = sorted(path for path in output.rglob("*") if path.is_file())
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_what_is_cleaned_is_counted_in_manifest_and_summary(
    tokenizer: str, dirty: list[tuple[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = built(tokenizer, write(tmp_path / "a.jsonl", dirty), tmp_path / "out", *CLEANING)
    counts = dict(manifest.counts)
    assert counts["documents"] == 12
    assert counts["dead_letters"] == 0
    cleaned = {
        name: counts[name]
        for name in counts
        if name.startswith(("dropped", "normal", "documents_"))
    }
    assert cleaned == {
        "normalized_documents": 1,
        "documents_without_controls": 6,
        "dropped_short": 5,
        "dropped_long": 1,
        # four copies, one of two equal near copies, one record that is there twice
        "dropped_duplicates": 6,
        "dropped_near_duplicates": 4,
    }
    assert len(dirty) == counts["documents"] + sum(
        counts[name] for name in counts if name.startswith("dropped")
    )
    told = capsys.readouterr().out
    assert (
        "1 documents brought to NFC\n6 documents freed of control characters\n5 too short "
        "documents dropped\n" in told
    )
    assert (
        "6 documents with the text of another dropped\n4 documents with nearly the text of another "
        "dropped\n" in told
    )


@pytest.mark.slow
def test_order_and_workers_change_no_byte_of_a_cleaned_build(
    tokenizer: str, dirty: list[tuple[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    one = built(tokenizer, write(tmp_path / "a.jsonl", dirty), tmp_path / "one", *CLEANING)
    half = len(dirty) // 2
    write(tmp_path / "b/1.jsonl", dirty[:half:-1])
    write(tmp_path / "b/2.jsonl", dirty[half::-1])
    two = built(tokenizer, tmp_path / "b/*.jsonl", tmp_path / "two", *CLEANING, *TWO_WORKERS)
    assert one.counts == two.counts
    assert checksums(tmp_path / "one") == checksums(tmp_path / "two")


@pytest.mark.slow
def test_counts_are_the_same_wherever_copies_of_a_near_duplicate_lie(
    tokenizer: str, dirty: list[tuple[str, str]], tmp_path: Path
) -> None:
    text = dirty[0][1]
    one, near = sorted((("one", text), ("near", nearly(text))), key=lambda document: key(*document))
    write(tmp_path / "together.jsonl", [one, near, near, near])
    for i, documents in enumerate([[near], [one, near], [near]]):
        write(tmp_path / f"apart-{i}.jsonl", documents)
    flags = ("--near-duplicates", "0.8", *TWO_WORKERS)
    together, apart = (
        built(tokenizer, tmp_path / f"{name}*", tmp_path / name, *flags)
        for name in ("together", "apart")
    )
    assert together.counts == apart.counts
    assert (apart.counts["dropped_duplicates"], apart.counts["dropped_near_duplicates"]) == (2, 1)


def test_copies_are_dropped_and_without_the_flag_they_stay(
    tokenizer: str, dirty: list[tuple[str, str]], tmp_path: Path
) -> None:
    corpus = write(tmp_path / "a.jsonl", dirty[:14])
    manifest = built(tokenizer, corpus, tmp_path / "all")
    assert (manifest.counts["documents"], manifest.counts.get("dropped_duplicates")) == (14, None)
    manifest = built(tokenizer, corpus, tmp_path / "unique", "--drop-duplicates")
    assert (manifest.counts["documents"], manifest.counts["dropped_duplicates"]) == (10, 4)


def test_a_build_whose_documents_are_all_dropped_fails_and_says_so(
    tokenizer: str, dirty: list[tuple[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = write(tmp_path / "a.jsonl", dirty[:3])
    assert build(tokenizer, corpus, tmp_path / "out", "--keep-langs", "de", "fr") == 1
    assert "no document is left: cleaning dropped all 3; drop less" in capsys.readouterr().err
    assert not (tmp_path / "out/manifest.json").exists()


def test_languages_are_kept_by_what_is_detected(tokenizer: str, tmp_path: Path) -> None:
    texts = {
        "en": "The cat sleeps on the mat, and nobody in the house minds.",
        "de": "Die Katze schläft auf der Matte, und niemand im Haus stört sich daran.",
        "zh": "猫在垫子上睡觉，家里没有人介意。",
    }
    corpus = write(tmp_path / "a.jsonl", list(texts.items()))
    manifest = built(
        tokenizer, corpus, tmp_path / "out", "--lang", "auto", "--keep-langs", "en", "zh"
    )
    assert (manifest.counts["documents"], manifest.counts["dropped_languages"]) == (2, 1)
