"""What a data set gives: samples, noise, views; and what it says of wrong settings and damaged
files.
"""

import os
import pickle
import subprocess
import sys
from multiprocessing import get_context

import grain
import numpy as np
import pytest
import torch
from support.sets import (
    RECIPE,
    SAMPLES,
    VOCABULARY,
    dataset,
    equal,
    make_samples,
    number,
    numbers,
    write_set,
)
from torch.utils.data import DataLoader

from noisebeam.pipeline import ShardDataset
from noisebeam.pipeline.epoch.shard_cache import ShardCache
from noisebeam.transforms.data.samples import batch_samples
from noisebeam.transforms.noise import apply_recipe, load_recipe
from noisebeam.transforms.output.manifest import ManifestError
from noisebeam.transforms.shards.reader import ShardError


def test_clean_samples_are_inputs_and_labels(url):
    batch = next(iter(dataset(url)))
    assert (
        batch["input_ids"].dtype
        == batch["attention_mask"].dtype
        == batch["labels"].dtype
        == torch.int64
    )
    padding = batch["attention_mask"] == 0
    assert torch.all(batch["input_ids"][padding] == 1)
    assert torch.all(batch["labels"][padding] == -100)
    assert torch.equal(batch["input_ids"][~padding], batch["labels"][~padding])


def test_noise_on_the_fly_is_that_of_the_kernel_whatever_the_batch_size(url):
    by_number = {}
    for batch_size in (1, 4, 50):
        for batch in dataset(url, recipe=RECIPE, batch_size=batch_size):
            for ids, mask, labels in zip(
                batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True
            ):
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
            {
                number(row): ids.tolist()
                for b in data
                for row, ids in zip(b["labels"], b["input_ids"], strict=True)
            }
        )
    assert sum(epochs[0][i] != epochs[1][i] for i in epochs[0].keys() & epochs[1].keys()) > 100


def test_the_classic_form_gives_the_same_samples(tmp_path, url):
    classic = write_set(str(tmp_path), samples_per_member=1)
    assert {i for batch in numbers(dataset(classic, tail="pad")) for i in batch} == set(
        range(SAMPLES)
    )


@pytest.mark.parametrize("recipe", [None, RECIPE])
@pytest.mark.parametrize("baked", [False, True])
def test_rows_are_those_of_the_batches_without_padding(url, baked_url, recipe, baked):
    data = dataset(baked_url if baked else url, recipe=recipe, tail="pad", batch_size=50)
    expected = [row for batch in data for row in unpadded(batch)]
    assert [{name: row.tolist() for name, row in rows.items()} for rows in data.rows()] == expected
    assert [rows["labels"].tolist() for rows in data.rows(start=100)] == [
        row["labels"] for row in expected[100:]
    ]
    assert all(
        (rows["input_ids"] is rows["labels"]) == (recipe is None and not baked)
        for rows in data.rows()
    )
    data = dataset(baked_url if baked else url, recipe=recipe, rank=1, world_size=3)
    assert [rows["labels"].tolist() for rows in data.rows()] == [
        row["labels"] for row in expected[1::3]
    ]


def unpadded(batch):
    for ids, mask, labels in zip(
        batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True
    ):
        yield {"input_ids": ids[mask == 1].tolist(), "labels": labels[labels != -100].tolist()}


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
    by_number = {
        number(example["labels"]): example for example in map(view.__getitem__, range(len(view)))
    }
    assert by_number.keys() == set(range(SAMPLES))
    for batch in data:
        for ids, mask, labels in zip(
            batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True
        ):
            assert by_number[number(labels)]["input_ids"].tolist() == ids[mask == 1].tolist()
    with pytest.raises(IndexError, match="expected a sample from 0 to 149, got -1"):
        view[-1]


def test_a_view_serves_an_ordinary_loader(url):
    view = pickle.loads(pickle.dumps(dataset(url).view()))
    loader = DataLoader(
        view, batch_size=16, shuffle=True, num_workers=2, collate_fn=lambda examples: examples
    )
    assert sorted(number(example["labels"]) for batch in loader for example in batch) == list(
        range(SAMPLES)
    )


