"""Runners are found by their entry points; a new one is a package and a line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions, WorkerOptions

from noisebeam.deploy.dataflow.runner import DataflowRunner
from noisebeam.deploy.spark.runner import SparkRunner
from noisebeam.pipeline.builder.direct_runner import DirectRunner
from noisebeam.pipeline.builder.runners import BeamRunner, find_runner, limit_logs
from noisebeam.pipeline.cli import main
from noisebeam.transforms import plugins
from noisebeam.transforms.output.manifest import read_manifest
from noisebeam.transforms.plugins import PluginError

PACKAGE = """
from noisebeam.pipeline.builder.direct_runner import DirectRunner

class LoudRunner(DirectRunner):
    def wait(self, result, beam_options):
        print("loud: waiting")
        return super().wait(result, beam_options)

class Nothing:
    pass
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package with two entry points for runners, the second of which is no runner."""
    folder = tmp_path / "site"
    info = folder / "loud_runner-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "loud_runner.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loud-runner\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[noisebeam.runners]\nLoudRunner = loud_runner:LoudRunner\nNothing = loud_runner:Nothing\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    for cached in (plugins.plugin_names, plugins.load_plugin, plugins.plugin_origin):
        cached.cache_clear()
    yield
    sys.modules.pop("loud_runner", None)
    for cached in (plugins.plugin_names, plugins.load_plugin, plugins.plugin_origin):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ([], DirectRunner),
        (["--runner=DirectRunner"], DirectRunner),
        (["--runner=FnApiRunner"], DirectRunner),
        (["--runner=SparkRunner"], SparkRunner),
        (["--runner=DataflowRunner"], DataflowRunner),
        (["--runner=PrismRunner"], BeamRunner),
    ],
)
def test_each_runner_is_found_by_its_flag(flags: list[str], kind: type) -> None:
    options = PipelineOptions(flags)
    runner = find_runner(options)
    assert type(runner) is kind
    assert runner.is_local(options) == (kind is DirectRunner)


def test_a_runner_of_another_package_runs_a_build(
    package: None,
    corpus: Path,
    tokenizer: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = str(tmp_path / "out")
    flags = ["--input", str(corpus / "corpus.jsonl"), "--output", output, "--tokenizer", tokenizer]
    assert main(["build", *flags, "--quiet", "--runner=LoudRunner"]) == 0
    assert capsys.readouterr().out == "loud: waiting\n"
    assert read_manifest(output).samples > 0


def test_an_entry_point_that_is_no_runner_is_refused(package: None) -> None:
    with pytest.raises(
        PluginError, match=r"runner 'Nothing' of loud-runner 1\.0: expected a method prepare"
    ):
        find_runner(PipelineOptions(["--runner=Nothing"]))


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (logging.DEBUG, "DEBUG"),
        (logging.INFO, "INFO"),
        (logging.WARNING, "WARN"),
        (logging.ERROR, "ERROR"),
        (logging.CRITICAL, "ERROR"),
    ],
)
def test_log_levels_have_names_that_runners_in_java_know(
    level: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "level", level)
    options = PipelineOptions([])
    limit_logs(options, local=False)
    assert options.view_as(WorkerOptions).default_sdk_harness_log_level == name
