"""The DirectRunner obeys the laws of runners; a broken runner is told which law it breaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from noisebeam.pipeline.builder import build as build_module
from noisebeam.pipeline.builder.direct_runner import DirectRunner
from noisebeam.testing import BrokenLawError
from noisebeam.testing.runners import check_runner


@pytest.mark.parametrize("flags", [[], ["--runner=FnApiRunner"], ["--direct_num_workers=2"]])
def test_runners_of_this_machine_obey_the_laws(flags: list[str], tmp_path: Path) -> None:
    check_runner(flags, folder=str(tmp_path), documents=10)
    assert not list(tmp_path.iterdir())


class Impatient(DirectRunner):
    """A runner that does not wait."""

    def wait(self, result: Any, beam_options: Any) -> bool:
        """Return before the end."""
        super().wait(result, beam_options)
        return False


class Failing(DirectRunner):
    """A runner whose job server is not there."""

    def wait(self, result: Any, beam_options: Any) -> bool:
        """Raise an error."""
        raise ConnectionError("no job server at 127.0.0.1:9")


@pytest.mark.parametrize(
    ("runner", "text"),
    [
        (
            Impatient(),
            "--runner=Mine: a build with some bad records ends: expected Manifest, got",
        ),
        (Failing(), "expected no error, got ConnectionError: no job server at 127.0.0.1:9; input"),
    ],
)
def test_a_broken_runner_is_told_its_law_in_one_line(
    runner: DirectRunner, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = build_module.find_runner
    monkeypatch.setattr(
        build_module,
        "find_runner",
        lambda options: runner if options.get_all_options()["runner"] == "Mine" else find(options),
    )
    with pytest.raises(BrokenLawError) as caught:
        check_runner(["--runner=Mine"], documents=3)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
