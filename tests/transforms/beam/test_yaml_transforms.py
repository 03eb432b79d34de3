"""A Beam YAML pipeline of the transforms that the provider file offers writes the shards of
`noisebeam build`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import noisebeam.transforms.beam
from noisebeam.transforms.beam import yaml_transforms as rows
from noisebeam.transforms.output.manifest import read_manifest

PROVIDER = Path(noisebeam.transforms.beam.__file__).with_name("provider.yaml")
TEXT = "It rains today. We stay at home, and nobody minds. The cat sleeps. "

PIPELINE = """
pipeline:
  transforms:
    - type: ReadDocuments
      config: {input: ["{folder}/*.jsonl"]}
    - type: DetectLanguages
      input: ReadDocuments.documents
    - type: CleanDocuments
      input: DetectLanguages.documents
      config: {normalize: true, drop_duplicates: true}
    - type: SegmentSentences
      input: CleanDocuments.documents
    - type: BuildWindows
      input: SegmentSentences.sentences
      config: {tokenizer: "{tokenizer}", max_tokens: 32, append_eos: true, add_tokens: ["[R]"]}
    - type: EncodeWindows
      input: BuildWindows.windows
      config: {tokenizer: "{tokenizer}", add_tokens: ["[R]"]}
    - type: ApplyNoise
      input: EncodeWindows
      config: {recipe: bart, tokenizer: "{tokenizer}", seed: 7, add_tokens: ["[R]"]}
    - type: WriteShards
      input:
        samples: ApplyNoise
        counts: CleanDocuments.counts
        unread: ReadDocuments.dead_letters
        undetected: DetectLanguages.dead_letters
        uncleaned: CleanDocuments.dead_letters
        unsegmented: SegmentSentences.dead_letters
        unencoded: BuildWindows.dead_letters
      config:
        {output: "{output}", tokenizer: "{tokenizer}", seed: 7, recipe: bart, max_tokens: 32,
         num_shards: 3,
         max_bad_fraction: 0.5, append_eos: true, add_tokens: ["[R]"], held_out: 0.3,
         samples_per_member: 8}
    - type: WriteToJson
      input: WriteShards
      config: {path: "{folder}/written"}
providers:
  - include: "{provider}"
"""


def run_yaml(text: str, folder: Path, **places: object) -> None:
    """Run a pipeline as users do, in a process of its own."""
    for name, place in {"provider": PROVIDER, "folder": folder, **places}.items():
        text = text.replace(f"{{{name}}}", str(place))
    (folder / "pipeline.yaml").write_text(text)
    command = [
        sys.executable,
        "-m",
        "apache_beam.yaml.main",
        f"--yaml_pipeline_file={folder / 'pipeline.yaml'}",
    ]
    done = subprocess.run(
        [*command, "--runner=FnApiRunner"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Documents of several windows, a copy of one, one without an id, and one bad record."""
    records = [{"id": f"document {i}", "text": TEXT * (i % 5 + 1) + str(i)} for i in range(20)]
    copy = {"id": "a copy", "text": records[0]["text"]}
    lines = [*map(json.dumps, [*records, copy]), json.dumps({"text": TEXT}), "no JSON"]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
    return tmp_path


@pytest.mark.slow
def test_a_yaml_pipeline_writes_the_shards_of_a_build(corpus: Path, tokenizer: str) -> None:
    pytest.importorskip(
        "apache_beam.yaml.yaml_transform", reason="Beam YAML needs apache-beam[yaml]"
    )
    run_yaml(PIPELINE, corpus, tokenizer=tokenizer, output=corpus / "yaml")
    build = (
        sys.executable,
        "-m",
        "noisebeam.pipeline.cli",
        "build",
        "--input",
        f"{corpus}/*.jsonl",
        "--output",
    )
    sizes = (
        "--max-tokens",
        "32",
        "--num-shards",
        "3",
        "--recipe",
        "bart",
        "--seed",
        "7",
        "--max-bad-fraction",
        "0.5",
    )
    cleaning = ("--lang", "auto", "--normalize", "--drop-duplicates")
    kinds = (
        "--append-eos",
        "--add-tokens",
        "[R]",
        "--held-out",
        "0.3",
        "--samples-per-member",
        "8",
    )
    flags = (*sizes, *cleaning, *kinds)
    subprocess.run(
        [*build, f"{corpus}/build", "--tokenizer", tokenizer, *flags], check=True, timeout=300
    )
    ours, theirs = (read_manifest(str(corpus / name)) for name in ("build", "yaml"))
    assert len(ours.shards) == 3
    assert theirs.shards == ours.shards
    assert theirs.counts == ours.counts
    assert ours.counts["dropped_duplicates"] == 1
    assert any(shard.held_out for shard in ours.shards)
    assert "[R]" in ours.vocabulary["special_tokens"]
    assert (theirs.recipe, theirs.fields, theirs.vocabulary) == (
        ours.recipe,
        ours.fields,
        ours.vocabulary,
    )
    assert theirs.settings == {name: ours.settings[name] for name in ("append_eos", "held_out")}
    assert [path.read_text() for path in (corpus / "yaml/dead_letters").iterdir()] == [
        path.read_text() for path in (corpus / "build/dead_letters").iterdir()
    ]
    (written,) = corpus.glob("written*")
    row = json.loads(written.read_text())
    assert row == {
        "manifest": f"{corpus}/yaml/manifest.json",
        "samples": ours.samples,
        "tokens": ours.tokens,
    }


def test_plugins_are_named_by_group_and_name(tokenizer: str, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"expected entry points such as .noisebeam\.segmenters: NAME., got .x."
    ):
        rows.WriteShards(str(tmp_path), tokenizer, seed=7, plugins=["x"])


def test_the_provider_names_every_transform() -> None:
    (provider,) = yaml.safe_load(PROVIDER.read_text())
    assert sorted(provider["transforms"]) == noisebeam.transforms.beam.__all__
