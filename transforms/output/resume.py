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
    """Finished shards that an interrupted run of the same build has left in the output folder.

    `fingerprint` is a hash of settings and input, which must be equal for shards to be used again;
    None means that shards are not recorded.
    """

    fingerprint: str | None = None
    shards: tuple[ShardInfo, ...] = ()

    @property
    def numbers(self) -> frozenset[int]:
        """Numbers of the shards that are finished."""
        return frozenset(number for number, _ in self._numbered())

    @property
    def num_shards(self) -> int | None:
        """Number of shards of the whole build, from the name of a finished shard; None if no shard
        is finished.
        """
        return next((count for _, count in self._numbered()), None)

    def _numbered(self) -> Iterator[tuple[int, int]]:
        """Yield two numbers for each finished shard, from its name: its own number, and that of all
        shards of the build.
        """
        return filter(None, (shard_number(shard.name) for shard in self.shards))


def record_name(shard: ShardInfo) -> str:
    """Return the name of the file that records that a shard is finished."""
    return f"{shard.name.removesuffix('.tar')}.json"


def record_of_shard(fingerprint: str, shard: ShardInfo) -> bytes:
    """Return the content of the file that records that the build with this fingerprint has finished
    a shard.
    """
    record = {"build": fingerprint, "shard": shard.to_json()}
    return json.dumps(record, indent=1, sort_keys=True).encode()


def read_record(name: str, content: bytes, fingerprint: str) -> ShardInfo | None:
    """Return the shard that a record file names; None if the file is damaged or is of another
    build.

    `name` is the name of the file, `content` its bytes, `fingerprint` that of this build.
    """
    try:
        record = json.loads(content)
        shard = ShardInfo.from_json(record["shard"])
        ours = record["build"] == fingerprint and record_name(shard) == name
    except (ValueError, TypeError, KeyError, RecursionError):  # no record at all
        return None
    return shard if ours else None
