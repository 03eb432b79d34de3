"""PTransforms that write shards.

samples -> tables -> (shard, table) -> GroupByKey -> one shard file each -> manifest
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import AsList, AsSingleton, TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from noisebeam.transforms.beam.common import counter, timed
from noisebeam.transforms.data.documents import DeadLetter
from noisebeam.transforms.data.keys import text_key
from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.output.finish import DeadLetterPart, Failure
from noisebeam.transforms.output.folder import OutputFolder
from noisebeam.transforms.output.manifest import Manifest
from noisebeam.transforms.output.resume import InterruptedBuild
from noisebeam.transforms.shards.held_out import held_out_shards, shards_of
from noisebeam.transforms.shards.info import ShardInfo
from noisebeam.transforms.shards.sample_packer import SamplePacker
from noisebeam.transforms.shards.sample_table import SampleTable
from noisebeam.transforms.shards.writer import write_shard

TOKENS_PER_SHARD = 2**26
_DEAD_BYTES_PER_PART = 2**26
_TOKENS = "tokens"
_OTHER_BYTES = 64  # of a line: the names of the fields, and the position


class WriteShards(beam.PTransform):  # type: ignore[misc]
    """PTransform that writes samples to shards in the folder `output`, and the manifest last.

    The input are samples, or a tuple of samples and any number of collections of dead letters,
    which are written too. The output is one element: the Manifest; or the Failure, if more than
    `max_bad_fraction` of all records are bad or an input file cannot be read to its end. Then there
    is no manifest, and `failure.json` has the reason.

    `header` is the manifest without counts and shards. Without `num_shards`, their number follows
    from the number of tokens. `counts` are pairs of a name and a number, as from CleanDocuments,
    for the manifest. The shard and the position of a sample are hashes of seed and key: every
    attempt of every runner writes the same files. If the settings of the header have a share
    `held_out`, so many documents go to shards of their own, the last ones. The shards of
    `interrupted` are not written again; with its fingerprint, a record file is written for each
    finished shard.
    """

    def __init__(
        self,
        output: str,
        header: Manifest,
        num_shards: int | None = None,
        max_bad_fraction: float = 0.01,
        counts: Any = None,
        interrupted: InterruptedBuild = InterruptedBuild(),  # noqa: B008
    ) -> None:
        super().__init__()
        self.output = output
        self.header = header
        self.num_shards = num_shards
        self.max_bad_fraction = max_bad_fraction
        self.counts = counts
        self.interrupted = interrupted

    def expand(self, inputs: Any) -> Any:
        samples, *dead_letters = inputs if isinstance(inputs, tuple) else (inputs,)
        packed = samples | "PackSamples" >> beam.ParDo(_Pack()).with_outputs(_TOKENS, main="tables")
        tables = packed.tables
        held_out = self.header.settings.get("held_out", 0.0)
        least = 2 if held_out else 1
        known = self.num_shards or self.interrupted.num_shards
        num_shards = (
            max(known, least)
            if known
            else AsSingleton(
                packed[_TOKENS]
                | "SumTokens" >> beam.CombineGlobally(sum)
                | "CountShards" >> beam.Map(_shares, TOKENS_PER_SHARD, least)
            )
        )
        shards = (
            tables
            | "AssignShards"
            >> beam.FlatMap(
                _assign, self.header.seed, num_shards, held_out, self.interrupted.numbers
            ).with_output_types(tuple[int, SampleTable])
            | "GroupShards" >> beam.GroupByKey()
            | "WriteShards"
            >> beam.Map(
                _write_shard, num_shards, self.output, self.header, self.interrupted.fingerprint
            ).with_output_types(ShardInfo)
        )
        parts = dead_letters and (
            dead_letters | beam.Flatten() | _WriteDeadLetters(OutputFolder(self.output))
        )
        pipeline = samples.pipeline
        return (
            pipeline
            | "Finish" >> beam.Create([self.output], reshuffle=False)
            | "WriteManifest"
            >> beam.Map(
                _finish,
                self.header,
                self.interrupted.shards,
                AsList(shards),
                AsList(parts) if parts else [],
                self.max_bad_fraction,
                AsList(self.counts) if self.counts is not None else [],
            ).with_output_types(Manifest | Failure)
        )

    def display_data(self) -> dict[str, Any]:
        return {
            "output": self.output,
            "num_shards": self.num_shards or "by tokens",
            "seed": self.header.seed,
        }


class _WriteDeadLetters(beam.PTransform):  # type: ignore[misc]
    """PTransform that writes dead letters to files in the output folder, and outputs a description
    of each file.
    """

    def __init__(self, output: OutputFolder) -> None:
        super().__init__()
        self.output = output

    def expand(self, letters: Any) -> Any:
        parts = AsSingleton(
            letters
            | "CountBytes" >> beam.Map(_line_bytes).with_output_types(int)
            | "SumBytes" >> beam.CombineGlobally(sum)
            | "CountParts" >> beam.Map(_shares, _DEAD_BYTES_PER_PART)
        )
        return (
            letters
            | "AssignParts"
            >> beam.Map(_assign_part, parts).with_output_types(tuple[int, DeadLetter])
            | "GroupParts" >> beam.GroupByKey()
            | "WriteParts"
            >> beam.Map(_write_part, parts, self.output).with_output_types(DeadLetterPart)
        )


def _shares(total: int, size: int, least: int = 1) -> int:
    """Return how many parts of `size` each are needed for `total`, at least `least`."""
    return max(least, -(-total // size))


@beam.typehints.with_output_types(SampleTable)
class _Pack(beam.DoFn):  # type: ignore[misc]
    """DoFn that packs the samples of a bundle into tables, and outputs the number of their tokens,
    copies included.
    """

    def start_bundle(self) -> None:
        self._packer = SamplePacker()
        self._tokens = 0

    def process(self, sample: Sample) -> Iterator[SampleTable]:
        self._tokens += len(sample.fields["ids"])
        return self._packer.add(sample)

    def finish_bundle(self) -> Iterator[Any]:
        for table in self._packer.rest():
            yield _globally(table)
        yield TaggedOutput(_TOKENS, _globally(self._tokens))


def _globally(value: Any) -> WindowedValue:
    """Return a value as an element of Beam's global window, for `finish_bundle`."""
    return WindowedValue(value, GlobalWindow().max_timestamp(), [GlobalWindow()])


