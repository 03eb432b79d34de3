"""To go on near the end of an epoch of a million samples costs what a start costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from support import cost_of_start
from support.sets import VOCABULARY

from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.output.manifest import Manifest, write_manifest
from noisebeam.transforms.shards.format import field_dtypes
from noisebeam.transforms.shards.info import index_name, shard_name
from noisebeam.transforms.shards.writer import write_shard

SHARDS, SAMPLES = 16, 62_500  # samples of each shard
# 90 %, of what a filter leaves too; windows of batchings begin there.
NEAR_THE_END = {"filtered": 720_896}
# In its first window each of the 64 streams may be between two blocks. A batch of 64 samples has
# one of each stream.
MORE_BLOCKS = {"packed": 64}


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> str:
    """16 shards that are one file under 16 names."""
    folder = tmp_path_factory.mktemp("million")
    rng, dtypes = np.random.default_rng(0), field_dtypes(VOCABULARY.size, 512, labels_masked=False)
    tokens, keys = (
        rng.integers(4, 999, (SAMPLES, 8)),
        rng.integers(0, 2**64, SAMPLES, dtype=np.uint64).tolist(),
    )
    lengths, sentences = rng.integers(4, 9, SAMPLES).tolist(), [np.array([n]) for n in range(9)]
    samples = [
        Sample(key, "", 0, {"ids": ids[:n], "sentence_lengths": sentences[n - 2]})
        for key, ids, n in zip(keys, tokens, lengths, strict=True)
    ]
    words = {"count": SHARDS, "seed": 0, "dtypes": dtypes, "samples_per_member": 1024}
    first = write_shard(str(folder), samples, index=0, **words)
    infos = [first]
    for i in range(1, SHARDS):
        names = {"name": shard_name(i, SHARDS), "index_name": index_name(shard_name(i, SHARDS))}
        for name, other in names.items():
            os.link(folder / getattr(first, name), folder / other)
        infos.append(replace(first, **names))
    manifest = Manifest(
        seed=0,
        settings={},
        tokenizer={},
        vocabulary=VOCABULARY.to_json(),
        fields={name: dtype.name for name, dtype in dtypes.items()},
        max_tokens=512,
        samples_per_member=1024,
        shards=tuple(infos),
    )
    write_manifest(str(folder), manifest)
    return str(folder)


def cost(kind: str, url: str, position: int) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, cost_of_start.__file__, kind, url, str(position)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", cost_of_start.SETTINGS)
def test_a_resume_near_the_end_reads_what_a_start_reads(million: str, kind: str) -> None:
    start, resume = cost(kind, million, 0), cost(kind, million, NEAR_THE_END.get(kind, 901_120))
    print(kind, start, resume)
    assert resume["indexes"] <= start["indexes"] + 1
    assert resume["blocks"] <= start["blocks"] + MORE_BLOCKS.get(kind, 1)
    assert resume["seconds"] < start["seconds"] + 1
