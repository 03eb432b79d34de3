"""Builds from the command line: the same bytes however they run, bad input told and kept."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from noisebeam.pipeline.cli import main
from noisebeam.pipeline.inspect.verify import verify
from noisebeam.transforms.output.manifest import read_manifest

Build = Callable[..., int]
TWO_WORKERS = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


def checksums(output: Path) -> dict[str, str]:
    """SHA-256 of every file of a build."""
    files = sorted(path for path in output.rglob("*") if path.is_file())
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def lines_of(corpus: Path) -> list[str]:
    return (corpus / "corpus.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)


def test_a_build_is_whole_and_verified(
    build: Build, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(corpus / "corpus.jsonl", flags=("--recipe", "bart", "--num-shards", "3")) == 0
    manifest = read_manifest(str(tmp_path / "out"))
    assert manifest.counts["documents"] == 20
    assert manifest.counts["samples"] == sum(shard.samples for shard in manifest.shards)
    assert manifest.baked
    assert verify(str(tmp_path / "out")) == []
    assert main(["verify", str(tmp_path / "out")]) == 0
    assert "no difference found" in capsys.readouterr().out


def test_input_order_and_splitting_change_no_byte(
    build: Build, corpus: Path, tmp_path: Path
) -> None:
    lines = lines_of(corpus)
    with gzip.open(tmp_path / "a.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(lines[15:])
    (tmp_path / "b.jsonl").write_text("".join(reversed(lines[:15])), encoding="utf-8")
    flags = ("--recipe", "bart", "--num-shards", "3")
    assert build(corpus / "corpus.jsonl", output=tmp_path / "one", flags=flags) == 0
    assert build(tmp_path / "b.jsonl", tmp_path / "*.gz", output=tmp_path / "two", flags=flags) == 0
    assert checksums(tmp_path / "one") == checksums(tmp_path / "two")


def test_two_worker_processes_write_the_bytes_of_one(
    build: Build, corpus: Path, tmp_path: Path
) -> None:
    flags = ("--recipe", "bart", "--num-shards", "3")
    assert build(corpus / "corpus.jsonl", output=tmp_path / "one", flags=flags) == 0
    assert (
        build(corpus / "corpus.jsonl", output=tmp_path / "two", flags=(*flags, *TWO_WORKERS)) == 0
    )
    assert checksums(tmp_path / "one") == checksums(tmp_path / "two")


def test_repeated_bundles_change_no_byte(build: Build, corpus: Path, tmp_path: Path) -> None:
    assert build(corpus / "corpus.jsonl", output=tmp_path / "one") == 0
    assert (
        build(
            corpus / "corpus.jsonl",
            output=tmp_path / "two",
            flags=("--direct_runner_bundle_repeat=1",),
        )
        == 0
    )
    assert checksums(tmp_path / "one") == checksums(tmp_path / "two")


def test_identical_documents_are_dropped_and_counted(
    build: Build, corpus: Path, tmp_path: Path
) -> None:
    lines = lines_of(corpus)
    (tmp_path / "copies-1.jsonl").write_text("".join([*lines, *lines[:4] * 30]), encoding="utf-8")
    (tmp_path / "copies-2.jsonl").write_text("".join(lines[5:1:-1] * 10), encoding="utf-8")
    assert build(corpus / "corpus.jsonl", output=tmp_path / "once") == 0
    runs = {"one": (), "repeated": ("--direct_runner_bundle_repeat=1",), "two": TWO_WORKERS}
    for name, flags in runs.items():
        assert build(tmp_path / "copies-*.jsonl", output=tmp_path / name, flags=flags) == 0
    once, copies = (read_manifest(str(tmp_path / name)) for name in ("once", "one"))
    assert copies.counts["duplicate_documents"] == 160
    assert [shard.sha256 for shard in copies.shards] == [shard.sha256 for shard in once.shards]
    assert (
        checksums(tmp_path / "one")
        == checksums(tmp_path / "repeated")
        == checksums(tmp_path / "two")
    )


def test_one_text_in_two_languages_is_the_same_document_in_any_order(
    build: Build, tmp_path: Path
) -> None:
    """Their sentences end elsewhere, and so do windows."""
    text = "Das ist am 3. Mai gewesen, sagt Dr. Klein. " * 60
    lines = [json.dumps({"id": "a", "text": text, "lang": lang}) + "\n" for lang in ("en", "de")]
    (tmp_path / "one.jsonl").write_text("".join(lines * 20))
    (tmp_path / "two.jsonl").write_text("".join(lines[::-1]))
    for name in ("one", "two"):
        flags = ("--lang-field", "lang", "--num-shards", "1")
        assert build(tmp_path / f"{name}.jsonl", output=tmp_path / name, flags=flags) == 0
    one, two = (read_manifest(str(tmp_path / name)) for name in ("one", "two"))
    assert (one.counts["duplicate_documents"], two.counts["duplicate_documents"]) == (39, 1)
    assert one.shards[0].sha256 == two.shards[0].sha256


def test_windows_slide_by_sentences(build: Build, tmp_path: Path) -> None:
    sentences = [f"This is sentence number {i}." for i in range(6)]
    (tmp_path / "six.jsonl").write_text(
        json.dumps({"id": "six", "text": " ".join(sentences)}) + "\n"
    )
    assert build(tmp_path / "six.jsonl", flags=("--window-sentences", "3", "--stride", "1")) == 0
    assert read_manifest(str(tmp_path / "out")).counts["samples"] == 4


def test_a_finished_build_is_replaced_only_on_request(
    build: Build, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(corpus / "corpus.jsonl", flags=("--num-shards", "4")) == 0
    before = checksums(tmp_path / "out")
    assert build(corpus / "corpus.jsonl") == 2
    assert (
        "holds a finished build: give another --output, or --overwrite to replace it"
        in capsys.readouterr().err
    )
    assert checksums(tmp_path / "out") == before
    assert build(corpus / "corpus.jsonl", flags=("--num-shards", "2", "--overwrite")) == 0
    names = [path.name for path in (tmp_path / "out").glob("shard-*")]
    assert sorted(names) == [
        f"shard-{i:05d}-of-00002.{end}" for i in (0, 1) for end in ("index.npz", "tar")
    ]
    assert verify(str(tmp_path / "out")) == []


def test_a_failed_rebuild_leaves_no_finished_looking_output(
    build: Build, corpus: Path, tmp_path: Path
) -> None:
    assert build(corpus / "corpus.jsonl") == 0
    (tmp_path / "bad.jsonl").write_text("nothing\n")
    assert build(tmp_path / "bad.jsonl", flags=("--overwrite",)) == 1
    assert not (tmp_path / "out/manifest.json").exists()
    assert build(corpus / "corpus.jsonl") == 0
    assert verify(str(tmp_path / "out")) == []


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--max-tokens", "5"), "max_tokens: expected at least 32, got 5"),
        (("--stride", "2"), "stride: got 2 without window_sentences; give both or neither"),
        (("--num-shards", "0"), "num_shards: expected 1 to 999999, got 0"),
        (("--max-bad-fraction", "3"), "max_bad_fraction: expected 0 to 1, got 3.0"),
        (("--seed", "-1"), "seed: expected 0 to 2**63 - 1, got -1"),
        (("--segmenter", "perl"), "'perl'"),
        (("--format", "xml"), "'xml'"),
        (("--recipe", "brat"), "'brat'"),
        (("--max-token=5",), "unknown flag --max-token: did you mean --max-tokens?"),
        (("--input", "absent/*.jsonl"), "absent/*.jsonl"),
    ],
)
def test_a_nonsensical_setting_is_one_line_and_status_2(
    build: Build,
    corpus: Path,
    tmp_path: Path,
    flags: tuple[str, ...],
    text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert build(corpus / "corpus.jsonl", flags=flags) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.startswith("noisebeam: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "out/manifest.json").exists()


def test_an_unreadable_tokenizer_is_one_line_and_status_2(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer/tokenizer.json").write_text("{broken")
    flags = ["--output", str(tmp_path / "out"), "--tokenizer", str(tmp_path / "tokenizer")]
    assert main(["build", "--input", str(corpus / "corpus.jsonl"), *flags]) == 2
    assert capsys.readouterr().err.startswith(
        f"noisebeam: tokenizer '{tmp_path / 'tokenizer'}': its files cannot be read"
    )


def test_an_unwritable_output_is_one_line_and_status_2(
    build: Build, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert build(corpus / "corpus.jsonl", output=tmp_path / "file/out") == 2
    error = capsys.readouterr().err
    assert f"cannot write to {tmp_path / 'file/out'}: " in error
    assert error.count("\n") == 1


def test_settings_come_from_a_yaml_file_and_flags_go_before_it(
    corpus: Path, tokenizer: str, tmp_path: Path
) -> None:
    settings = tmp_path / "build.yaml"
    settings.write_text(
        f"input: {corpus / 'corpus.jsonl'}\noutput: {tmp_path / 'out'}\ntokenizer: {tokenizer}\n"
        "max_tokens: 64\nseed: 3\nnum_shards: 2\n"
    )
    assert main(["build", "--config", str(settings), "--seed", "4"]) == 0
    manifest = read_manifest(str(tmp_path / "out"))
    assert (manifest.max_tokens, manifest.seed, len(manifest.shards)) == (64, 4, 2)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("max_token: 5\n", "unknown setting 'max_token'; did you mean 'max_tokens'?"),
        ("max_tokens: many\n", "max_tokens: expected int, got 'many'"),
        ("input: 5\n", "input: expected"),
        ("- a list\n", "expected settings by name, got list"),
        ("a: [b\n", "not YAML"),
        (
            "seed: 1\n",
            "--input, --tokenizer, --output: missing; give it as a flag or in the --config file",
        ),
    ],
)
def test_a_wrong_settings_file_is_told(
    text: str, error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "build.yaml").write_text(text)
    assert main(["build", "--config", str(tmp_path / "build.yaml")]) == 2
    assert error in capsys.readouterr().err


@pytest.mark.slow
def test_huge_documents_are_built_whole(build: Build, tmp_path: Path) -> None:
    sentence = "The quick brown fox jumps over the lazy dog and runs away. "
    huge = sentence * (20_000_000 // len(sentence))
    unpunctuated = "word " * 2_000_000
    unspaced = "x" * 1_000_000
    documents = {"huge": huge, "unpunctuated": unpunctuated, "unspaced": unspaced}
    lines = (json.dumps({"id": name, "text": text}) + "\n" for name, text in documents.items())
    (tmp_path / "huge.jsonl").write_text("".join(lines))
    assert build(tmp_path / "huge.jsonl") == 0
    manifest = read_manifest(str(tmp_path / "out"))
    assert manifest.counts["documents"] == 3
    assert manifest.counts["dead_letters"] == 0
    assert verify(str(tmp_path / "out")) == []


def test_an_error_after_the_manifest_was_written_is_told_and_the_build_is_finished(
    build: Build,
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert build(corpus / "corpus.jsonl", output=tmp_path / "expected") == 0
    capsys.readouterr()

    def lose(runner: object, result: object, options: object) -> bool:
        raise RuntimeError("lost")

    monkeypatch.setattr("noisebeam.pipeline.builder.direct_runner.DirectRunner.wait", lose)
    assert build(corpus / "corpus.jsonl") == 0
    assert "noisebeam: the build was finished when this happened: lost\n" in capsys.readouterr().err
    assert checksums(tmp_path / "out") == checksums(tmp_path / "expected")


def test_an_error_is_one_also_beside_the_manifest_of_another_build(
    build: Build,
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (
        build(corpus / "corpus.jsonl", output=tmp_path / "other", flags=("--recipe", "bart")) == 0
    )
    manifest = (tmp_path / "other" / "manifest.json").read_bytes()

    def lose(runner: object, result: object, options: object) -> bool:
        (tmp_path / "out" / "manifest.json").write_bytes(manifest)
        raise RuntimeError("lost")

    monkeypatch.setattr("noisebeam.pipeline.builder.direct_runner.DirectRunner.wait", lose)
    assert build(corpus / "corpus.jsonl") == 1
    assert capsys.readouterr().err.endswith("noisebeam: lost\n")
