"""The Flex Template's metadata says what the code says, and lets through what a build takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from noisebeam.deploy.dataflow.metadata import template_metadata
from noisebeam.pipeline.builder.options import build_settings

COMMITTED = Path(__file__).parents[3] / "deploy/dataflow/metadata.json"
PARAMETERS = {parameter["name"]: parameter for parameter in template_metadata()["parameters"]}


def test_the_committed_file_is_what_the_code_gives() -> None:
    command = "python -m noisebeam.deploy.dataflow.metadata > deploy/dataflow/metadata.json"
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == template_metadata(), (
        f"run {command}"
    )


def test_every_setting_is_a_parameter_with_the_help_of_its_flag() -> None:
    settings = build_settings()
    for name, (setting, _) in settings.items():
        assert PARAMETERS[name]["helpText"].startswith(setting.help)
    assert list(PARAMETERS) == list(settings)
    assert [name for name, parameter in PARAMETERS.items() if not parameter["isOptional"]] == [
        "input",
        "tokenizer",
        "output",
    ]


@pytest.mark.parametrize(
    "name", [name for name, parameter in PARAMETERS.items() if "defaultValue" in parameter]
)
def test_a_default_fits_its_pattern(name: str) -> None:
    assert matches(name, PARAMETERS[name]["defaultValue"])


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        (
            "input",
            ["gs://a/*.jsonl.gz", "gs://a/x s3://b/[0-9].txt"],
            ["corpus/*.jsonl", "gs://a b", ""],
        ),
        ("output", ["gs://bucket/shards"], ["/tmp/shards", "gs://a gs://b", ""]),
        ("tokenizer", ["facebook/bart-base", "gs://a/tokenizer"], ["", "a b"]),
        ("segmenter", ["sentencex", "my.package:factory"], ["", "sentence x"]),
        ("lang", ["en", "zh-hans"], ["e", "english?"]),
        ("max_tokens", ["512"], ["0x20", "-1", "many", ""]),
        ("max_bad_fraction", ["0.01", "1", ".5", "1e-3"], ["1%", "-0.1", ""]),
        ("overwrite", ["true", "false"], ["yes", "True", "1"]),
    ],
)
def test_patterns(name: str, right: list[str], wrong: list[str]) -> None:
    assert [value for value in right if not matches(name, value)] == []
    assert [value for value in wrong if matches(name, value)] == []


def matches(name: str, value: str) -> bool:
    return all(re.search(pattern, value) for pattern in PARAMETERS[name]["regexes"])


def test_it_has_the_form_that_dataflow_reads() -> None:
    dataflow = pytest.importorskip("google.cloud.dataflow_v1beta3")
    metadata = dataflow.TemplateMetadata.from_json(COMMITTED.read_text(encoding="utf-8"))
    assert metadata.name == "Noisebeam"
    by_name = {parameter.name: parameter for parameter in metadata.parameters}
    assert by_name["overwrite"].param_type.name == "BOOLEAN"
    assert by_name["max_tokens"].default_value == "512"
