"""Records of a format, read from a file in memory."""

from __future__ import annotations

import fsspec

from noisebeam.transforms.data.documents import DeadLetter, Document
from noisebeam.transforms.formats import ReadOptions, read_documents
from noisebeam.transforms.io.input_files import FilePart

URL = "memory:///documents/file"


Records = list[Document | DeadLetter]


def read(content: bytes, ending: str = ".jsonl", options: ReadOptions | None = None) -> Records:
    fsspec.filesystem("memory").pipe(URL + ending, content)
    return list(read_documents(FilePart(URL + ending), options or ReadOptions()))
