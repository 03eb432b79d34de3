"""Runners of builds, found by entry point: what each needs before, while and after a build runs.

A package adds a runner by its name in Beam's `--runner` flag:

    [project.entry-points."noisebeam.runners"]
    MyRunner = "my_package:MyRunner"    # called without arguments: a Runner

Runners without an entry point, such as PrismRunner, are created by Beam and need nothing else.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, cast

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions, WorkerOptions
from apache_beam.runners.runner import create_runner

from noisebeam.pipeline.builder.options import BuildOptions
from noisebeam.transforms.plugins import PluginError, load_plugin, plugin_names, plugin_origin

RUNNERS = "noisebeam.runners"  # the group of entry points
DEFAULT_RUNNER = "DirectRunner"


class Runner(Protocol):
    """Protocol of a runner of builds, such as Spark or Dataflow."""

    def prepare(
        self, options: BuildOptions, beam_options: PipelineOptions
    ) -> AbstractContextManager[Any]:
        """Return a context manager that is entered before the pipeline is made.

        It starts what the build needs, sets what `beam_options` leave open, and yields Beam's
        runner; at the end it stops what it started. Raises SettingsError or OSError, in one line,
        if something is missing.
        """
        ...

    def wait(self, result: Any, beam_options: PipelineOptions) -> bool:
        """Wait for the end of the pipeline whose `run` returned `result`; return False if the flags
        say not to wait.
        """
        ...

    def is_local(self, beam_options: PipelineOptions) -> bool:
        """Return whether the workers are processes of this machine, which can report their
        progress.
        """
        ...


class BeamRunner:
    """Runner that Beam creates by its name and that needs nothing else; also the base class of
    other runners.
    """

    @contextmanager
    def prepare(self, options: BuildOptions, beam_options: PipelineOptions) -> Iterator[Any]:
        """Yield the Beam runner that the flag `--runner` names."""
        yield create_runner(beam_options.view_as(StandardOptions).runner)

    def wait(self, result: Any, beam_options: PipelineOptions) -> bool:
        """Wait for the end of the pipeline whose `run` returned `result`, and return True."""
        result.wait_until_finish()
        return True

    def is_local(self, beam_options: PipelineOptions) -> bool:
        """Return False, since nothing is known of the workers."""
        return False


def find_runner(beam_options: PipelineOptions) -> Runner:
    """Return the runner that the flag `--runner` names; without the flag the DirectRunner.

    A name without an entry point is a runner of Beam's own. Raises PluginError if an entry point is
    not a runner.
    """
    name = beam_options.view_as(StandardOptions).runner or DEFAULT_RUNNER
    if name not in plugin_names(RUNNERS):
        return BeamRunner()
    runner = load_plugin(RUNNERS, name)()
    for member in ("prepare", "wait", "is_local"):
        if not callable(getattr(runner, member, None)):
            origin = plugin_origin(RUNNERS, name)
            raise PluginError(f"runner {name!r} of {origin}: expected a method {member}")
    return cast(Runner, runner)


def new_pipeline(
    beam_runner: Any = None, beam_options: PipelineOptions | None = None
) -> beam.Pipeline:
    """Return an empty Beam pipeline without the temporary folder that Beam makes for steps in other
    languages.

    No step of a build is in another language, and the folder would be left behind if the process is
    killed. `beam_runner` and `beam_options` are passed to `beam.Pipeline`.
    """
    pipeline = beam.Pipeline(runner=beam_runner, options=beam_options)
    os.rmdir(pipeline.local_tempdir)
    return pipeline


def limit_logs(beam_options: PipelineOptions, *, local: bool) -> None:
    """Set the log level of worker processes to that of this process, unless the flags set it.

    `local` is True for Python workers on this machine, False if the level is read by Java.
    """
    worker, level = beam_options.view_as(WorkerOptions), logging.getLogger().getEffectiveLevel()
    name = logging.getLevelName(level) if local else _java_level(level)
    worker.default_sdk_harness_log_level = worker.default_sdk_harness_log_level or name


def _java_level(level: int) -> str:
    """Return the name of a log level in Beam's SDK for Java, which has no WARNING and no
    CRITICAL.
    """
    limits = {logging.DEBUG: "DEBUG", logging.INFO: "INFO", logging.WARNING: "WARN"}
    return next((name for limit, name in limits.items() if level <= limit), "ERROR")
