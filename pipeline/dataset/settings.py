"""Settings of batches that `ShardDataset` and `Mixture` share."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import Any, get_args

import torch

from noisebeam.pipeline.batching.plan import ONE_BY_ONE, Batching, Tail
from noisebeam.pipeline.epoch.length_warmup import LengthWarmup


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """Settings of batches that `ShardDataset` and `Mixture` have in common; `ShardDataset`
    documents each.

    Raises ValueError for values out of range, or that cannot be combined.
    """

    batch_size: int
    batching: Batching = ONE_BY_ONE
    tail: Tail = "drop"
    pad_to_multiple: int = 1
    read_ahead: int = 8
    length_warmup: LengthWarmup | None = None
    rank: int | None = None
    world_size: int | None = None

    def __post_init__(self) -> None:
        check_number("batch_size", self.batch_size, 1)
        check_number("pad_to_multiple", self.pad_to_multiple, 1)
        check_number("read_ahead", self.read_ahead, 0)
        if self.tail not in get_args(Tail):
            raise ValueError(f"expected tail to be 'drop' or 'pad', got {self.tail!r}")
        if not isinstance(self.batching, Batching):
            raise ValueError(
                f"expected batching to be OneByOne, GroupByLength or Pack, got {self.batching!r}"
            )
        if self.length_warmup is not None and not self.batching.sample_rows:
            raise ValueError(
                "expected Pack or a length_warmup, got both; packed rows have one length from the "
                "start"
            )
        rank, world_size = self.rank, self.world_size
        if (rank is None) != (world_size is None):
            raise ValueError(
                f"expected both rank and world_size or neither, got rank={rank}, "
                f"world_size={world_size}"
            )
        if rank is not None and world_size is not None and not 0 <= rank < world_size:
            raise ValueError(
                f"expected rank from 0 to world_size - 1, got rank={rank}, world_size={world_size}"
            )

    def here(self) -> tuple[int, int]:
        """Return the rank of this process and the number of ranks: as given, else as of
        `torch.distributed`, else 0 and 1.
        """
        if self.rank is not None and self.world_size is not None:
            return self.rank, self.world_size
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        return 0, 1

    def fixed(self) -> BatchSettings:
        """Return a copy of the settings with the current rank and number of ranks filled in."""
        rank, world_size = self.here()
        return replace(self, rank=rank, world_size=world_size)


def check_number(name: str, value: Any, least: int, most: int | None = None) -> int:
    """Return `value` as an integer; raise ValueError unless it is a whole number from `least` to
    `most`.

    `name` names the setting in the error. `most` of None is no limit.

    >>> check_number("batch_size", 4.0, 1)
    Traceback (most recent call last):
    ValueError: expected batch_size to be a whole number of at least 1, got 4.0
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or (most is not None and number > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"expected {name} to be a whole number {bounds}, got {value!r}")
    return number
