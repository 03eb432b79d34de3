"""The names by which a pipeline of its own prepares an output for `WriteShards`."""

from __future__ import annotations

from noisebeam.transforms.output.folder import OutputFolder
from noisebeam.transforms.output.prepare import plan_manifest
from noisebeam.transforms.tokenization.tokenizer import LoadedTokenizer

__all__ = ["plan_manifest", "start_output"]


def start_output(
    url: str, tokenizer: LoadedTokenizer, *, overwrite: bool = False
) -> LoadedTokenizer:
    """Prepare the folder `url` for shards, as `OutputFolder.begin`."""
    return OutputFolder(url).begin(tokenizer, overwrite=overwrite)
