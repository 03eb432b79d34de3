"""Pictures of masks are the masks that training uses."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
import torch

from noisebeam.pipeline.batching import masks
from noisebeam.pipeline.inspect import mask_pictures as draw


@pytest.mark.parametrize("size", [1, 2, 7])
def test_pictures_are_the_masks(size: int) -> None:
    assert draw.causal(size).astype(bool).tolist() == masks.causal_mask(size).tolist()
    for length in range(size + 1):
        assert (
            draw.prefix(length, size).astype(bool).tolist()
            == masks.prefix_mask([length], size)[0].tolist()
        )
        assert (
            draw.prefix(length, size).astype(bool).tolist()
            == masks.glm_mask([length], size)[0].tolist()
        )


def test_packed_pictures_are_packed_masks() -> None:
    documents = torch.tensor([[0, 0, 1, 1, 1, -1]])
    both = masks.packed_mask(documents)[0]
    picture = draw.padded(draw.packed([draw.full(2, 2), draw.full(3, 3)]), 6, 6)
    assert (picture == draw.SEEN).tolist() == both.tolist()
    picture = draw.packed([draw.causal(2), draw.causal(3)])
    assert (picture == draw.SEEN).tolist() == (both & masks.causal_mask(6))[:5, :5].tolist()


def test_a_png_holds_the_places_row_by_row() -> None:
    picture = draw.padded(draw.causal(2), 3, 3)
    data = draw.png(picture)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == (3, 3)
    start = data.index(b"IDAT") + 4
    (length,) = struct.unpack(">I", data[start - 8 : start - 4])
    rows = np.frombuffer(zlib.decompress(data[start : start + length]), dtype=np.uint8).reshape(
        3, 4
    )
    assert rows[:, 1:].tolist() == picture.tolist()
    assert len(draw.png(draw.causal(1024))) < 20_000


def test_large_masks_are_drawn_small_in_a_terminal() -> None:
    lines = draw.blocks(draw.causal(1024), width=16)
    assert len(lines) == 8
    assert lines[0].startswith("█▄ ")
    assert set(map(len, lines)) == {16}
