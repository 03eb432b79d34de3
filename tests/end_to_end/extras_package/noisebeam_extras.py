"""A segmenter, a format and a corruption, as another package would add them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from noisebeam.transforms.data.documents import (
    BadRecordError,
    DeadLetter,
    Document,
    make_document,
)
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.spans import Spans, spans_between
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.formats import ReadOptions
from noisebeam.transforms.io.input_files import FilePart, read_blocks
from noisebeam.transforms.noise import purpose_of
from noisebeam.transforms.noise.rng import draw, happens, stream_keys


class ClauseSegmenter:
    """Sentences end at commas, too."""

    def segment(self, texts: Sequence[str], langs: Sequence[str | None]) -> list[Spans]:
        """The spans of each text."""
        return [
            spans_between(text, (match.end() for match in re.finditer(r"[.,;]\s", text)))
            for text in texts
        ]


def fail() -> None:
    """A factory that does not work."""
    raise OSError("no model in /models")


def read_fortunes(part: FilePart, options: ReadOptions) -> Iterator[Document | DeadLetter]:
    """Texts separated by lines that hold a % alone; one with DRAFT in it is a bad record."""
    content = b"".join(read_blocks(part.url))
    for match in re.finditer(rb"(.+?)(?:^%\n|\Z)", content, re.MULTILINE | re.DOTALL):
        name = f"{part.url.rpartition('/')[2]}:{match.start()}"
        try:
            if b"DRAFT" in match[1]:
                raise BadRecordError("not written yet")
            document = make_document(name, match[1].decode())
        except (UnicodeDecodeError, BadRecordError) as error:
            yield DeadLetter(part.url, match.start(), str(error), match[1])
        else:
            yield replace(document, position=match.start())


@dataclass(frozen=True)
class TokenSwap:
    """Neighbours change places."""

    name: ClassVar[str] = "token-swap"

    share: float = 0.5  # of the pairs of neighbours, each with this probability

    def check(self, vocabulary: Vocabulary) -> None:
        """Any vocabulary will do."""

    def apply(
        self, batch: FlatBatch, vocabulary: Vocabulary, *, seed: int, epoch: int
    ) -> FlatBatch:
        """The batch with some pairs swapped."""
        lengths = np.diff(batch.offsets)
        streams = stream_keys(seed, epoch, batch.keys, purpose_of("noisebeam-extras: swap"))
        within = np.arange(len(batch.ids)) - np.repeat(batch.offsets[:-1], lengths)
        ordinary = ~vocabulary.is_special[batch.ids]
        first = happens(draw(streams, lengths), self.share) & ordinary & (within % 2 == 1)
        chosen = np.flatnonzero(first[:-1] & ordinary[1:])
        ids = batch.ids.copy()
        ids[chosen], ids[chosen + 1] = batch.ids[chosen + 1], batch.ids[chosen]
        return replace(batch, ids=ids)
