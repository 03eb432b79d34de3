import numpy as np
import pytest

from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.io.storage import join, list_names, publish, read_bytes, remove
from noisebeam.transforms.output.folder import OutputFolder
from noisebeam.transforms.output.resume import InterruptedBuild
from noisebeam.transforms.shards.format import field_dtypes
from noisebeam.transforms.shards.info import ShardInfo
from noisebeam.transforms.shards.writer import write_shard


def write(url: str, index: int) -> ShardInfo:
    samples = [
        Sample(
            key, f"doc {key}", 0, {"ids": np.array([1, 2, key]), "sentence_lengths": np.array([3])}
        )
        for key in (3, 4)
    ]
    dtypes = field_dtypes(100, 64, labels_masked=False)
    info = write_shard(url, samples, index=index, count=8, seed=17, dtypes=dtypes)
    OutputFolder(url).record_shard("this", info)
    return info


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    return {"local": str(tmp_path), "memory": f"memory://{tmp_path}"}[request.param]


def test_finished_shards_of_the_same_build_are_found(folder):
    written = (write(folder, 3), write(folder, 5))
    interrupted = OutputFolder(folder).find_interrupted("this")
    assert interrupted == InterruptedBuild("this", written)
    assert (interrupted.numbers, interrupted.num_shards) == ({3, 5}, 8)


def test_another_build_has_finished_nothing(folder):
    write(folder, 3)
    assert OutputFolder(folder).find_interrupted("other") == InterruptedBuild("other")


def test_nothing_is_found_where_nothing_is(folder):
    assert OutputFolder(join(folder, "absent")).find_interrupted("this") == InterruptedBuild("this")
    assert (InterruptedBuild().numbers, InterruptedBuild().num_shards) == (frozenset(), None)


def _remove_shard(url, info):
    remove(join(url, info.name))


def _remove_index(url, info):
    remove(join(url, info.index_name))


def _cut_shard(url, info):
    publish(join(url, info.name), read_bytes(join(url, info.name))[:-1])


def _change_index(url, info):
    publish(join(url, info.index_name), read_bytes(join(url, info.index_name))[::-1])


def _change_record(url, info):
    publish(join(url, "shard-00003-of-00008.json"), b"{}")


def _rename_record(url, info):
    publish(
        join(url, "shard-00003-of-00008.json"), read_bytes(join(url, "shard-00005-of-00008.json"))
    )


@pytest.mark.parametrize(
    "damage",
    [_remove_shard, _remove_index, _cut_shard, _change_index, _change_record, _rename_record],
)
def test_a_shard_that_is_not_as_it_was_written_counts_as_unfinished(folder, damage):
    damaged, whole = write(folder, 3), write(folder, 5)
    damage(folder, damaged)
    assert OutputFolder(folder).find_interrupted("this").shards == (whole,)


def test_a_record_lies_beside_its_shard(folder):
    write(folder, 3)
    assert list_names(folder) == [
        f"shard-00003-of-00008.{ending}" for ending in ("index.npz", "json", "tar")
    ]
