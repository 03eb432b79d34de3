"""The plan of a build: checked settings, and the Beam pipeline that is assembled from them.

BuildOptions -> make_plan (writes nothing) -> prepare (the output folder) -> assemble
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import apache_beam as beam

from noisebeam.pipeline.builder.fingerprint import fingerprint
from noisebeam.pipeline.builder.options import BuildOptions
from noisebeam.pipeline.builder.preflight import TooManyBadRecordsError, preview_input
from noisebeam.pipeline.builder.progress import (
    TrackProgress,
    count_dead_letters,
    count_read,
    count_samples,
    count_segmented,
)
from noisebeam.transforms.beam.clean import CleanDocuments
from noisebeam.transforms.beam.encode import ApplyNoise, BuildWindows, EncodeWindows
from noisebeam.transforms.beam.read import DetectLanguages, ReadDocuments, SegmentSentences
from noisebeam.transforms.beam.write import WriteShards
from noisebeam.transforms.cleaning.cleaning import CleaningOptions
from noisebeam.transforms.cleaning.language_detection import check_detector
from noisebeam.transforms.cleaning.near_duplicates import check_minhash
from noisebeam.transforms.noise.recipes import Recipe, check_recipe, load_recipe
from noisebeam.transforms.output.finish import Failure
from noisebeam.transforms.output.folder import OutputFolder
from noisebeam.transforms.output.manifest import Manifest
from noisebeam.transforms.output.prepare import plan_manifest
from noisebeam.transforms.output.resume import InterruptedBuild
from noisebeam.transforms.plugins import CORRUPTIONS, FORMATS, SEGMENTERS, plugin_origin
from noisebeam.transforms.segmenters.segmenters import prepare_segmenter
from noisebeam.transforms.tokenization.tokenizer import LoadedTokenizer, load_tokenizer

# Settings that the manifest does not have: they say where things are, or do not change the samples.
_NOT_IN_MANIFEST = (
    *("input", "output", "tokenizer", "overwrite", "stanza_dir", "stanza_device", "recipe"),
    "max_bad_fraction",
)


@dataclass(frozen=True)
class Plan:
    """Plan of a build: its settings, checked against the input, the tokenizer and the output.

    `tokenizer` is loaded from its copy in the output once `prepare` has run. `recipe` is the noise
    to bake in, None for clean samples. `header` is the manifest without shards and counts. `read`
    is the step that reads the input. `interrupted` is what an earlier run of the same build has
    finished.
    """

    options: BuildOptions
    tokenizer: LoadedTokenizer  # after `prepare` under its name in the output, for the workers
    recipe: Recipe | None
    header: Manifest
    read: ReadDocuments
    interrupted: InterruptedBuild = field(default_factory=InterruptedBuild)


def make_plan(options: BuildOptions, read: ReadDocuments) -> Plan:
    """Return the plan of a build without looking at the output folder; write nothing.

    `read` is the step that reads the input. Raises ValueError, in one line, if the tokenizer lacks
    a token that is needed, the recipe is wrong, or a package of an extra is missing.
    """
    tokenizer = load_tokenizer(options.tokenizer.name).with_tokens(options.tokenizer.add_tokens)
    recipe = load_recipe(options.noise.recipe) if options.noise.recipe is not None else None
    if recipe is not None:
        check_recipe(recipe, tokenizer.vocabulary)
        append_eos = options.windows.append_eos or recipe.closes_documents
        options = replace(options, windows=replace(options.windows, append_eos=append_eos))
    if options.windows.append_eos:
        tokenizer.vocabulary.document_suffixes()
    if options.cleaning.near_duplicates is not None:
        check_minhash()
    if options.detects_languages:
        check_detector()
    plugins = _plugins(options, recipe, read)
    return Plan(options, tokenizer, recipe, _header(options, tokenizer, recipe, plugins), read)


def prepare(options: BuildOptions) -> Plan:
    """Check all that can be checked before a worker starts, prepare the output folder, and return
    the plan of the build.

    An older build in the folder loses its manifest here. Shards that an interrupted run of the same
    build has finished are not written again. Raises ValueError or OSError, in one line, and
    TooManyBadRecordsError if the input is mostly bad records.
    """
    plan = make_plan(options, ReadDocuments(options.input, options.read))
    output = OutputFolder(options.output.url)
    output.check_replaceable(options.output.overwrite)
    prepare_segmenter(options.segmentation)
    tokenizer = output.begin(plan.tokenizer, overwrite=options.output.overwrite)
    preview = preview_input(plan.read.parts, plan.read.options)
    if reason := preview.reason_to_stop(options.max_bad_fraction):
        output.fail(Failure(reason, bad_files=False, counts={}))
        raise TooManyBadRecordsError(reason)
    interrupted = output.find_interrupted(fingerprint(options, plan.header, plan.read.parts))
    return replace(plan, tokenizer=tokenizer, interrupted=interrupted)


def assemble(pipeline: beam.Pipeline, plan: Plan, progress: int | None = None) -> Any:
    """Add all steps of the build, from reading the input to writing the manifest, to a Beam
    pipeline; return the last output.

    `progress` is the UDP port to which workers on this machine send their counts; None sends none.
    """
    options, tokenizer = plan.options, plan.tokenizer.name

    def track(step: str, elements: Any, count: Callable[[Any], Mapping[str, int]]) -> Any:
        if progress is None:
            return elements
        return elements | f"Track{step}" >> TrackProgress(progress, count)

    read = copy(plan.read)
    read.watch = None if progress is None else TrackProgress(progress, count_read)
    documents, unread = pipeline | "ReadDocuments" >> read
    if options.detects_languages:
        documents |= "DetectLanguages" >> DetectLanguages()
    counts = None
    if options.cleaning != CleaningOptions():
        clean = CleanDocuments(options.cleaning, options.lang)
        documents, counts = documents | "CleanDocuments" >> clean
    sentences, unsegmented = documents | "SegmentSentences" >> SegmentSentences(
        options.segmentation
    )
    sentences = track("Sentences", sentences, count_segmented)
    windows, unencoded = sentences | "BuildWindows" >> BuildWindows(tokenizer, options.windows)
    samples = windows | "EncodeWindows" >> EncodeWindows(tokenizer)
    samples = track("Samples", samples, count_samples)
    if plan.recipe is not None:
        samples |= "ApplyNoise" >> ApplyNoise(plan.recipe, tokenizer, options.noise.seed)
    dead_letters = (
        track(step, letters, count_dead_letters)
        for step, letters in (
            ("Unread", unread),
            ("Unsegmented", unsegmented),
            ("Unencoded", unencoded),
        )
    )
    return (samples, *dead_letters) | "WriteShards" >> WriteShards(
        options.output.url,
        plan.header,
        options.output.num_shards,
        options.max_bad_fraction,
        counts,
        plan.interrupted,
    )


def _plugins(options: BuildOptions, recipe: Recipe | None, read: ReadDocuments) -> dict[str, str]:
    """Return the packages of plugins that a build uses (segmenter, formats, corruptions), with
    versions, by the name of the entry point.
    """
    used = {
        SEGMENTERS: {options.segmentation.name},
        FORMATS: {read.options.format_of(part.url) for part in read.parts},
        CORRUPTIONS: {corruption.name for corruption in recipe.corruptions} if recipe else set(),
    }
    origins = {
        f"{group}: {name}": plugin_origin(group, name)
        for group, names in used.items()
        for name in sorted(names)
    }
    return {name: origin for name, origin in origins.items() if origin}


def _header(
    options: BuildOptions,
    tokenizer: LoadedTokenizer,
    recipe: Recipe | None,
    plugins: Mapping[str, str],
) -> Manifest:
    """Return the manifest of a planned build, whose shards and counts are still empty."""
    settings = {
        name: value for name, value in options.flat().items() if name not in _NOT_IN_MANIFEST
    }
    return plan_manifest(
        tokenizer,
        recipe,
        seed=options.noise.seed,
        max_tokens=options.windows.max_tokens,
        samples_per_member=options.output.samples_per_member,
        settings=settings,
        plugins=plugins,
    )
