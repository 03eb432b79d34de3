"""Drawings of attention masks, made from lengths alone, without PyTorch.

A drawing is a uint8 matrix (queries, keys) whose cells are UNSEEN, SEEN or PADDING.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from noisebeam.pipeline.batching import mask_arrays

UNSEEN, SEEN, PADDING = range(3)
_COLOURS = bytes((0, 0, 0, 64, 128, 235, 150, 150, 150))  # red, green, blue of each kind
_OPACITIES = bytes((0, 255, 90))

Picture = npt.NDArray[np.uint8]


class MaskPicture(NamedTuple):
    """Titled drawing of an attention mask: a uint8 matrix (queries, keys) of UNSEEN, SEEN and
    PADDING.
    """

    title: str
    picture: Picture


def full(queries: int, keys: int) -> Picture:
    """Return the drawing (queries, keys) of a mask in which every query sees every key."""
    return np.full((queries, keys), SEEN, dtype=np.uint8)


def square(size: int) -> Picture:
    """Return the drawing (size, size) of a mask in which every query sees every key."""
    return full(size, size)


def causal(size: int) -> Picture:
    """Return the drawing (size, size) of a mask in which each position sees itself and those before
    it.

    >>> causal(3).tolist()
    [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    """
    return mask_arrays.causal(size).astype(np.uint8)


def prefix(length: int, size: int) -> Picture:
    """Return the drawing (size, size) of a mask in which all positions see the first `length` ones,
    and the rest is causal.

    GLM has the same mask, with part A as the prefix.

    >>> prefix(2, 3).tolist()
    [[1, 1, 0], [1, 1, 0], [1, 1, 1]]
    """
    mask: Picture = mask_arrays.prefix(np.array([length]), size)[0].astype(np.uint8)
    return mask


def packed(pictures: Sequence[Picture]) -> Picture:
    """Return the drawing of a block-diagonal mask: the given square drawings one after another
    along the diagonal.

    No position sees a position of another drawing.

    >>> packed([causal(2), full(1, 1)]).tolist()
    [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    """
    size = sum(map(len, pictures))
    mask, at = np.zeros((size, size), dtype=np.uint8), 0
    for picture in pictures:
        mask[at : at + len(picture), at : at + len(picture)] = picture
        at += len(picture)
    return mask


def padded(picture: Picture, queries: int, keys: int) -> Picture:
    """Return a drawing enlarged to (queries, keys) with PADDING below and on the right.

    >>> padded(causal(2), 2, 3).tolist()
    [[1, 0, 2], [1, 1, 2]]
    """
    widths = (max(0, queries - picture.shape[0]), max(0, keys - picture.shape[1]))
    return np.pad(picture, ((0, widths[0]), (0, widths[1])), constant_values=PADDING)


def png(picture: Picture) -> bytes:
    """Return a drawing as the bytes of a PNG image with one pixel for each cell; UNSEEN is
    transparent.
    """
    height, width = picture.shape
    rows = np.zeros((height, width + 1), dtype=np.uint8)  # first byte of a row: no filter
    rows[:, 1:] = picture
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, data)
        for kind, data in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            (b"PLTE", _COLOURS),
            (b"tRNS", _OPACITIES),
            (b"IDAT", zlib.compress(rows.tobytes(), 9)),
            (b"IEND", b""),
        )
    )


def data_uri(picture: Picture) -> str:
    """Return a drawing as a PNG image in a data URI, for an HTML page."""
    return f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}"


def blocks(picture: Picture, width: int = 32) -> list[str]:
    """Return a drawing as lines of block characters, at most `width` columns wide.

    A character shows two queries. Larger drawings are thinned out.

    >>> blocks(causal(4))
    ['█▄  ', '███▄']
    """
    step = -(-picture.shape[1] // width)
    small = picture[::step, ::step] == SEEN
    if len(small) % 2:
        small = np.vstack([small, np.zeros_like(small[:1])])
    return [
        "".join(" ▀▄█"[upper + 2 * lower] for upper, lower in zip(*pair, strict=True))
        for pair in _pairs(small)
    ]


def _pairs(rows: npt.NDArray[np.bool_]) -> list[tuple[list[int], list[int]]]:
    """Return each two neighbouring rows as a pair of lists of 0 and 1."""
    numbers = rows.astype(int).tolist()
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file: length, kind, data and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
