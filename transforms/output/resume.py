"""Records of published shards, so that a build that is run again does not write them twice.

While a build runs, each shard has a record beside it, `shard-00003-of-00016.json`: the fingerprint
of the build, and what the manifest will say of the shard. A record is written after its shard, and
all records are removed before the manifest is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from noisebeam.transforms.shards.info import ShardInfo, shard_number

RECORD_NAME = re.compile(r"shard-(\d+)-of-(\d+)\.json")


@dataclass(frozen=True)
class InterruptedBuild:
    """What an interrupted run of the same build left: its fingerprint and finished shards.

    Other settings or other input make another fingerprint. None means that shards are not recorded.
    """

    fingerprint: str | None = None
    shards: tuple[ShardInfo, ...] = ()

    @property
    def numbers(self) -> frozenset[int]:
        """Numbers of the finished shards."""
        return frozenset(number for number, _ in self._numbered())

    @property
    def num_shards(self) -> int | None:
        """Number of shards of the whole build; None if no shard is finished."""
        return next((count for _, count in self._numbered()), None)

    def _numbered(self) -> Iterator[tuple[int, int]]:
        """Yield the number of each finished shard, and the number of all shards, from its name."""
        return filter(None, (shard_number(shard.name) for shard in self.shards))


def record_name(shard: ShardInfo) -> str:
    """Return the file name of a shard's record."""
    return f"{shard.name.removesuffix('.tar')}.json"


def record_of_shard(fingerprint: str, shard: ShardInfo) -> bytes:
    """Return the record that the build with this fingerprint has published a shard."""
    record = {"build": fingerprint, "shard": shard.to_json()}
    return json.dumps(record, indent=1, sort_keys=True).encode()


def read_record(name: str, content: bytes, fingerprint: str) -> ShardInfo | None:
    """Return the shard of a record file; None if it is no record of the build."""
    try:
        record = json.loads(content)
        shard = ShardInfo.from_json(record["shard"])
        ours = record["build"] == fingerprint and record_name(shard) == name
    except (ValueError, TypeError, KeyError, RecursionError):  # no record at all
        return None
    return shard if ours else None
