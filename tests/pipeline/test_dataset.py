import json
import os
import pickle
import subprocess
import sys
from itertools import islice

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from noisebeam.pipeline import ShardDataset
from noisebeam.pipeline.cache import ShardCache
from noisebeam.transforms.manifest import Manifest, ManifestError, write_manifest
from noisebeam.transforms.noise import apply_recipe, load_recipe
from noisebeam.transforms.samples import Sample, batch_samples
from noisebeam.transforms.shard_format import field_dtypes
from noisebeam.transforms.shard_reader import ShardError, ShardReader
from noisebeam.transforms.shards import shard_of, write_shard
from noisebeam.transforms.vocabulary import Vocabulary

SAMPLES = 150
VOCABULARY = Vocabulary(
    size=1000, prefix=(0,), suffix=(2,), special_ids=(0, 1, 2, 3, 999), pad_id=1, mask_id=999, bos_id=0, eos_id=2
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
        samples.append(Sample(int(rng.integers(0, 2**64, dtype=np.uint64)), f"doc {i // 2}", i % 2, fields))
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
    url: str, *, baked: bool = False, keep_clean: bool = True, num_shards: int = 4, samples_per_member: int = 8
) -> str:
    samples = make_samples(baked, keep_clean)
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
        baked=baked,
        shards=tuple(infos),
    )
    write_manifest(url, manifest)
    return url


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> str:
    return write_set(str(tmp_path_factory.mktemp("clean")))


@pytest.fixture(scope="module")
def baked_url(tmp_path_factory) -> str:
    return write_set(str(tmp_path_factory.mktemp("baked")), baked=True)


def numbers(batches) -> list[list[int]]:
    return [[number(row) for row in batch["labels"]] for batch in batches]


def dataset(url: str, **changes) -> ShardDataset:
    return ShardDataset(url, **{"batch_size": 4, "seed": 3, "epoch": 1, "read_ahead": 2, **changes})


def equal(a, b) -> bool:
    return len(a) == len(b) and all(
        x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x) for x, y in zip(a, b, strict=True)
    )


def test_an_epoch_has_each_sample_once_and_drops_the_tail(url):
    seen = [i for batch in numbers(dataset(url)) for i in batch]
    assert len(set(seen)) == len(seen) == 148
    assert len(dataset(url)) == 37


def test_padding_the_tail_repeats_samples_from_the_beginning(url):
    batches = numbers(dataset(url, tail="pad"))
    seen = [i for batch in batches for i in batch]
    assert set(seen) == set(range(SAMPLES))
    assert seen[SAMPLES:] == batches[0][:2]
    assert len(batches) == len(dataset(url, tail="pad")) == 38


def test_the_tail_is_told(url, caplog):
    caplog.set_level("INFO")
    list(dataset(url))
    list(dataset(url, tail="pad"))
    assert "37 batches a rank, tail: 2 samples" in caplog.text.replace("2 dropped", "2")
    assert "38 batches a rank, tail: 2 added from its beginning samples" in caplog.text


def test_clean_samples_are_inputs_and_labels(url):
    batch = next(iter(dataset(url)))
    assert batch["input_ids"].dtype == batch["attention_mask"].dtype == batch["labels"].dtype == torch.int64
    padding = batch["attention_mask"] == 0
    assert torch.all(batch["input_ids"][padding] == 1)
    assert torch.all(batch["labels"][padding] == -100)
    assert torch.equal(batch["input_ids"][~padding], batch["labels"][~padding])


def test_the_epoch_and_the_seed_change_the_order(url):
    orders = [numbers(dataset(url, seed=seed, epoch=epoch)) for seed in (0, 1) for epoch in (0, 1)]
    assert len({str(order) for order in orders}) == 4
    changed = dataset(url, seed=0, epoch=0)
    changed.set_epoch(1)
    assert numbers(changed) == orders[1]


def test_without_shuffle_samples_come_as_they_lie(url):
    data = dataset(url, shuffle=False)
    expected = [number(data.sample(i).fields["ids"]) for i in range(148)]
    assert [i for batch in numbers(data) for i in batch] == expected


