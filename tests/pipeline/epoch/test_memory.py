import gc
import os
import pickle
import platform
import random
import signal
import subprocess
import sys
import weakref
from threading import Thread

import numpy as np
import pytest

from noisebeam.pipeline.dataset.shard_dataset import ShardDataset
from noisebeam.pipeline.epoch import memory
from noisebeam.pipeline.epoch.memory import SpareMemory, address


def test_no_two_views_that_live_share_memory():
    """Whatever is kept of a block, in whatever order: nothing else is written there."""
    lender, chance, kept = SpareMemory(), random.Random(17), []
    for number in range(2000):
        block = lender.lend(chance.randrange(1, 5000))
        block[:] = number % 251
        start = chance.randrange(len(block))
        kept.append((number % 251, block[start : start + 100]))
        del block
        if len(kept) > 50:
            del kept[chance.randrange(len(kept))]
        assert all(np.all(view == value) for value, view in kept)


def test_memory_is_used_again_by_blocks_that_are_a_little_larger():
    lender = SpareMemory()
    first = address(lender.lend(1050))
    assert address(lender.lend(1200)) == first
    assert address(lender.lend(1300)) != first
    assert address(lender.lend(700)) != first
    assert address(lender.lend(1100)) == first


def test_blocks_of_another_size_do_not_put_out_what_is_kept():
    lender = SpareMemory()
    first, second = (address(lender.lend(size)) for size in (1050, 99))
    assert [address(lender.lend(size)) for size in (1050, 99)] == [first, second]


def test_a_size_that_nobody_asks_for_any_more_is_not_kept(monkeypatch):
    monkeypatch.setattr(memory, "_KEPT", 3 * memory._LARGE)
    lender = SpareMemory()
    lender.lend(6 << 20)
    ((piece,),) = lender._spare.values()
    region = weakref.ref(piece.base)
    del piece
    kept = [lender.lend(5 << 20) for _ in range(2)]
    assert region() is not None
    kept.append(lender.lend(5 << 20))
    assert region() is None


def test_no_more_is_kept_than_allowed(monkeypatch):
    """However blocks come back: what is kept holds no more than three regions, and none of the
    large blocks.
    """
    monkeypatch.setattr(memory, "_KEPT", 3 * memory._LARGE)
    lender = SpareMemory()
    blocks = [lender.lend(size) for size in [1 << 20, 100, 20 << 20] * 40]
    random.Random(3).shuffle(blocks)
    while blocks:
        blocks.pop()
    pieces = [piece for pieces in lender._spare.values() for piece in pieces]
    assert len({id(piece.base) for piece in pieces}) == 3
    assert max(map(len, pieces)) < 2 << 20


def test_a_forked_process_does_not_wait_for_a_thread_that_it_lacks(make_set, tmp_path):
    data = ShardDataset(make_set(str(tmp_path), 300), batch_size=1, seed=5)
    rows = data.rows()
    with memory.spare._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            os._exit(0 if len(list(rows)) == len(list(data.rows())) == 300 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_threads_that_borrow_at_the_same_time_get_memory_of_their_own():
    lender, wrong = SpareMemory(), []

    def borrow(value: int) -> None:
        for size in range(1, 3000):
            block = lender.lend(size)
            block[:] = value
            row = block[size // 2 :]
            del block
            if not np.all(row == value):
                wrong.append(value)

    threads = [Thread(target=borrow, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_thread_that_is_interrupted_as_it_borrows_may_borrow():
    lender = SpareMemory()
    with lender._lock:
        block = lender.lend(1000)
    assert len(block) == 1000
    del block
    assert len(lender.lend(1000)) == 1000


def test_views_outlive_the_lender():
    lender = SpareMemory()
    alive = weakref.ref(lender)
    row = lender.lend(10)[2:5]
    row[:] = 7
    del lender
    assert alive() is None
    assert row.tolist() == [7, 7, 7]


def test_rows_that_are_kept_stay_as_they_were(make_set, tmp_path):
    """Of every epoch some; the others make room for those of the next."""
    data = ShardDataset(make_set(str(tmp_path), 300), batch_size=1, seed=5)
    kept = []
    for epoch in range(4):
        data.set_epoch(epoch)
        kept += [
            (row["labels"], row["labels"].tolist())
            for i, row in enumerate(data.rows())
            if i % 7 == epoch
        ]
    assert all(row.tolist() == values for row, values in kept)


def test_the_next_epoch_is_read_into_the_memory_of_the_last_whichever_data_set_that_was_of(
    make_set, tmp_path
):
    url = make_set(str(tmp_path), 300)

    def places() -> set[int]:
        rows = ShardDataset(url, batch_size=1, seed=5).rows()
        return {address(row["labels"]) >> 20 for row in rows}

    gc.disable()
    try:
        assert places() == places()
    finally:
        gc.enable()


def test_a_pickled_data_set_takes_no_memory_along(make_set, tmp_path):
    data = ShardDataset(make_set(str(tmp_path), 300), batch_size=1, seed=5)
    size = len(pickle.dumps(data))
    rows = [row["labels"].tolist() for row in data.rows()]
    assert len(pickle.dumps(data)) < size + 100
    assert [row["labels"].tolist() for row in pickle.loads(pickle.dumps(data)).rows()] == rows


FAULTS = """
import resource
import numpy as np
from noisebeam.pipeline.epoch.block_buffer import RowTable

def use():
    arrays = [np.ones(3 * 2**20, np.uint8) for _ in range(8)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

RowTable(1)
use()
before = faults()
for _ in range(10):
    use()
print(faults() - before)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries keep what they like"
)
def test_what_is_made_of_blocks_lies_in_memory_that_was_used_before():
    """Ten times 24 MiB: without a table of rows the system gives and clears most of its 61,440
    pages anew.
    """
    others = ("MALLOC_", "GLIBC_", "LD_PRELOAD")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    assert (
        int(subprocess.check_output([sys.executable, "-c", FAULTS], env=environment, text=True))
        < 100
    )
