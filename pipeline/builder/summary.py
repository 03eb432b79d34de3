"""The summary that a build prints at its end."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from noisebeam.pipeline.builder.result import BuildResult, Distribution
from noisebeam.pipeline.inspect.stats import padding_estimate, read_lengths
from noisebeam.transforms.cleaning.cleaning import (
    DUPLICATES,
    NEAR_DUPLICATES,
    NORMALIZED,
    OTHER_LANGUAGE,
    TOO_LONG,
    TOO_SHORT,
    WITHOUT_CONTROLS,
)
from noisebeam.transforms.output.finish import DEAD_LETTERS_FOLDER, Failure
from noisebeam.transforms.output.folder import FAILURE_NAME
from noisebeam.transforms.output.manifest import MANIFEST_NAME, Manifest
from noisebeam.transforms.printable import printable

_SIZES = {
    "characters a document": "document-characters",
    "sentences a document": "document-sentences",
    "sentences a sample": "sample-sentences",
    "tokens a sample": "sample-tokens",
}
_CLEANED = {
    "dropped_empty": "documents without text dropped",
    NORMALIZED: "documents brought to NFC",
    WITHOUT_CONTROLS: "documents freed of control characters",
    TOO_SHORT: "too short documents dropped",
    TOO_LONG: "too long documents dropped",
    OTHER_LANGUAGE: "documents in other languages dropped",
    DUPLICATES: "documents with the text of another dropped",
    NEAR_DUPLICATES: "documents with nearly the text of another dropped",
}
_STEPS = ("read", "detect", "minhash", "segment", "encode", "noise", "write")
_IN = "documents-in-"
_LANGUAGES = 12  # to name
_SHARDS = 16  # whose indexes are read for an estimate


def print_result(output: str, result: BuildResult, quiet: bool = False) -> int:
    """Print the summary of a build, or why it failed, and return its exit status.

    `output` is the folder of the build. With `quiet` only a failure is printed.
    """
    if result.outcome is None:
        print(f"submitted; it ends with {MANIFEST_NAME}, or {FAILURE_NAME}, in {output}")
        return 0
    if isinstance(result.outcome, Failure):
        reason = printable(result.outcome.reason)
        print(f"noisebeam: {output}: the build failed: {reason}", file=sys.stderr)
        return 2 if result.outcome.bad_files else 1
    if not quiet:
        lines = [
            *describe(result.outcome, result.metrics.get("sentences-cut", 0)),
            *describe_languages(result.outcome, result.metrics),
            *_describe_sizes(result.distributions),
            *describe_padding(output, result.outcome),
            *_describe_time(result),
            f"wrote {output}",
        ]
        print(printable("\n".join(lines)))
    return 0


def describe(manifest: Manifest, sentences_cut: int = 0) -> list[str]:
    """A finished build in a few lines."""
    counts = manifest.counts
    size = sum(shard.bytes for shard in manifest.shards)
    per_sample = counts["tokens"] / max(1, counts["samples"])
    lines = [
        f"{counts['documents']:,} documents, {counts['samples']:,} samples, {counts['tokens']:,} "
        "tokens "
        f"({per_sample:.0f} a sample, {manifest.max_tokens} at most)",
        f"{len(manifest.shards)} shards, {size / 1e6:,.1f} MB, "
        f"recipe {manifest.recipe_name or 'none'}, seed {manifest.seed}",
    ]
    if counts["duplicate_documents"]:
        lines.append(f"{counts['duplicate_documents']:,} identical documents dropped")
    lines += [f"{counts[name]:,} {words}" for name, words in _CLEANED.items() if counts.get(name)]
    if counts["dead_letters"]:
        lines.append(f"{counts['dead_letters']:,} bad records in {DEAD_LETTERS_FOLDER}/")
    if sentences_cut:
        lines.append(f"{sentences_cut:,} sentences longer than a window were cut")
    return lines


def describe_languages(manifest: Manifest, metrics: Mapping[str, int]) -> Iterator[str]:
    """Yield lines about the languages of the documents, if there are several, and about documents
    whose language is unknown.

    `metrics` are Beam's counters by name.
    """
    found = {
        name.removeprefix(_IN): number for name, number in metrics.items() if name.startswith(_IN)
    }
    if len(found) > 1:
        ordered = sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))
        more = f" and {len(ordered) - _LANGUAGES} more" if len(ordered) > _LANGUAGES else ""
        yield (
            "languages: "
            + ", ".join(f"{code} {number:,}" for code, number in ordered[:_LANGUAGES])
            + more
        )
    unnamed = metrics.get("documents-without-language")
    if unnamed and manifest.settings["lang_field"] is not None:
        yield f"{unnamed:,} documents name no language: taken as {manifest.settings['lang']!r}"
    if fallen := metrics.get("documents-by-fallback"):
        name = manifest.settings["segmenter"]
        means = "the rules of English were" if name == "sentencex" else "sentencex was"
        yield (
            f"{fallen:,} documents in languages that {name} does not know, or in none: {means} used"
        )


def _describe_sizes(distributions: Mapping[str, Distribution]) -> Iterator[str]:
    """Yield a line for each distribution of sizes that workers reported."""
    for title, name in _SIZES.items():
        found = distributions.get(name)
        if found is not None and found.count:
            yield (
                f"{title}: {found.sum / found.count:,.1f} on average, {found.least:,} to "
                f"{found.greatest:,}"
            )


def describe_padding(output: str, manifest: Manifest) -> Iterator[str]:
    """Yield one line with the share of padding in batches made in several ways; nothing for an
    empty build.

    `output` is the folder of the build.
    """
    shares = padding_estimate(read_lengths(output, manifest, _SHARDS), manifest.max_tokens)
    if shares:
        yield "padding: " + ", ".join(f"{share:.1%} in {name}" for name, share in shares.items())


def _describe_time(result: BuildResult) -> Iterator[str]:
    """Yield lines about the duration of a build, and about the time that all workers spent in each
    step.
    """
    if result.seconds is not None:
        size = result.metrics.get("text-bytes")
        rate = (
            f", {size / 1e6 / max(result.seconds, 1e-3):,.1f} MB of text a second" if size else ""
        )
        yield f"{result.seconds:,.1f} s{rate}"
    spent = {
        step: result.distributions.get(f"{step}-usec", Distribution(0, 0, 0, 0)).sum / 1e6
        for step in _STEPS
    }
    if any(spent.values()):
        parts = ", ".join(f"{step} {spent[step]:,.1f} s" for step in _STEPS if spent[step])
        yield f"work of all workers: {parts}; the rest is Beam's"
