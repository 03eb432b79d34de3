"""A template's parameters as flags."""

from __future__ import annotations

import pytest

from noisebeam.deploy.dataflow.launch import launch, to_flags
from noisebeam.pipeline import cli


def test_parameters_become_the_flags_that_a_build_reads() -> None:
    arguments = [
        "--input=gs://a/x  gs://a/y",
        "--output=gs://a/out",
        "--tokenizer=gs://a/t",
        "--window_sentences=3",
    ]
    known, others = cli._parser().parse_known_args(
        ["build", *to_flags([*arguments, "--project=p", "--no_auth"])]
    )
    assert known.input == ["gs://a/x", "gs://a/y"]
    assert (known.output, known.tokenizer, known.window_sentences) == ("gs://a/out", "gs://a/t", 3)
    assert others == ["--project=p", "--no_auth"]


@pytest.mark.parametrize(
    ("value", "flags"),
    [("true", ["--overwrite"]), ("false", []), ("", []), ("True", ["--overwrite"])],
)
def test_a_switch_has_a_value(value: str, flags: list[str]) -> None:
    assert to_flags([f"--overwrite={value}"]) == flags


def test_a_switch_of_another_value_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert launch(["--overwrite=yes"]) == 2
    assert capsys.readouterr().err == "noisebeam: overwrite: expected true or false, got 'yes'\n"


def test_workers_run_in_the_launchers_own_image(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(
        "noisebeam.deploy.dataflow.launch.main", lambda flags: seen.append(list(flags)) or 0
    )
    monkeypatch.setenv("NOISEBEAM_IMAGE", "registry/noisebeam:1")
    launch(["--seed=1"])
    launch(["--seed=1", "--sdk_container_image=registry/other:2"])
    assert seen == [
        ["build", "--seed", "1", "--sdk_container_image=registry/noisebeam:1"],
        ["build", "--seed", "1", "--sdk_container_image=registry/other:2"],
    ]