def test_a_view_is_a_source_for_grain_which_resumes_on_it(url):
    examples = grain.MapDataset.source(dataset(url).view()).shuffle(seed=1).to_iter_dataset()
    whole = [number(example["labels"]) for example in examples]
    assert sorted(whole) == list(range(SAMPLES)) != whole
    begun, resumed = iter(examples), iter(examples)
    assert [number(next(begun)["labels"]) for _ in range(60)] == whole[:60]
    resumed.set_state(begun.get_state())
    assert [number(example["labels"]) for example in resumed] == whole[60:]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "expected batch_size to be a whole number of at least 1, got 0"),
        ({"batch_size": 4.0}, r"expected batch_size to be a whole number of at least 1, got 4\.0"),
        ({"seed": -1}, "expected seed to be a whole number from 0 to 18446744073709551615, got -1"),
        (
            {"seed": 2**64},
            "expected seed to be a whole number from 0 to 18446744073709551615, got "
            "1844674407370955161",
        ),
        (
            {"epoch": -1},
            "expected epoch to be a whole number from 0 to 9223372036854775807, got -1",
        ),
        (
            {"batching": "packed"},
            "expected batching to be OneByOne, GroupByLength or Pack, got 'packed'",
        ),
        (
            {"rank": 2, "world_size": 2},
            "expected rank from 0 to world_size - 1, got rank=2, world_size=2",
        ),
        ({"rank": 2}, "expected both rank and world_size or neither, got rank=2, world_size=None"),
        ({"tail": "cut"}, "expected tail to be 'drop' or 'pad', got 'cut'"),
        ({"recipe": "brat"}, "'brat'"),
    ],
)
def test_wrong_settings_are_errors(url, settings, message):
    with pytest.raises(ValueError, match=message):
        dataset(url, **settings)


def test_an_unfinished_build_is_an_error(tmp_path):
    with pytest.raises(
        ManifestError, match=r"has no manifest\.json: it is no data set, or an unfinished build"
    ):
        dataset(str(tmp_path))


def test_baked_shards_that_keep_clean_ids_can_be_noised_afresh(url, baked_url):
    assert equal(list(dataset(baked_url, recipe=RECIPE)), list(dataset(url, recipe=RECIPE)))


def test_baked_shards_without_clean_ids_cannot_be_noised_again(tmp_path):
    url = write_set(str(tmp_path), baked=True, keep_clean=False)
    assert len(next(iter(dataset(url)))["labels"]) == 4
    with pytest.raises(
        ShardError,
        match="expected shards with the field 'ids', got input_ids, labels; build them again",
    ):
        next(iter(dataset(url, recipe=RECIPE)))


@pytest.mark.parametrize("read_ahead", [0, 2])
@pytest.mark.parametrize(
    ("ending", "damage", "message"),
    [
        (".tar", lambda data: None, r"cannot open shard .*shard-00002-of-00004\.tar: No such file"),
        (
            ".tar",
            lambda data: data[:-3000],
            r"shard .*shard-00002-of-00004\.tar is truncated: expected \d+ bytes, got",
        ),
        (
            ".tar",
            lambda data: data[:900] + bytes([data[900] ^ 1]) + data[901:],
            r"00002-of-00004\.tar is damaged in block 0",
        ),
        (
            ".index.npz",
            lambda data: None,
            r"the index .*shard-00002-of-00004\.index\.npz is missing",
        ),
        (
            ".index.npz",
            lambda data: data + b"x",
            r"the index .*00002-of-00004\.index\.npz is damaged: expected sha256",
        ),
    ],
)
def test_a_damaged_set_is_an_error_that_names_the_file(
    tmp_path, read_ahead, ending, damage, message
):
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
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


AFTER_MAIN = """
import sys, threading
from noisebeam.pipeline import ShardDataset

data = ShardDataset(sys.argv[1], batch_size=4)

def train():
    threading.main_thread().join()
    print(len(list(data)))

threading.Thread(target=train).start()
"""


def test_a_thread_reads_on_when_the_main_thread_has_ended(url):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", AFTER_MAIN, url], env=environment, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == (f"{SAMPLES // 4}\n", "")


def test_a_forked_process_reads_on_where_rows_were_begun(url):
    data = dataset(url)
    data.chunk = 20
    rows = data.rows()
    left = sum(1 for _ in data.rows()) - 1
    next(rows)
    process = get_context("fork").Process(target=lambda: sys.exit(sum(1 for _ in rows) != left))
    process.start()
    process.join(60)
    assert process.exitcode == 0
