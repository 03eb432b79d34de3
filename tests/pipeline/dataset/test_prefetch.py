import threading
import time

import pytest

from noisebeam.pipeline.dataset.prefetch import prefetch


def threads() -> int:
    return sum(thread.name == "noisebeam-prefetch" for thread in threading.enumerate())


@pytest.mark.parametrize("depth", [0, 1, 2, 50])
def test_items_and_their_order_stay(depth):
    assert list(prefetch(range(20), depth)) == list(range(20))
    assert threads() == 0


@pytest.mark.parametrize("depth", [0, 3])
def test_an_error_comes_where_its_item_would(depth):
    def items():
        yield 1
        yield 2
        raise OSError("disk gone")

    found = prefetch(items(), depth)
    assert [next(found), next(found)] == [1, 2]
    with pytest.raises(OSError, match="disk gone"):
        next(found)
    assert threads() == 0


def test_an_item_may_be_none_or_an_exception():
    items = [None, ValueError("a value"), None]
    assert list(prefetch(items, 2)) == items


def test_no_more_than_depth_are_made_ahead():
    made = []
    found = prefetch((made.append(i) or i for i in range(100)), 3)
    next(found)
    time.sleep(0.05)
    assert len(made) <= 5  # one handed out, three waiting, one in the hand
    found.close()


def test_closing_ends_the_thread():
    found = prefetch(iter(range(10**9)), 2)
    next(found)
    assert threads() == 1
    found.close()
    assert threads() == 0


def test_closing_does_not_wait_for_a_store_that_is_silent(monkeypatch):
    monkeypatch.setattr("noisebeam.pipeline.dataset.prefetch._LEAVE", 0.1)
    answered = threading.Event()

    def items():
        yield 1
        answered.wait(60)

    found = prefetch(items(), 2)
    next(found)
    began = time.monotonic()
    found.close()
    assert time.monotonic() - began < 5
    answered.set()
