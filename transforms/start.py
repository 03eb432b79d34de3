"""The names by which a pipeline of its own prepares an output for `WriteShards`."""

from __future__ import annotations

from noisebeam.transforms.output.folder import OutputFolder
from noisebeam.transforms.output.prepare import plan_manifest
from noisebeam.transforms.tokenization.tokenizer import LoadedTokenizer

__all__ = ["plan_manifest", "start_output"]


def start_output(
    url: str, tokenizer: LoadedTokenizer, *, overwrite: bool = False
) -> LoadedTokenizer:
    """Prepare the folder `url` for shards, and return the tokenizer by its name in the folder.

    An older build in the folder is unfinished from then on. Raises ValueError if there is a
    finished one and `overwrite` is False, and OSError if the folder cannot be written to.
    """
    return OutputFolder(url).begin(tokenizer, overwrite=overwrite)
