"""The record of a document, for dead letters of steps after reading."""

from __future__ import annotations

import json

from noisebeam.transforms.data.documents import Document
from noisebeam.transforms.io.input_files import read_range


def record_of(document: Document) -> bytes:
    """Return the bytes of the record from which a document was read, by reading its file again.

    A document whose position in a file is unknown, as in parquet, becomes a JSON object of id and
    text.
    """
    if document.position is not None and document.size is not None:
        return read_range(document.source, document.position, document.position + document.size)
    return json.dumps({"id": document.id, "text": document.text}, ensure_ascii=False).encode()