def test_global_batches_are_the_same_sets_at_every_world_size(url):
    def batches(world_size: int) -> list[list[int]]:
        ranks = [
            numbers(dataset(url, batch_size=16 // world_size, rank=rank, world_size=world_size))
            for rank in range(world_size)
        ]
        return [sorted(i for share in shares for i in share) for shares in zip(*ranks, strict=True)]

    assert batches(1) == batches(2) == batches(4) == batches(8)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_loader_workers_give_the_same_batches_in_the_same_order(url, workers):
    for rank in range(2):
        data = dataset(url, rank=rank, world_size=2)
        assert equal(list(DataLoader(data, batch_size=None, num_workers=workers)), list(data))


def test_resume_from_every_position_on_other_ranks(url):
    whole = [i for batch in numbers(dataset(url, batch_size=2, tail="pad")) for i in batch]
    data = dataset(url, batch_size=2, tail="pad")
    states = [data.state_dict() for _ in data]
    for count, state in enumerate(states, start=1):
        state = json.loads(json.dumps(state))  # a checkpoint may be text
        rest = []
        for rank in range(world_size := 1 + count % 4):
            resumed = dataset(url, batch_size=3, rank=rank, world_size=world_size, epoch=0)
            resumed.load_state_dict(state)
            rest += [i for batch in numbers(resumed) for i in batch]
        assert len(set(rest)) == len(rest)
        left = whole[2 * count :]
        assert len(rest) == len(left) // (3 * world_size) * 3 * world_size
        assert set(rest) == set(left[: len(rest)])


def test_resuming_gives_the_very_batches_that_were_to_come(url):
    whole = list(dataset(url, recipe=RECIPE))
    data = dataset(url, recipe=RECIPE)
    list(islice(data, 11))
    resumed = dataset(url, recipe=RECIPE, epoch=5)
    resumed.load_state_dict(data.state_dict())
    assert resumed.epoch == 1
    assert equal(list(resumed), whole[11:])
    assert equal(list(resumed), whole)  # and the next time from the start


def test_to_resume_costs_what_a_start_costs(url, monkeypatch):
    read, block = [], ShardReader.block
    monkeypatch.setattr(ShardReader, "block", lambda reader, i: read.append(i) or block(reader, i))

    def blocks_of_first_batch(position: int) -> int:
        data = dataset(url, read_ahead=0, batch_size=128)
        data.load_state_dict({**data.state_dict(), "position": position})
        read.clear()
        next(iter(data), None)
        return len(read)

    assert blocks_of_first_batch(20) <= blocks_of_first_batch(0) + 1


def test_a_loaded_position_stays_when_its_own_epoch_is_set(url):
    whole = list(dataset(url))
    data = dataset(url, epoch=0)
    data.load_state_dict({**dataset(url).state_dict(), "position": 40})
    data.set_epoch(1)
    assert equal(list(data), whole[10:])
    data.load_state_dict({**dataset(url).state_dict(), "position": 40})
    data.set_epoch(2)
    assert equal(list(data), list(dataset(url, epoch=2)))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("steps", [1, 5, 20])
def test_a_stateful_loader_resumes(url, workers, steps):
    whole = list(dataset(url))
    loader = StatefulDataLoader(dataset(url), batch_size=None, num_workers=workers)
    batches = iter(loader)
    assert equal(list(islice(batches, steps)), whole[:steps])
    state = loader.state_dict()
    resumed = StatefulDataLoader(dataset(url), batch_size=None, num_workers=workers)
    resumed.load_state_dict(state)
    assert equal(list(resumed), whole[steps:])


def test_a_plain_loader_with_workers_resumes_by_the_number_of_batches(url):
    whole, data = list(dataset(url)), dataset(url)
    list(islice(DataLoader(data, batch_size=None, num_workers=2), 7))
    resumed = dataset(url)
    resumed.load_state_dict(data.state_dict(batches=7))
    assert equal(list(DataLoader(resumed, batch_size=None, num_workers=2)), whole[7:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 4}, "expected a state with seed 3, got 4; give the data set what it had"),
        ({"samples": 10}, "expected a state with samples 150, got 10"),
        ({"shuffle": False}, "expected a state with shuffle True, got False"),
        (
            {"worker": {"id": 0, "of": 2, "batches": 1, "global_batch_size": 9}},
            "expected the state of a loader worker with 4 samples in a global batch, got 9",
        ),
    ],
)
def test_a_state_of_other_data_is_an_error(url, changes, message):
    with pytest.raises(ValueError, match=message):
        dataset(url).load_state_dict({**dataset(url).state_dict(), **changes})


