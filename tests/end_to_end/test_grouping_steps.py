"""Every step where elements meet by key: why no key gets more than its share. A new one is to be
thought through.
"""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest

from noisebeam.pipeline.builder.options import BuildOptions
from noisebeam.pipeline.builder.plan import assemble, make_plan
from noisebeam.transforms.beam import ReadDocuments

GROUPS = {
    "ReadDocuments/Spread/ReshufflePerKey": "random keys",
    "ReadDocuments/SpreadDocuments/ReshufflePerKey": "random keys",
    "CleanDocuments/DropDuplicates/GroupTexts": "32 bytes for a few copies of each bundle",
    "CleanDocuments/DropDuplicates/GroupBands": (
        "160 bytes a document: those that are nearly the same do meet"
    ),
    "CleanDocuments/DropDuplicates/Join/CoGroupByKeyImpl": "a key for each document",
    "CleanDocuments/PerElement/CombinePerKey(CountCombineFn)": "counted in each bundle first",
    "WriteShards/GroupShards": "hashes of samples, and two copies of each bundle",
    "WriteShards/SumTokens/CombinePerKey": "added up in each bundle first",
    "WriteShards/_WriteDeadLetters/SumBytes/CombinePerKey": "added up in each bundle first",
    "WriteShards/_WriteDeadLetters/GroupParts": "hashes of dead letters with their places",
}


def test_the_groups_of_the_whole_pipeline_are_those_thought_of(
    corpus: Path, tokenizer: str, tmp_path: Path
) -> None:
    pytest.importorskip("rensa", reason="needs noisebeam[dedup]")
    files = [str(corpus / "corpus.jsonl")]
    options = BuildOptions.of(
        input=files, output=str(tmp_path), tokenizer=tokenizer, recipe="bart", near_duplicates=0.8
    )
    pipeline = beam.Pipeline()
    assemble(pipeline, make_plan(options, ReadDocuments(files)))
    transforms = pipeline.to_runner_api().components.transforms.values()
    groups = {
        one.unique_name for one in transforms if one.spec.urn == "beam:transform:group_by_key:v1"
    }
    assert {name.removesuffix("/GroupByKey") for name in groups} == set(GROUPS)
