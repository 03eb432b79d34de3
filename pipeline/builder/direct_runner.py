"""The DirectRunner: Beam's own Python runner, in this process or with Noisebeam's own worker
processes.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions

from noisebeam.pipeline.builder.options import BuildOptions
from noisebeam.pipeline.builder.runners import BeamRunner


class DirectRunner(BeamRunner):
    """Runner of builds on this machine; Beam never replaces it by a runner that it would
    download.
    """

    @contextmanager
    def prepare(self, options: BuildOptions, beam_options: PipelineOptions) -> Iterator[Any]:
        """Yield Beam's FnApiRunner, with worker processes if the flags ask for
        `multi_processing`.
        """
        yield new_fn_api_runner(beam_options)

    def is_local(self, beam_options: PipelineOptions) -> bool:
        """Return True: the workers are on this machine."""
        return True


def new_fn_api_runner(beam_options: PipelineOptions) -> Any:
    """Return Beam's FnApiRunner, set up by these pipeline options."""
    from apache_beam.portability.api import beam_provision_api_pb2
    from apache_beam.runners.portability.fn_api_runner.fn_runner import (
        ExtendedProvisionInfo,
        FnApiRunner,
    )
    from apache_beam.runners.portability.portable_runner import JobServiceHandle

    encoded = JobServiceHandle.encode_pipeline_options(beam_options.get_all_options())
    return FnApiRunner(
        default_environment=_worker_processes(beam_options),
        provision_info=ExtendedProvisionInfo(
            beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
        ),
    )


def parts_for_all(beam_options: PipelineOptions) -> int:
    """Return the number of parts of the input that keeps all workers busy; 0 for a single
    worker.
    """
    workers = beam_options.view_as(DirectOptions).direct_num_workers or os.cpu_count() or 1
    return 8 * workers if workers > 1 else 0


def _worker_processes(beam_options: PipelineOptions) -> Any:
    """Return the Beam environment that starts Noisebeam's worker processes; None if the flags do
    not ask for processes.

    Workers send their errors to this process, so their standard error is dropped unless logs are
    shown.
    """
    direct = beam_options.view_as(DirectOptions)
    if direct.direct_running_mode != "multi_processing":
        return None
    from apache_beam.transforms.environments import SubprocessSDKEnvironment

    direct.direct_running_mode = None  # otherwise Beam starts workers of its own
    # `exec` replaces the shell, so that the parent of a worker is this process.
    module = f"noisebeam.pipeline.builder.direct_worker {os.getpid()}"
    command = f"exec {shlex.quote(sys.executable)} -m {module}"
    quiet = not logging.getLogger().isEnabledFor(logging.CRITICAL - 1)
    return SubprocessSDKEnvironment.from_command_string(
        f"{command} 2>{os.devnull}" if quiet else command
    )
