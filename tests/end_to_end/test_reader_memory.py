"""The memory of a reader: bounded, and the same for a corpus of any size."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.memory import PEAK
from support.sets import VOCABULARY

from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.output.manifest import Manifest, write_manifest
from noisebeam.transforms.shards.format import field_dtypes
from noisebeam.transforms.shards.info import samples_per_block
from noisebeam.transforms.shards.writer import write_shard

pytestmark = pytest.mark.slow

READ = f"""
import sys
import torch
from noisebeam.pipeline import ShardDataset
before = {PEAK}
for batch in ShardDataset(sys.argv[1], batch_size=32):
    pass
print(({PEAK} - before) / 1e6)
"""


def write(url: str, shards: int) -> None:
    """Shards of 1,024 samples, a block each, of 512 tokens."""
    rng, dtypes = np.random.default_rng(0), field_dtypes(VOCABULARY.size, 512, labels_masked=False)
    infos = []
    for shard in range(shards):
        samples = [
            Sample(
                int(key),
                "",
                0,
                {"ids": rng.integers(4, 999, 512), "sentence_lengths": np.array([510])},
            )
            for key in rng.integers(0, 2**64, 1024, dtype=np.uint64)
        ]
        settings = {
            "count": shards,
            "seed": 0,
            "dtypes": dtypes,
            "samples_per_member": samples_per_block(512),
        }
        infos.append(write_shard(url, samples, index=shard, **settings))
    fields = {name: dtype.name for name, dtype in dtypes.items()}
    common = {"seed": 0, "settings": {}, "tokenizer": {}, "vocabulary": VOCABULARY.to_json()}
    write_manifest(
        url,
        Manifest(
            **common, fields=fields, max_tokens=512, samples_per_member=1024, shards=tuple(infos)
        ),
    )


def megabytes(url: Path, shards: int) -> float:
    """What reading an epoch takes above `import torch`."""
    write(str(url), shards)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(url)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def test_a_reader_takes_less_than_300_megabytes_whatever_the_size(tmp_path):
    one, two = (megabytes(tmp_path / str(shards), shards) for shards in (96, 192))
    assert one < 300
    assert two < one + 30
