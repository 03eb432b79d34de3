"""Small data sets whose samples tell their number, and what came out of them."""

from __future__ import annotations

import numpy as np
import torch

from noisebeam.pipeline import ShardDataset
from noisebeam.transforms.data.samples import Sample, batch_samples
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise import apply_recipe, load_recipe
from noisebeam.transforms.output.manifest import Manifest, write_manifest
from noisebeam.transforms.shards.format import field_dtypes
from noisebeam.transforms.shards.info import shard_of
from noisebeam.transforms.shards.writer import write_shard

SAMPLES = 150
VOCABULARY = Vocabulary(
    size=1000,
    prefix=(0,),
    suffix=(2,),
    special_ids=(0, 1, 2, 3, 999),
    pad_id=1,
    mask_id=999,
    bos_id=0,
    eos_id=2,
)
RECIPE = {"corruptions": [{"sentence-permutation": {}}, {"text-infilling": {"probability": 0.3}}]}


def make_samples(baked: bool, keep_clean: bool = True) -> list[Sample]:
    """Samples whose first token after the prefix tells their number, in two tokens."""
    rng = np.random.default_rng(0)
    samples = []
    for i in range(SAMPLES):
        sentences = rng.integers(2, 8, size=rng.integers(1, 5))
        ids = np.concatenate([[0], rng.integers(4, 999, size=sentences.sum()), [2]])
        ids[1:3] = 4 + i // 30, 4 + i % 30
        fields = {"ids": ids, "sentence_lengths": sentences}
        samples.append(
            Sample(int(rng.integers(0, 2**64, dtype=np.uint64)), f"doc {i // 2}", i % 2, fields)
        )
    if baked:
        flat = batch_samples(samples, prefix_length=1)
        noised = apply_recipe(load_recipe("bart"), flat, VOCABULARY, 17, 0)
        for i, sample in enumerate(samples):
            sample.fields.update({name: field.row(i) for name, field in noised.items()})
            if not keep_clean:
                del sample.fields["ids"], sample.fields["sentence_lengths"]
    return samples


def number(ids: torch.Tensor) -> int:
    return int(ids[1] - 4) * 30 + int(ids[2] - 4)


def write_set(
    url: str,
    *,
    baked: bool = False,
    keep_clean: bool = True,
    num_shards: int = 4,
    samples_per_member: int = 8,
) -> str:
    noise = {"baked": True, "recipe": load_recipe("bart").text} if baked else {}
    return write_samples(
        url, make_samples(baked, keep_clean), num_shards, samples_per_member, **noise
    )


def write_samples(
    url: str, samples: list[Sample], num_shards: int, samples_per_member: int, **noise
) -> str:
    """A finished build of these samples, with seed 17."""
    shards = shard_of([sample.key for sample in samples], 17, num_shards)
    dtypes = field_dtypes(1000, 64, labels_masked=False)
    infos = [
        write_shard(
            url,
            [sample for sample, at in zip(samples, shards, strict=True) if at == shard],
            index=shard,
            count=num_shards,
            seed=17,
            dtypes=dtypes,
            samples_per_member=samples_per_member,
        )
        for shard in range(num_shards)
    ]
    manifest = Manifest(
        seed=17,
        settings={},
        tokenizer={},
        vocabulary=VOCABULARY.to_json(),
        fields={name: dtype.name for name, dtype in dtypes.items()},
        max_tokens=64,
        samples_per_member=samples_per_member,
        shards=tuple(infos),
        **noise,
    )
    write_manifest(url, manifest)
    return url


def numbers(batches) -> list[list[int]]:
    return [[number(row) for row in batch["labels"]] for batch in batches]


def dataset(url: str, **changes) -> ShardDataset:
    return ShardDataset(url, **{"batch_size": 4, "seed": 3, "epoch": 1, "read_ahead": 2, **changes})


def equal(a, b) -> bool:
    return len(a) == len(b) and all(
        x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x)
        for x, y in zip(a, b, strict=True)
    )
