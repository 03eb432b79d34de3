"""A build from start to end: plan it, run its pipeline, and read the result."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from noisebeam.pipeline.builder.direct_runner import parts_for_all
from noisebeam.pipeline.builder.options import BuildOptions
from noisebeam.pipeline.builder.plan import assemble, prepare
from noisebeam.pipeline.builder.progress import show_progress
from noisebeam.pipeline.builder.result import BuildResult, Distribution
from noisebeam.pipeline.builder.runners import find_runner, limit_logs, new_pipeline
from noisebeam.transforms.errors import one_line
from noisebeam.transforms.output.folder import OutputFolder
from noisebeam.transforms.printable import printable
from noisebeam.transforms.segmenters.segmenters import language_note

_log = logging.getLogger(__name__)


def build(
    options: BuildOptions, beam_flags: Sequence[str] = (), quiet: bool = False
) -> BuildResult:
    """Run a build and return its result; wait for its end, unless the flags of the runner say not
    to wait.

    `options` are the settings of the build, `beam_flags` the command-line flags for Beam. Unless
    `quiet` is True, the progress of a build on this machine is shown on standard error. A build
    whose manifest is written is finished: an error of the runner after that (a job server that
    crashes, a connection that breaks) is printed, and does not fail the build.

    Raises ValueError or OSError, in one line, if the settings, the input, the tokenizer or the
    output are wrong, and TooManyBadRecordsError if the input is mostly bad records.
    """
    began = time.monotonic()
    beam_options = PipelineOptions(list(beam_flags))
    runner, output = find_runner(beam_options), OutputFolder(options.output.url)
    local = runner.is_local(beam_options)
    limit_logs(beam_options, local=local)
    with ExitStack() as stack:
        beam_runner = stack.enter_context(runner.prepare(options, beam_options))
        pipeline = new_pipeline(beam_runner, beam_options)
        plan = prepare(options)
        if (note := language_note(options.segmentation)) and not quiet:
            print(f"noisebeam: {note}", file=sys.stderr)
        progress = None
        if local:
            plan.read.parts_for_all = parts_for_all(beam_options)
            read_first = plan.read.spreads_documents and not options.cleaning.drops
            progress = stack.enter_context(show_progress(read_first, quiet))
        assemble(pipeline, plan, progress)
        try:
            result = pipeline.run()
            if not runner.wait(result, beam_options):
                return BuildResult(None, {})
            counters, distributions = _counters(result), _distributions(result)
        except Exception as error:
            if not output.is_finished(plan.header):
                raise
            _log.info("after the manifest was written:", exc_info=True)
            message = f"the build was finished when this happened: {one_line(error)}"
            print(f"noisebeam: {printable(message)}", file=sys.stderr)
            counters, distributions = {}, {}
    return BuildResult(output.read_outcome(), counters, distributions, time.monotonic() - began)


def _counters(result: Any) -> dict[str, int]:
    """Return the counters of a pipeline result, by name."""
    return {name: int(value) for name, value in _metrics(result, "counters")}


def _distributions(result: Any) -> dict[str, Distribution]:
    """Return the distributions (sum, count, minimum, maximum) of a pipeline result, by name."""
    return {
        name: Distribution(
            *(int(number) for number in (value.sum, value.count, value.min, value.max))
        )
        for name, value in _metrics(result, "distributions")
    }


def _metrics(result: Any, kind: str) -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of each metric of Noisebeam in a pipeline result.

    `kind` is "counters" or "distributions".
    """
    for metric in result.metrics().query().get(kind, []):
        if metric.key.metric.namespace == "noisebeam" and metric.result is not None:
            yield metric.key.metric.name, metric.result