def test_the_state_of_a_worker_is_not_that_of_another(url):
    data = dataset(url)
    data.load_state_dict({**data.state_dict(), "worker": {"id": 1, "of": 2, "batches": 1, "global_batch_size": 4}})
    with pytest.raises(ValueError, match="expected the state of loader worker 0 of 1, got that of worker 1 of 2"):
        next(iter(data))


def test_noise_on_the_fly_is_that_of_the_kernel_whatever_the_batch_size(url):
    by_number = {}
    for batch_size in (1, 4, 50):
        for batch in dataset(url, recipe=RECIPE, batch_size=batch_size):
            for ids, mask, labels in zip(batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True):
                noised = ids[mask == 1].tolist()
                assert by_number.setdefault(number(labels), noised) == noised
    flat = batch_samples(make_samples(baked=False), prefix_length=1)
    expected = apply_recipe(load_recipe(RECIPE), flat, VOCABULARY, 3, 1)["input_ids"]
    assert len(by_number) == SAMPLES
    assert all(ids == expected.row(i).tolist() for i, ids in by_number.items())


def test_noise_on_the_fly_is_the_noise_that_was_baked(url, baked_url):
    baked = list(ShardDataset(baked_url, batch_size=4, seed=17, epoch=0))
    assert equal(list(ShardDataset(url, "bart", batch_size=4, seed=17, epoch=0)), baked)
    assert any(torch.any(batch["input_ids"] == 999) for batch in baked)


def test_noise_is_fresh_in_every_epoch(url):
    epochs = []
    data = dataset(url, recipe=RECIPE)
    for epoch in (0, 1):
        data.set_epoch(epoch)
        epochs.append(
            {number(row): ids.tolist() for b in data for row, ids in zip(b["labels"], b["input_ids"], strict=True)}
        )
    assert sum(epochs[0][i] != epochs[1][i] for i in epochs[0].keys() & epochs[1].keys()) > 100


def test_the_classic_form_gives_the_same_samples(tmp_path, url):
    classic = write_set(str(tmp_path), samples_per_member=1)
    assert {i for batch in numbers(dataset(classic, tail="pad")) for i in batch} == set(range(SAMPLES))


def test_widths_are_multiples_on_request(url):
    assert all(b["input_ids"].shape[1] % 8 == b["labels"].shape[1] % 8 == 0 for b in dataset(url, pad_to_multiple=8))


def test_sample_gives_what_was_stored(url):
    data = dataset(url)
    by_key = {sample.key: sample for sample in make_samples(baked=False)}
    found = [data.sample(i) for i in range(SAMPLES)]
    assert {sample.key for sample in found} == by_key.keys()
    for sample in found:
        np.testing.assert_array_equal(sample.fields["ids"], by_key[sample.key].fields["ids"])
    with pytest.raises(IndexError, match="expected a sample from 0 to 149, got 150"):
        data.sample(150)


def test_a_view_gives_the_samples_of_the_stream_by_number(url):
    data = dataset(url, recipe=RECIPE)
    view = data.view()
    by_number = {number(example["labels"]): example for example in map(view.__getitem__, range(len(view)))}
    assert by_number.keys() == set(range(SAMPLES))
    for batch in data:
        for ids, mask, labels in zip(batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True):
            assert by_number[number(labels)]["input_ids"].tolist() == ids[mask == 1].tolist()
    with pytest.raises(IndexError, match="expected a sample from 0 to 149, got -1"):
        view[-1]


