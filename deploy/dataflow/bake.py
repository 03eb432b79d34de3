"""Fetch models into a container image, and load each of them.

    python -m noisebeam.deploy.dataflow.bake --tokenizers facebook/bart-base t5-base --stanza en de

Tokenizers are stored in HF_HOME, Stanza's models in STANZA_RESOURCES_DIR.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from noisebeam.transforms.errors import one_line
from noisebeam.transforms.segmenters.segmenters import (
    SegmenterOptions,
    load_segmenter,
    prepare_segmenter,
)
from noisebeam.transforms.tokenization.tokenizer import load_tokenizer


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch the tokenizers and Stanza models that the flags name, load each of them, and return the
    exit status.

    `arguments` are the command line; None takes it from `sys.argv`.
    """
    parser = argparse.ArgumentParser(description="Fetch models, for an image.")
    parser.add_argument(
        "--tokenizers", nargs="*", default=[], metavar="NAME", help="names on the Hugging Face hub"
    )
    parser.add_argument(
        "--stanza", nargs="*", default=[], metavar="LANG", help="languages of Stanza's models"
    )
    given = parser.parse_args(arguments)
    try:
        for name in given.tokenizers:
            print(f"tokenizer {name}: {load_tokenizer(name).vocabulary.size} tokens")
        for lang in given.stanza:
            options = SegmenterOptions(name="stanza", lang=lang)
            prepare_segmenter(options)
            load_segmenter(options)
            print(f"stanza {lang}")
    except ValueError as error:
        print(f"noisebeam: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
