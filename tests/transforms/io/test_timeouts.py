import time

import pytest

from noisebeam.transforms.io.timeouts import answer


def test_an_error_is_that_of_the_question():
    with pytest.raises(KeyError, match="asked"):
        answer(lambda: {}["asked"], timeout=10)


def test_silence_is_an_error_that_tells_how_long():
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"^no answer in 0\.05 seconds$"):
        answer(lambda: time.sleep(2), timeout=0.05)
    assert time.monotonic() - began < 1


def test_a_time_out_of_the_store_itself_stays_what_it_is():
    def ask() -> None:
        raise TimeoutError("read timed out")

    with pytest.raises(TimeoutError, match=r"^read timed out$"):
        answer(ask, timeout=10)
