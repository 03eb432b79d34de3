"""The functions with which a pipeline of the user's own prepares an output folder for
`WriteShards`.
"""

from __future__ import annotations

from noisebeam.transforms.output.folder import OutputFolder
from noisebeam.transforms.output.prepare import plan_manifest
from noisebeam.transforms.tokenization.tokenizer import LoadedTokenizer

__all__ = ["plan_manifest", "start_output"]


def start_output(
    url: str, tokenizer: LoadedTokenizer, *, overwrite: bool = False
) -> LoadedTokenizer:
    """Prepare the folder `url` for shards; return the tokenizer, now loaded from its copy in that
    folder.

    An older build in the folder loses its manifest, so that it counts as unfinished. Raises
    ValueError if the folder has a finished build and `overwrite` is False, and OSError if it cannot
    be written to.
    """
    return OutputFolder(url).begin(tokenizer, overwrite=overwrite)