def test_a_view_serves_an_ordinary_loader(url):
    view = pickle.loads(pickle.dumps(dataset(url).view()))
    loader = DataLoader(view, batch_size=16, shuffle=True, num_workers=2, collate_fn=lambda examples: examples)
    assert sorted(number(example["labels"]) for batch in loader for example in batch) == list(range(SAMPLES))


def test_a_view_is_a_source_for_grain(url):
    grain = pytest.importorskip("grain", reason="Grain is not installed")
    examples = grain.MapDataset.source(dataset(url).view()).shuffle(seed=1).to_iter_dataset()
    assert sorted(number(example["labels"]) for example in examples) == list(range(SAMPLES))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "expected batch_size of at least 1, got 0"),
        ({"seed": -1}, "expected seed of at least 0, got -1"),
        ({"rank": 2, "world_size": 2}, "expected rank from 0 to world_size - 1, got rank=2, world_size=2"),
        ({"rank": 2}, "expected both rank and world_size or neither, got rank=2, world_size=None"),
        ({"tail": "cut"}, "expected tail to be 'drop' or 'pad', got 'cut'"),
        ({"recipe": "brat"}, "'brat'"),
    ],
)
def test_wrong_settings_are_errors(url, settings, message):
    with pytest.raises(ValueError, match=message):
        dataset(url, **settings)


def test_an_unfinished_build_is_an_error(tmp_path):
    with pytest.raises(ManifestError, match=r"has no manifest\.json: it is no data set, or an unfinished build"):
        dataset(str(tmp_path))


def test_baked_shards_that_keep_clean_ids_can_be_noised_afresh(url, baked_url):
    assert equal(list(dataset(baked_url, recipe=RECIPE)), list(dataset(url, recipe=RECIPE)))


def test_baked_shards_without_clean_ids_cannot_be_noised_again(tmp_path):
    url = write_set(str(tmp_path), baked=True, keep_clean=False)
    assert len(next(iter(dataset(url)))["labels"]) == 4
    with pytest.raises(
        ShardError, match="expected shards with the field 'ids', got input_ids, labels; build them again"
    ):
        next(iter(dataset(url, recipe=RECIPE)))


@pytest.mark.parametrize("read_ahead", [0, 2])
@pytest.mark.parametrize(
    ("ending", "damage", "message"),
    [
        (".tar", lambda data: None, r"cannot open shard .*shard-00002-of-00004\.tar: No such file"),
        (".tar", lambda data: data[:-3000], r"shard .*shard-00002-of-00004\.tar is truncated: expected \d+ bytes, got"),
        (
            ".tar",
            lambda data: data[:900] + bytes([data[900] ^ 1]) + data[901:],
            r"00002-of-00004\.tar is damaged in block 0",
        ),
        (".index.npz", lambda data: None, r"the index .*shard-00002-of-00004\.index\.npz is missing"),
        (".index.npz", lambda data: data + b"x", r"the index .*00002-of-00004\.index\.npz is damaged: expected sha256"),
    ],
)
def test_a_damaged_set_is_an_error_that_names_the_file(tmp_path, read_ahead, ending, damage, message):
    write_set(str(tmp_path))
    path = tmp_path / f"shard-00002-of-00004{ending}"
    data = damage(path.read_bytes())
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ShardError, match=message):
        list(dataset(str(tmp_path), read_ahead=read_ahead))


def test_remote_shards_come_through_the_cache(tmp_path, url):
    remote = write_set("memory://remote-set")
    cache = ShardCache(folder=str(tmp_path))
    assert equal(list(dataset(remote, cache=cache)), list(dataset(url)))
    assert len(list(tmp_path.iterdir())) == 4


def test_importing_the_package_and_training_need_neither_beam_nor_stanza(url):
    code = f"""
import sys
import noisebeam.pipeline
assert not {{"torch", "apache_beam", "stanza"}} & set(sys.modules), "import"
assert noisebeam.pipeline.ShardDataset
for batch in noisebeam.pipeline.ShardDataset({url!r}, "bart", batch_size=4):
    pass
assert not {{"apache_beam", "stanza", "tokenizers", "transformers"}} & set(sys.modules), "use"
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
