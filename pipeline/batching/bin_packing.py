"""Bin packing: which samples share a row of fixed length, planned from their lengths alone."""

from __future__ import annotations

import numpy as np

from noisebeam.transforms.data.ragged import Array, Ragged, offsets_of


def pack_best_fit(lengths: Array, capacity: int) -> Ragged:
    """Divide samples among rows of at most `capacity` tokens; return for each row the numbers of
    its samples.

    `lengths` (samples,) are the tokens of each sample; each sample is in exactly one row. Best-fit
    decreasing (Johnson 1973): the longest sample first, each into the fullest row with room for it;
    among equal rows into the one that was filled last. It needs at most 11/9 of the fewest possible
    rows, and one more. The samples of a row ascend. Rows are in the order of their longest samples,
    so that rows of many short samples are not all at the start. Raises ValueError if a length is
    below 1 or above `capacity`.

    >>> rows = pack_best_fit(np.array([3, 5, 2, 8, 1]), capacity=8)
    >>> [rows.row(i).tolist() for i in range(3)]
    [[0, 1], [2, 4], [3]]
    """
    if len(lengths) and not 1 <= lengths.min() <= lengths.max() <= capacity:
        raise ValueError(
            f"expected samples of 1 to {capacity} tokens, got {int(lengths.min())} to "
            f"{int(lengths.max())}; "
            "take longer rows, or leave out samples with min_tokens and max_tokens"
        )
    rows: list[list[int]] = []
    # rows, by the room they have left
    with_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    rooms = 0  # bit r is set where some row has room r
    longest_first = np.argsort(-lengths.astype(np.int64), kind="stable")
    for sample, length in zip(longest_first.tolist(), lengths[longest_first].tolist(), strict=True):
        if fitting := rooms >> length:
            room = length + (fitting & -fitting).bit_length() - 1
            row = with_room[room].pop()
            if not with_room[room]:
                rooms ^= 1 << room
            rows[row].append(sample)
        else:
            room, row = capacity, len(rows)
            rows.append([sample])
        with_room[room - length].append(row)
        rooms |= 1 << (room - length)
    ordered = [sorted(row) for row in sorted(rows)]  # the first of a row is its longest
    sizes = np.fromiter(map(len, ordered), dtype=np.int64, count=len(ordered))
    samples = (sample for row in ordered for sample in row)
    return Ragged(np.fromiter(samples, dtype=np.int64, count=len(lengths)), offsets_of(sizes))
