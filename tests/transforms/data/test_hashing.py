import numpy as np

from noisebeam.transforms.data.hashing import GAMMA, hash64, mix64, permutation


def test_mix64_gives_the_published_draws_of_splitmix64():
    # Seed 1234567, as in the test of the Rosetta Code entry "Pseudo-random numbers/Splitmix64".
    state = np.uint64(1234567) + np.arange(1, 6, dtype=np.uint64) * np.uint64(GAMMA)
    assert mix64(state).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_hash64_keeps_different_values_apart():
    hashes = hash64((17, 3), np.arange(100_000))
    assert len(np.unique(hashes)) == 100_000


def test_hash64_depends_on_each_word_and_on_their_order():
    hashes = [
        int(hash64(words, 5)[0])
        for words in [(), (0,), (1,), (1, 2), (2, 1), (1, 2, 0), (2**64 - 1,)]
    ]
    assert len(set(hashes)) == len(hashes)


def test_hash64_of_a_value_does_not_depend_on_its_neighbours():
    assert hash64((7,), np.arange(10))[3] == hash64((7,), 3)[0]


def test_every_bit_of_a_hash_is_one_half_of_the_time():
    hashes = hash64((0,), np.arange(1 << 16))
    ones = np.unpackbits(hashes.view(np.uint8)).reshape(-1, 64).mean(axis=0)
    assert np.abs(ones - 0.5).max() < 0.01  # five standard deviations


def test_permutation_holds_each_number_once():
    assert sorted(permutation((1, 2), 1000)) == list(range(1000))
    assert permutation((1, 2), 0).tolist() == []


def test_permutations_are_uniform():
    # 6 orders of 3, 6,000 draws: chi-squared with 5 degrees of freedom stays below 20.5 in 999 of
    # 1,000 cases.
    orders = [tuple(permutation((9, draw), 3).tolist()) for draw in range(6000)]
    counts = np.array([orders.count(order) for order in set(orders)])
    assert len(counts) == 6
    assert ((counts - 1000) ** 2 / 1000).sum() < 20.5