def _assign(
    table: SampleTable, seed: int, num_shards: int, held_out: float, finished: frozenset[int]
) -> Iterator[tuple[int, SampleTable]]:
    """Yield the samples of a table by shard: the number of the shard, and a table; shards that are
    finished are left out.
    """
    for shard, samples in table.split(
        shards_of(table.keys, table.documents, seed, num_shards, held_out)
    ):
        if shard not in finished:
            yield shard, samples


def _line_bytes(letter: DeadLetter) -> int:
    """Return the approximate size in bytes of a dead letter as a line of its file."""
    return _OTHER_BYTES + len(letter.source) + len(letter.reason) + len(letter.record or b"")


def _assign_part(letter: DeadLetter, parts: int) -> tuple[int, DeadLetter]:
    """Return the number of the file for a dead letter, of `parts` files, and the dead letter."""
    return text_key(letter.to_json()) % parts, letter


def _write_part(
    keyed: tuple[int, Iterable[DeadLetter]], parts: int, output: OutputFolder
) -> DeadLetterPart:
    """Write the dead letters of one file, and return a description of the file."""
    part, letters = keyed
    return output.write_dead_letters(letters, part, parts)


def _write_shard(
    keyed: tuple[int, Iterable[SampleTable]],
    num_shards: int,
    output: str,
    header: Manifest,
    fingerprint: str | None,
) -> ShardInfo:
    """Write one shard, record it if the build has a fingerprint, and return its entry in the
    manifest.
    """
    index, tables = keyed
    with timed("write"):
        info = write_shard(
            output,
            SampleTable.joined(tables),
            index=index,
            count=num_shards,
            seed=header.seed,
            dtypes={name: np.dtype(dtype) for name, dtype in header.fields.items()},
            samples_per_member=header.samples_per_member,
        )
        kept = held_out_shards(num_shards, header.settings.get("held_out", 0.0))
        info = replace(info, held_out=index >= num_shards - kept)
        if fingerprint is not None:
            OutputFolder(output).record_shard(fingerprint, info)
    counter("shards").inc()
    counter("shard-bytes").inc(info.bytes)
    return info


def _finish(
    output: str,
    header: Manifest,
    finished: Sequence[ShardInfo],
    written: Sequence[ShardInfo],
    *others: Any,
) -> Manifest | Failure:
    """Write the manifest of finished and written shards, or the failure; `others` are further
    arguments of `OutputFolder.finish`.
    """
    return OutputFolder(output).finish(header, [*finished, *written], *others)
