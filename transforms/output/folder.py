"""The output folder of a build: everything that a build does in it, in order.

    begin                tokenizer/ written; an older manifest and failure removed
    find_interrupted     which shards an interrupted run of the same build left
    record_shard         a record beside each published shard, while the build runs
    write_dead_letters   dead_letters/*.jsonl
    finish               stray files removed, then manifest.json; or failure.json

The manifest is written last: a folder without one is an unfinished build.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256

from noisebeam.transforms.data.documents import DeadLetter
from noisebeam.transforms.io.storage import (
    check_writable,
    exists,
    join,
    list_names,
    publish,
    read_bytes,
    remove,
    size,
)
from noisebeam.transforms.output.finish import (
    DEAD_LETTERS_FOLDER,
    DeadLetterPart,
    Failure,
    count_all,
    reason_to_fail,
)
from noisebeam.transforms.output.manifest import (
    MANIFEST_NAME,
    Manifest,
    read_manifest,
    write_manifest,
)
from noisebeam.transforms.output.resume import (
    RECORD_NAME,
    InterruptedBuild,
    read_record,
    record_name,
    record_of_shard,
)
from noisebeam.transforms.shards.info import ShardInfo
from noisebeam.transforms.tokenization.tokenizer import CONFIG_FILE, TOKENIZER_FILE, LoadedTokenizer

TOKENIZER_FOLDER = "tokenizer"
FAILURE_NAME = "failure.json"

_FAILURE_BYTES = 2**24  # more than any failure has
_BUILD_FILES = re.compile(
    r"(shard|dead-letters)-\d+-of-\d+\.(tar|index\.npz|json|jsonl)"
    r"|\.writable-[0-9a-f]{32}|\..*\.[0-9a-f]{32}\.tmp"
)


@dataclass(frozen=True)
class OutputFolder:
    """Output folder of a build, a local path or an fsspec URL. Each write is atomic and can be
    repeated.
    """

    url: str

    def check_replaceable(self, overwrite: bool) -> None:
        """Raise ValueError if the folder has a finished build and `overwrite` is False."""
        if exists(self._path(MANIFEST_NAME)) and not overwrite:
            raise ValueError(
                f"{self.url} holds a finished build: give another --output, "
                "or --overwrite to replace it"
            )

    def begin(self, tokenizer: LoadedTokenizer, *, overwrite: bool = False) -> LoadedTokenizer:
        """Prepare the folder for shards; return the tokenizer, now loaded from its copy in the
        folder.

        The manifest of an older build in the folder is removed, so that it counts as unfinished.
        Raises ValueError if there is a finished build and `overwrite` is False, and OSError if the
        folder cannot be written to.
        """
        self.check_replaceable(overwrite)
        check_writable(self.url)
        self.remove_verdict()
        folder = self._path(TOKENIZER_FOLDER)
        publish(join(folder, TOKENIZER_FILE), tokenizer.tokenizer_json.encode())
        publish(join(folder, CONFIG_FILE), tokenizer.config_json.encode())
        return replace(tokenizer, name=folder)

    def remove_verdict(self) -> None:
        """Remove the manifest and the failure file of an older build."""
        for name in (MANIFEST_NAME, FAILURE_NAME):
            remove(self._path(name))

    def find_interrupted(self, fingerprint: str) -> InterruptedBuild:
        """Return what an interrupted run of the same build, with the same fingerprint, has finished
        in the folder.

        It has those recorded shards whose files have the recorded size, and whose indexes have the
        recorded sha256. ShardReader finds other damage.
        """
        return InterruptedBuild(fingerprint, tuple(self._finished_shards(fingerprint)))

    def record_shard(self, fingerprint: str, shard: ShardInfo) -> None:
        """Write a file that records that the build with this fingerprint has finished a shard."""
        publish(self._path(record_name(shard)), record_of_shard(fingerprint, shard))

    def write_dead_letters(
        self, letters: Iterable[DeadLetter], part: int, parts: int
    ) -> DeadLetterPart:
        """Write dead letters, sorted, as file number `part` of `parts` files; return a description
        of that file.

        Records without text are counted and not written.
        """
        name = f"dead-letters-{part:05d}-of-{parts:05d}.jsonl"
        lines, bad_files, empty = [], [], 0
        reasons: Counter[str] = Counter()
        for letter in letters:
            if letter.has_no_text:
                empty += 1
                continue
            lines.append(f"{letter.to_json()}\n".encode())
            if letter.record is None:
                bad_files.append(f"{letter.source}: {letter.reason}")
            else:
                reasons[letter.kind] += 1
        records = len(lines) - len(bad_files)
        publish(join(self._path(DEAD_LETTERS_FOLDER), name), b"".join(sorted(lines)))
        return DeadLetterPart(
            name, records, tuple(sorted(bad_files)), empty, tuple(sorted(reasons.items()))
        )

    def finish(
        self,
        header: Manifest,
        shards: Sequence[ShardInfo],
        dead_letters: Sequence[DeadLetterPart],
        max_bad_fraction: float,
        counted: Iterable[tuple[str, int]] = (),
    ) -> Manifest | Failure:
        """Write the manifest, which is `header` with shards and counts; or, if the build failed,
        `failure.json` with the reason.

        Files of older builds and of killed writers are removed first, so that a folder with a
        manifest has no other files. The build fails if the share of bad records is above
        `max_bad_fraction`. `counted` are further counts, pairs of a name and a number. Returns what
        was written.
        """
        shards = sorted(shards, key=lambda shard: shard.name)
        counts = {**count_all(shards, dead_letters), **dict(counted)}
        reason = reason_to_fail(counts, dead_letters, max_bad_fraction)
        if reason is None:
            manifest = replace(header, shards=tuple(shards), counts=counts)
            remove(self._path(FAILURE_NAME))
            self._remove_strays(shards, dead_letters)
            write_manifest(self.url, manifest)
            return manifest
        failure = Failure(reason, any(part.bad_files for part in dead_letters), counts)
        self._remove_strays(shards, dead_letters)
        return self.fail(failure)

    def fail(self, failure: Failure) -> Failure:
        """Write `failure.json`, which says why the build failed; return the failure."""
        text = json.dumps(asdict(failure), indent=1, sort_keys=True)
        publish(self._path(FAILURE_NAME), text.encode())
        return failure

    def read_outcome(self) -> Manifest | Failure:
        """Return the failure of the last build into this folder if there is one, else its manifest.

        Raises ManifestError if there is neither.
        """
        path = self._path(FAILURE_NAME)
        if exists(path):
            return Failure(**json.loads(read_bytes(path, _FAILURE_BYTES)))
        return read_manifest(self.url)

    def is_finished(self, header: Manifest) -> bool:
        """Return True if the folder has a finished build whose manifest, without shards and counts,
        is `header`.

        Returns False if the folder cannot be read.
        """
        with suppress(OSError, ValueError):
            found = replace(read_manifest(self.url), shards=(), counts={})
            return found.to_json() == header.to_json()
        return False

    def _path(self, name: str) -> str:
        """Return the URL of a file in this folder."""
        return join(self.url, name)

    def _finished_shards(self, fingerprint: str) -> Iterator[ShardInfo]:
        """Yield the whole shards that the build with this fingerprint has recorded in the
        folder.
        """
        names = list_names(self.url)
        for name in filter(RECORD_NAME.fullmatch, names):
            shard = read_record(name, read_bytes(self._path(name)), fingerprint)
            if shard and {shard.name, shard.index_name} <= set(names) and self._is_whole(shard):
                yield shard

    def _is_whole(self, shard: ShardInfo) -> bool:
        """Return True if the file of a shard has its recorded size, and its index the recorded
        sha256.
        """
        index = read_bytes(self._path(shard.index_name))
        return (
            size(self._path(shard.name)) == shard.bytes
            and sha256(index).hexdigest() == shard.index_sha256
        )

    def _remove_strays(
        self, shards: Sequence[ShardInfo], dead_letters: Sequence[DeadLetterPart]
    ) -> None:
        """Remove shards, dead letters, records and temporary files that do not belong to this
        build.
        """
        shard_files = {name for shard in shards for name in (shard.name, shard.index_name)}
        for folder, kept in (
            (self.url, shard_files),
            (self._path(DEAD_LETTERS_FOLDER), {part.name for part in dead_letters}),
            (self._path(TOKENIZER_FOLDER), set()),
        ):
            for name in list_names(folder):
                if _BUILD_FILES.fullmatch(name) and name not in kept:
                    remove(join(folder, name))
