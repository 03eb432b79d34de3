"""What a build tells at its end."""

from __future__ import annotations

import sys

from noisebeam.pipeline.build import BuildResult
from noisebeam.transforms.finish import DEAD_LETTERS_FOLDER, FAILURE_NAME, Failure
from noisebeam.transforms.manifest import MANIFEST_NAME, Manifest


def print_result(output: str, result: BuildResult) -> int:
    """Print how a build ended; the command's exit status."""
    if result.outcome is None:
        print(f"submitted; it ends with {MANIFEST_NAME}, or {FAILURE_NAME}, in {output}")
        return 0
    if isinstance(result.outcome, Failure):
        print(f"noisebeam: {output}: the build failed: {result.outcome.reason}", file=sys.stderr)
        return 2 if result.outcome.bad_files else 1
    for line in describe(result.outcome, result.metrics.get("sentences-cut", 0)):
        print(line)
    print(f"wrote {output}")
    return 0


def describe(manifest: Manifest, sentences_cut: int = 0) -> list[str]:
    """A finished build in a few lines."""
    counts = manifest.counts
    size = sum(shard.bytes for shard in manifest.shards)
    per_sample = counts["tokens"] / max(1, counts["samples"])
    lines = [
        f"{counts['documents']:,} documents, {counts['samples']:,} samples, {counts['tokens']:,} tokens "
        f"({per_sample:.0f} a sample, {manifest.max_tokens} at most)",
        f"{len(manifest.shards)} shards, {size / 1e6:,.1f} MB, "
        f"recipe {manifest.recipe_name or 'none'}, seed {manifest.seed}",
    ]
    if counts["duplicate_documents"]:
        lines.append(f"{counts['duplicate_documents']:,} identical documents dropped")
    if counts["dead_letters"]:
        lines.append(f"{counts['dead_letters']:,} bad records in {DEAD_LETTERS_FOLDER}/")
    if sentences_cut:
        lines.append(f"{sentences_cut:,} sentences longer than a window were cut")
    return lines
