"""A build from start to end: check everything, assemble the pipeline, run it, say how it ended."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from noisebeam.pipeline.builder.fingerprint import identity
from noisebeam.pipeline.builder.options import BuildOptions
from noisebeam.pipeline.builder.preflight import TooManyBadRecordsError, probe_input
from noisebeam.pipeline.builder.progress import (
    TrackProgress,
    count_dead_letters,
    count_read,
    count_samples,
    count_segmented,
    show_progress,
)
from noisebeam.pipeline.builder.runners import (
    is_local,
    new_pipeline,
    new_runner,
    parts_for_all,
    quieten,
    runner_ready,
    wait,
)
from noisebeam.transforms.beam import (
    ApplyNoise,
    BuildWindows,
    CleanDocuments,
    DetectLanguages,
    EncodeWindows,
    ReadDocuments,
    SegmentSentences,
    WriteShards,
)
from noisebeam.transforms.cleaning.cleaning import CleaningOptions
from noisebeam.transforms.cleaning.language_detection import check_detector
from noisebeam.transforms.cleaning.near_duplicates import check_minhash
from noisebeam.transforms.errors import one_line
from noisebeam.transforms.noise import Recipe, check_recipe, load_recipe
from noisebeam.transforms.output.finish import Failure, fail_build, is_finished, read_failure
from noisebeam.transforms.output.manifest import Manifest, read_manifest
from noisebeam.transforms.output.prepare import check_replaceable, plan_manifest, start_output
from noisebeam.transforms.output.resume import Begun, find_begun
from noisebeam.transforms.plugins import CORRUPTIONS, FORMATS, SEGMENTERS, plugin_origin
from noisebeam.transforms.segmenters.segmenters import language_note, prepare_segmenter
from noisebeam.transforms.tokenization.tokenizer import LoadedTokenizer, load_tokenizer

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuildResult:
    """How a build ended (None: nobody waits for it); `metrics` are Beam's counters, if the runner
    gives any.
    """

    outcome: Manifest | Failure | None
    metrics: Mapping[str, int]
    distributions: Mapping[str, Distribution] = field(default_factory=dict)
    seconds: float | None = None  # from start to end


@dataclass(frozen=True)
class Distribution:
    """What is known of many numbers."""

    sum: int
    count: int
    least: int
    greatest: int


def build(
    options: BuildOptions, beam_flags: Sequence[str] = (), quiet: bool = False
) -> BuildResult:
    """Run the build and wait for its end; not on Dataflow with `--no_wait_until_finish` or from a
    template.

    Unless `quiet`, show on standard error how far a build on this machine is. A build whose
    manifest is written is finished: a runner that is lost after that (a job server that crashes, a
    connection that breaks) is told, no more.

    Raises ValueError or OSError, in one line, if the settings, the input, the tokenizer or the
    output are not right, and TooManyBadRecordsError if a look at the input shows mostly bad
    records.
    """
    began = time.monotonic()
    beam_options = PipelineOptions(list(beam_flags))
    quieten(beam_options)
    with ExitStack() as stack:
        stack.enter_context(runner_ready(options, beam_options))
        pipeline = new_pipeline(new_runner(beam_options), beam_options)
        prepared = prepare(options)
        if (note := language_note(options.segmenter_options)) and not quiet:
            print(f"noisebeam: {note}", file=sys.stderr)
        progress = None
        if is_local(beam_options):
            prepared.read.parts_for_all = parts_for_all(beam_options)
            read_first = prepared.read.spreads_documents and not options.cleaning_options.drops
            progress = stack.enter_context(show_progress(read_first, quiet))
        assemble(pipeline, prepared, progress)
        try:
            result = pipeline.run()
            if not wait(result, beam_options):
                return BuildResult(None, {})
            counters, distributions = _counters(result), _distributions(result)
        except Exception as error:
            if not is_finished(options.output, prepared.header):
                raise
            _log.info("after the manifest was written:", exc_info=True)
            print(
                f"noisebeam: the build was finished when this happened: {one_line(error)}",
                file=sys.stderr,
            )
            counters, distributions = {}, {}
    outcome = read_failure(options.output) or read_manifest(options.output)
    return BuildResult(outcome, counters, distributions, time.monotonic() - began)


@dataclass(frozen=True)
class PreparedBuild:
    """A build whose settings have been checked against its input, tokenizer and output."""

    options: BuildOptions
    # once prepared, by the name under which every worker finds it: in the output
    tokenizer: LoadedTokenizer
    recipe: Recipe | None
    header: Manifest
    read: ReadDocuments
    begun: Begun = field(default_factory=Begun)


def prepare(options: BuildOptions) -> PreparedBuild:
    """Check everything that can be checked before a worker starts, and put the tokenizer where the
    workers find it.

    Only then is an older build in the same folder no longer a finished one. Shards that this very
    build has finished there, before it was killed, are not made again.
    """
    plan = make_plan(options, ReadDocuments(options.input, options.read_options))
    check_replaceable(options.output, options.overwrite)
    prepare_segmenter(options.segmenter_options)
    tokenizer = start_output(options.output, plan.tokenizer, overwrite=options.overwrite)
    if reason := probe_input(plan.read.parts, plan.read.options).reason_to_stop(
        options.max_bad_fraction
    ):
        fail_build(options.output, Failure(reason, bad_files=False, counts={}))
        raise TooManyBadRecordsError(reason)
    begun = find_begun(options.output, identity(options, plan.header, plan.read))
    return replace(plan, tokenizer=tokenizer, begun=begun)


def make_plan(options: BuildOptions, read: ReadDocuments) -> PreparedBuild:
    """The build as far as it can be told without looking at its output; nothing is written."""
    tokenizer = load_tokenizer(options.tokenizer).with_tokens(options.add_tokens)
    recipe = load_recipe(options.recipe) if options.recipe is not None else None
    if recipe is not None:
        check_recipe(recipe, tokenizer.vocabulary)
        options = replace(options, append_eos=options.append_eos or recipe.closes_documents)
    if options.append_eos:
        tokenizer.vocabulary.document_suffixes()
    if options.near_duplicates is not None:
        check_minhash()
    if options.detects_languages:
        check_detector()
    plugins = _plugins(options, recipe, read)
    return PreparedBuild(
        options, tokenizer, recipe, _header(options, tokenizer, recipe, plugins), read
    )


def assemble(pipeline: beam.Pipeline, prepared: PreparedBuild, progress: int | None = None) -> Any:
    """The whole pipeline, from the files to the manifest. Workers on this machine tell their
    progress to a port.
    """
    options, tokenizer = prepared.options, prepared.tokenizer.name

    def track(step: str, elements: Any, count: Callable[[Any], Mapping[str, int]]) -> Any:
        return (
            elements
            if progress is None
            else elements | f"Track{step}" >> TrackProgress(progress, count)
        )

    read = copy(prepared.read)
    read.watch = None if progress is None else TrackProgress(progress, count_read)
    documents, unread = pipeline | "ReadDocuments" >> read
    if options.detects_languages:
        documents |= "DetectLanguages" >> DetectLanguages()
    cleaning, counts = options.cleaning_options, None
    if cleaning != CleaningOptions():
        documents, counts = documents | "CleanDocuments" >> CleanDocuments(cleaning, options.lang)
    sentences, unsegmented = documents | "SegmentSentences" >> SegmentSentences(
        options.segmenter_options
    )
    sentences = track("Sentences", sentences, count_segmented)
    windows, unencoded = sentences | "BuildWindows" >> BuildWindows(
        tokenizer, options.window_options
    )
    samples = windows | "EncodeWindows" >> EncodeWindows(tokenizer)
    samples = track("Samples", samples, count_samples)
    if prepared.recipe is not None:
        samples |= "ApplyNoise" >> ApplyNoise(prepared.recipe, tokenizer, options.seed)
    dead_letters = (
        track(step, letters, count_dead_letters)
        for step, letters in (
            ("Unread", unread),
            ("Unsegmented", unsegmented),
            ("Unencoded", unencoded),
        )
    )
    return (samples, *dead_letters) | "WriteShards" >> WriteShards(
        options.output,
        prepared.header,
        options.num_shards,
        options.max_bad_fraction,
        counts,
        prepared.begun,
    )


def _plugins(options: BuildOptions, recipe: Recipe | None, read: ReadDocuments) -> dict[str, str]:
    """The packages that add something to this build, with their versions, by entry point."""
    used = {
        SEGMENTERS: {options.segmenter},
        FORMATS: {read.options.format_of(part.url) for part in read.parts},
        CORRUPTIONS: {corruption.name for corruption in recipe.corruptions} if recipe else set(),
    }
    origins = {
        f"{group}: {name}": plugin_origin(group, name)
        for group, names in used.items()
        for name in names
    }
    return {name: origin for name, origin in origins.items() if origin}


def _header(
    options: BuildOptions,
    tokenizer: LoadedTokenizer,
    recipe: Recipe | None,
    plugins: Mapping[str, str],
) -> Manifest:
    where = (
        "input",
        "output",
        "tokenizer",
        "overwrite",
        "stanza_dir",
        "stanza_device",
        "recipe",
        "max_bad_fraction",
    )
    settings = {name: value for name, value in asdict(options).items() if name not in where}
    return plan_manifest(
        tokenizer,
        recipe,
        seed=options.seed,
        max_tokens=options.max_tokens,
        samples_per_member=options.samples_per_member,
        settings=settings,
        plugins=plugins,
    )


def _counters(result: Any) -> dict[str, int]:
    return {name: int(value) for name, value in _metrics(result, "counters")}


def _distributions(result: Any) -> dict[str, Distribution]:
    return {
        name: Distribution(
            *(int(number) for number in (value.sum, value.count, value.min, value.max))
        )
        for name, value in _metrics(result, "distributions")
    }


def _metrics(result: Any, kind: str) -> Iterator[tuple[str, Any]]:
    for metric in result.metrics().query().get(kind, []):
        if metric.key.metric.namespace == "noisebeam" and metric.result is not None:
            yield metric.key.metric.name, metric.result
