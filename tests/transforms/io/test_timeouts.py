import time

import pytest

from noisebeam.transforms.io.timeouts import run_with_deadline


def test_an_error_is_that_of_the_question():
    with pytest.raises(KeyError, match="asked"):
        run_with_deadline(lambda: {}["asked"], seconds=10)


def test_silence_is_an_error_that_tells_how_long():
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"^no answer in 0\.05 seconds$"):
        run_with_deadline(lambda: time.sleep(2), seconds=0.05)
    assert time.monotonic() - began < 1


def test_a_time_out_of_the_store_itself_stays_what_it_is():
    def ask() -> None:
        raise TimeoutError("read timed out")

    with pytest.raises(TimeoutError, match=r"^read timed out$"):
        run_with_deadline(ask, seconds=10)
