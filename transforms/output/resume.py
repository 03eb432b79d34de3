"""The shards that a killed build has finished, so that the same build, run again, does not make
them a second time.

While a build runs, a record beside each shard, `shard-00003-of-00016.json`, tells what the manifest
will say of it and which build wrote it. A record is written after its shard and goes before the
manifest comes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from noisebeam.transforms.io.storage import join, list_names, publish, read_bytes, size
from noisebeam.transforms.shards.writer import ShardInfo, shard_number

_RECORD = re.compile(r"shard-(\d+)-of-(\d+)\.json")


@dataclass(frozen=True)
class Begun:
    """A build that may have begun before: its identity (None: nobody will look for it again) and
    finished shards.

    Other settings, or other input, make another identity.
    """

    identity: str | None = None
    shards: tuple[ShardInfo, ...] = ()

    @property
    def numbers(self) -> frozenset[int]:
        """The numbers of its shards."""
        return frozenset(number for number, _ in self._numbered())

    @property
    def num_shards(self) -> int | None:
        """How many shards it has in all, if it has finished one."""
        return next((count for _, count in self._numbered()), None)

    def _numbered(self) -> Iterator[tuple[int, int]]:
        return filter(None, (shard_number(shard.name) for shard in self.shards))


def record_shard(url: str, identity: str, shard: ShardInfo) -> None:
    """Keep in the folder `url` that the build `identity` has finished a shard; it has been
    published.
    """
    record = {"build": identity, "shard": shard.to_json()}
    publish(join(url, _record_name(shard)), json.dumps(record, indent=1, sort_keys=True).encode())


def find_begun(url: str, identity: str) -> Begun:
    """What the build `identity` has finished in the folder `url`: shards whose files are there, as
    they were written.

    A shard is held against its size, its index against its sha256. ShardReader finds other damage.
    """
    return Begun(identity, tuple(_finished(url, identity)))


def _finished(url: str, identity: str) -> Iterator[ShardInfo]:
    names = list_names(url)
    for name in filter(_RECORD.fullmatch, names):
        try:
            record = json.loads(read_bytes(join(url, name)))
            shard = ShardInfo.from_json(record["shard"])
            written = record["build"] == identity and _record_name(shard) == name
        except (ValueError, TypeError, KeyError, RecursionError):  # not a record of ours
            continue
        if written and {shard.name, shard.index_name} <= set(names) and _is_whole(url, shard):
            yield shard


def _is_whole(url: str, shard: ShardInfo) -> bool:
    index = read_bytes(join(url, shard.index_name))
    return (
        size(join(url, shard.name)) == shard.bytes
        and sha256(index).hexdigest() == shard.index_sha256
    )


def _record_name(shard: ShardInfo) -> str:
    return f"{shard.name.removesuffix('.tar')}.json"
