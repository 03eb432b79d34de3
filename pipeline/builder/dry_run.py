"""The dry run of a build, `noisebeam build --dry-run`: all checks, and no file written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice

from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from noisebeam.pipeline.builder.options import BuildOptions
from noisebeam.pipeline.builder.plan import Plan, assemble, make_plan
from noisebeam.pipeline.builder.runners import new_pipeline
from noisebeam.pipeline.inspect.stats import evenly
from noisebeam.transforms.beam.read import ReadDocuments
from noisebeam.transforms.beam.write import TOKENS_PER_SHARD
from noisebeam.transforms.data.documents import Document
from noisebeam.transforms.formats import read_documents
from noisebeam.transforms.io.input_files import file_size, for_each
from noisebeam.transforms.io.storage import local_path
from noisebeam.transforms.output.folder import OutputFolder
from noisebeam.transforms.segmenters.segmenters import language_note, prepare_segmenter

# looked into: parts, documents of each, characters of each
_PARTS, _DOCUMENTS, _CHARACTERS = (
    4,
    16,
    20_000,
)


def dry_run(options: BuildOptions) -> list[str]:
    """Check the input, tokenizer, recipe, segmenter and output of a build, and return lines that
    describe what it would do.

    Writes nothing. Raises the errors that the build would raise, in one line.
    """
    plan = make_plan(options, ReadDocuments(options.input, options.read))
    OutputFolder(options.output.url).check_replaceable(options.output.overwrite)
    check_folder(options.output.url)
    prepare_segmenter(options.segmentation)
    return [
        *_describe_input(plan),
        *_describe_output(plan),
        "",
        "steps:",
        *_steps(plan),
        "",
        "nothing was written",
    ]


def check_folder(url: str) -> None:
    """Raise OSError if a local folder does not exist and cannot be made, or cannot be written to;
    remote URLs are not checked.
    """
    folder = local_path(url)
    while folder and not os.path.exists(folder):
        folder = os.path.dirname(folder)
    if folder and not (os.path.isdir(folder) and os.access(folder, os.W_OK)):
        raise OSError(
            f"cannot write to {url}: {folder} is no folder that you may write to; give another "
            "output"
        )


def _describe_input(plan: Plan) -> Iterator[str]:
    """Yield lines about the input files, with estimates of tokens and shards."""
    files = list(dict.fromkeys(part.url for part in plan.read.parts))
    sizes = for_each(files, file_size)
    size = f"{sum(sizes) / 1e6:,.1f} MB as they lie"
    yield (
        f"input: {_number(len(files), 'file')}, {size}, read in "
        f"{_number(len(plan.read.parts), 'part')}"
    )
    yield f"  {files[0]}" + (f" ... {files[-1]}" if len(files) > 1 else "")
    tokens, characters = sample_tokens(plan)
    if characters:
        per_megabyte = 1e6 * tokens / characters
        yield (
            f"  about {per_megabyte:,.0f} tokens in a million characters, from {characters:,} "
            "characters"
        )
        shards = plan.options.output.num_shards or max(
            1, round(sum(sizes) * tokens / characters / TOKENS_PER_SHARD)
        )
        chosen = (
            "as set"
            if plan.options.output.num_shards
            else "if the files are not compressed; more if they are"
        )
        yield f"  about {_number(shards, 'shard')} ({chosen})"


def _number(count: int, of: str) -> str:
    """Return a number with its noun, in the singular or the plural.

    >>> _number(1, "file"), _number(2000, "file")
    ('1 file', '2,000 files')
    """
    return f"{count:,} {of}" if count == 1 else f"{count:,} {of}s"


def sample_tokens(plan: Plan) -> tuple[int, int]:
    """Return the number of tokens and the number of characters of the first documents of some parts
    of the input, to estimate their ratio.
    """
    parts = [plan.read.parts[i] for i in evenly(len(plan.read.parts), _PARTS)]
    records = (
        record
        for part in parts
        for record in islice(read_documents(part, plan.read.options), _DOCUMENTS)
    )
    texts = [record.text[:_CHARACTERS] for record in records if isinstance(record, Document)]
    encoded = plan.tokenizer.tokenizer.encode_batch(texts, add_special_tokens=False)
    return sum(map(len, encoded)), sum(map(len, texts))


def _describe_output(plan: Plan) -> Iterator[str]:
    """Yield lines about the tokenizer, the recipe, the windows and the output."""
    options, vocabulary = plan.options, plan.tokenizer.vocabulary
    yield f"tokenizer: {plan.tokenizer.name}, {vocabulary.size:,} ids"
    yield (
        f"recipe: {plan.recipe.name if plan.recipe else 'none, clean samples'}, seed "
        f"{options.noise.seed}"
    )
    if note := language_note(options.segmentation):
        yield note
    yield f"windows: {options.windows.max_tokens:,} tokens at most, special ones counted"
    yield f"output: {options.output.url}"


def _steps(plan: Plan) -> list[str]:
    """Return a line for each outer step of the pipeline, with its settings."""
    pipeline = new_pipeline()
    assemble(pipeline, plan)
    visitor = _TopSteps()
    pipeline.visit(visitor)
    return visitor.lines


class _TopSteps(PipelineVisitor):  # type: ignore[misc]
    """Pipeline visitor that collects a line for each outer step, with its display data."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def enter_composite_transform(self, node: AppliedPTransform) -> None:
        if node.parent is not None and node.parent.parent is None:
            data = node.transform.display_data() if node.transform is not None else {}
            settings = ", ".join(f"{name} {value}" for name, value in data.items())
            self.lines.append(
                f"  {node.full_label}: {settings}" if settings else f"  {node.full_label}"
            )
