"""The random numbers: published vectors, laws, uniformity."""

from __future__ import annotations

import numpy as np
import pytest

from noisebeam.transforms.noise.rng import (
    GAMMA,
    Stream,
    below,
    draw,
    draw_at,
    draw_halves,
    draw_lanes,
    happens,
    mix64,
    pick,
    stream_keys,
)

# SplitMix64 seeded with 1234567 (rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64), and with 0
# (OpenJDK's SplittableRandom, and the seeding of xoshiro in its authors' test suite).
VECTORS = {
    1234567: [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ],
    0: [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC],
}

STREAMS = stream_keys(1, 0, np.arange(64, dtype=np.uint64), Stream.MASKED_TOKENS)


@pytest.mark.parametrize("seed", VECTORS)
def test_draws_are_the_published_ones(seed: int) -> None:
    expected = VECTORS[seed]
    assert draw(np.array([seed], dtype=np.uint64), np.array([len(expected)])).tolist() == expected


def test_a_draw_is_the_output_function_of_a_counter() -> None:
    counters = np.array([(5 + (i + 1) * GAMMA) % 2**64 for i in range(1000)], dtype=np.uint64)
    assert (draw(np.array([5], dtype=np.uint64), np.array([1000])) == mix64(counters)).all()


def test_draws_do_not_depend_on_the_other_streams() -> None:
    counts = np.arange(64) % 7
    together = draw(STREAMS, counts)
    alone = [draw(STREAMS[i : i + 1], counts[i : i + 1]) for i in range(64)]
    assert (together == np.concatenate(alone)).all()


def test_long_streams_go_on_past_the_prepared_counters() -> None:
    length = 70_000
    long = draw(STREAMS[:1], np.array([length]))
    assert (long[-5:] == draw_at(np.repeat(STREAMS[:1], 5), np.arange(length - 5, length))).all()


def test_lanes_are_the_draws_from_the_lowest_bits_up() -> None:
    lanes, starts = draw_lanes(STREAMS[:2], np.array([5, 3]))
    draws = draw(STREAMS[:2], np.array([2, 1])).tolist()
    assert lanes.tolist() == [
        value >> shift & 0xFFFF for value in draws for shift in (0, 16, 32, 48)
    ]
    assert starts.tolist() == [0, 8, 12]


def test_halves_are_scaled_draws_with_the_first_last() -> None:
    value, following = draw(STREAMS[:1], np.array([2])).tolist()
    halves = [value >> 32, value & 0xFFFFFFFF, following >> 32, following & 0xFFFFFFFF]
    expected = [half * 1000 >> 32 for half in halves][::-1]
    assert draw_halves(STREAMS[:1], 4, np.array([1000])).tolist() == [expected]


@pytest.mark.parametrize("changed", [(2, 0, 7, 1), (1, 1, 7, 1), (1, 0, 8, 1), (1, 0, 7, 2)])
def test_each_part_of_a_stream_key_matters(changed: tuple[int, int, int, int]) -> None:
    def key(seed: int, epoch: int, sample: int, purpose: int) -> int:
        return int(
            stream_keys(seed, epoch, np.array([sample], dtype=np.uint64), Stream(purpose))[0]
        )

    assert key(1, 0, 7, 1) != key(*changed)
    assert key(1, 2, 7, 1) != key(2, 1, 7, 1)


def test_stream_keys_are_pinned() -> None:
    keys = np.array([0, 1, 2**64 - 1], dtype=np.uint64)
    assert stream_keys(17, 3, keys, Stream.SPAN_PLACES).tolist() == STREAM_KEYS


def test_purposes_never_change() -> None:
    assert [purpose.value for purpose in Stream] == list(range(1, 23))
    assert (Stream.MASKED_TOKENS, Stream.SPAN_LENGTHS, Stream.KEPT_CUTS) == (1, 7, 20)


def chi_square(counts: np.ndarray) -> float:
    """How far counts are from equal, in standard deviations of the chi-square distribution."""
    expected = counts.sum() / len(counts)
    freedom = len(counts) - 1
    return float((((counts - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom))


@pytest.mark.parametrize("shift", [0, 8, 24, 40, 56])
def test_four_million_draws_are_uniform_in_every_byte(shift: int) -> None:
    draws = draw(STREAMS, np.full(64, 1 << 16))
    assert (
        abs(chi_square(np.bincount((draws >> np.uint64(shift)).astype(np.uint8), minlength=256)))
        < 4.5
    )


def test_first_draws_of_streams_with_close_keys_are_uniform() -> None:
    streams = stream_keys(0, 0, np.arange(1 << 21, dtype=np.uint64), Stream.MASKED_TOKENS)
    firsts = below(draw(streams, np.ones(len(streams), dtype=np.int64)), 1000)
    assert abs(chi_square(np.bincount(firsts, minlength=1000))) < 4.5


def test_successive_draws_are_independent() -> None:
    draws = below(draw(STREAMS, np.full(64, 1 << 15)), 64).reshape(64, -1)
    pairs = (draws[:, :-1] * 64 + draws[:, 1:]).reshape(-1)
    assert abs(chi_square(np.bincount(pairs, minlength=4096))) < 4.5


def test_every_bit_of_the_counter_changes_half_of_the_bits_of_the_draw() -> None:
    counters = draw(STREAMS[:1], np.array([4096]))
    for bit in range(64):
        changed = mix64(counters) ^ mix64(counters ^ np.uint64(1 << bit))
        assert abs(np.unpackbits(changed.view(np.uint8)).sum() / len(changed) - 32) < 0.5


def test_below_stays_below_and_reaches_the_largest() -> None:
    draws = np.array([0, 2**64 - 1], dtype=np.uint64)
    assert below(draws, 2**31).tolist() == [0, 2**31 - 1]
    assert below(draws, 1).tolist() == [0, 0]


def test_happens_is_certain_at_the_ends() -> None:
    draws = np.array([0, 2**64 - 1], dtype=np.uint64)
    assert happens(draws, 1.0).all()
    assert not happens(draws, 0.0).any()


def test_pick_follows_the_weights() -> None:
    draws = draw(STREAMS, np.full(64, 4096))
    shares = np.bincount(pick(draws, [1, 2, 1]), minlength=3) / len(draws)
    assert np.abs(shares - [0.25, 0.5, 0.25]).max() < 0.005


STREAM_KEYS = [10375860223219943749, 129597123403628759, 3239179773945787556]
