import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noisebeam.pipeline.batching.packing import Pack
from noisebeam.pipeline.batching.plan import Batching, GroupByLength, OneByOne, Plan, Tail

BATCHINGS = [OneByOne(), GroupByLength(4, groups=3), Pack(64, window=16)]
SAMPLES = 75


def plan(
    batching: Batching, *, samples: int = SAMPLES, size: int = 4, tail: Tail = "drop", seed: int = 0
) -> Plan:
    lengths = np.random.default_rng(seed).integers(1, 40, samples)
    return Plan(samples, lengths.__getitem__, batching, (seed, 1), size, tail)


def rows(batches) -> list[list[list[int]]]:
    return [[row.tolist() for row in batch.rows.rows()] for batch in batches]


def flat(batches) -> list[int]:
    return [sample for batch in rows(batches) for row in batch for sample in row]


each_batching = pytest.mark.parametrize(
    "batching", BATCHINGS, ids=lambda batching: type(batching).__name__
)
each_tail = pytest.mark.parametrize("tail", ["drop", "pad"])


@each_batching
@each_tail
@given(samples=st.integers(1, 100), size=st.integers(1, 9), seed=st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_each_sample_comes_once_but_for_the_tail(batching, tail, samples, size, seed):
    made = plan(batching, samples=samples, size=size, tail=tail, seed=seed)
    batches = list(made.batches(0))
    assert all(len(batch) == size for batch in rows(batches))
    assert made.count(0) == len(batches)
    seen = flat(batches)
    if tail == "drop":
        assert len(set(seen)) == len(seen) == (batches[-1].ends[0] if batches else 0)
        assert len(seen) <= samples
    else:
        assert set(seen) == set(range(samples))
        assert batches[-1].ends[0] == samples
        again = [row for batch in rows(batches) for row in batch][
            size * len(batches) - batches[-1].repeated :
        ]
        assert again == [row for batch in rows(batches) for row in batch][: len(again)]


@each_batching
@each_tail
def test_what_follows_a_batch_is_the_same_from_there(batching, tail):
    made = plan(batching, tail=tail)
    batches = list(made.batches(0))
    for n, batch in enumerate(batches):
        rest = list(made.batches(batch.ends[0]))
        if tail == "drop" or n < len(batches) - 1:
            assert rows(rest) == rows(batches[n + 1 :])
            assert [(b.start, b.ends) for b in rest] == [
                (b.start, b.ends) for b in batches[n + 1 :]
            ]
        assert made.count(batch.ends[0]) == len(rest)
        assert made.position(0, n + 1) == batch.ends[0]
        assert made.position(batch.start, 1) == batch.ends[0]
    assert made.position(0, 0) == 0


@each_batching
def test_what_follows_a_row_is_the_same_for_another_batch_size(batching):
    made, other = plan(batching, size=6, tail="pad"), plan(batching, size=4)
    all_rows = [row for batch in rows(plan(batching, size=1).batches(0)) for row in batch]
    for n, batch in enumerate(made.batches(0), start=1):
        rest = [row for batch in rows(other.batches(batch.ends[0])) for row in batch]
        assert rest == all_rows[6 * n :][: len(rest)]
        assert len(all_rows) - 6 * n - len(rest) < 4


@each_batching
@each_tail
@given(
    done=st.integers(0, 9),
    samples=st.integers(1, 100),
    first=st.integers(0, 2),
    step=st.integers(1, 3),
)
@settings(max_examples=25, deadline=None)
def test_batches_are_the_same_however_many_come_together(
    batching, tail, done, samples, first, step
):
    made = plan(batching, tail=tail)
    one_by_one = list(made.batches(0))[done:]
    start = one_by_one[0].start if one_by_one else SAMPLES
    together = list(made.batches(start, samples))
    assert [row for batch in rows(together) for row in batch] == [
        row for batch in rows(one_by_one) for row in batch
    ]
    assert [end for batches in together for end in batches.ends] == [
        batch.ends[0] for batch in one_by_one
    ]
    assert [batches.start for batches in together] == [
        start,
        *(batches.ends[-1] for batches in together),
    ][:-1]
    for batches in together:
        alone = np.split(np.array(batches.rows.rows(), dtype=object), len(batches.ends))[
            first::step
        ]
        share = batches.share(1, 2, slice(first, None, step))
        assert [row.tolist() for row in share.rows()] == [
            row.tolist() for batch in alone for row in batch[1::2]
        ]


@each_batching
@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 8])
def test_ranks_share_the_rows_of_a_global_batch(batching, world_size):
    for batch in plan(batching, size=24, samples=200).batches(0):
        shares = [
            [row.tolist() for row in batch.share(rank, world_size).rows()]
            for rank in range(world_size)
        ]
        assert {len(share) for share in shares} == {24 // world_size}
        assert [shares[i % world_size][i // world_size] for i in range(24)] == [
            r.tolist() for r in batch.rows.rows()
        ]


def test_a_position_within_a_row_is_an_error():
    made = plan(Pack(64, window=16))
    ends = {0, *(batch.ends[0] for batch in plan(Pack(64, window=16), size=1).batches(0))}
    inside = min(set(range(SAMPLES)) - ends)
    with pytest.raises(
        ValueError,
        match=rf"expected a position between rows, got {inside}, within the row from \d+ to",
    ):
        list(made.batches(inside))


def test_one_by_one_a_rank_reads_only_its_share_of_the_streams():
    batches = plan(OneByOne(), samples=6400, size=32).batches(0)
    positions = np.concatenate([batch.share(3, 4).values for batch in batches])
    assert set((positions % 64).tolist()) == set(range(3, 64, 4))


def test_groups_have_similar_lengths_and_come_in_any_order():
    made = plan(GroupByLength(4, groups=16), samples=640, size=4)
    lengths = [made.lengths(batch.rows.values) for batch in made.batches(0)]
    assert np.mean([np.ptp(group) for group in lengths]) < 3
    starts = [int(group[0]) for group in lengths[:16]]
    assert starts != sorted(starts)
    assert [batch.rows.values.tolist() for batch in made.batches(0)] != [
        batch.rows.values.tolist()
        for batch in Plan(640, made.lengths, made.batching, (0, 2), 4, "drop").batches(0)
    ]


def test_grouping_leaves_out_no_length_at_the_tail():
    # The samples that fill no group are the last ones of the epoch, not the longest.
    made = plan(GroupByLength(4, groups=100), samples=399, size=4)
    assert set(range(399)) - set(flat(made.batches(0))) == {396, 397, 398}


def test_packed_rows_are_full_and_no_longer_than_they_may_be():
    made = plan(Pack(64), samples=2000, size=8)
    sums = [made.lengths(row).sum() for batch in made.batches(0) for row in batch.rows.rows()]
    assert max(sums) <= 64
    assert np.mean(sums) > 0.97 * 64


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GroupByLength(0), "GroupByLength: expected size of at least 1, got 0"),
        (lambda: GroupByLength(8, groups=0), "GroupByLength: expected groups of at least 1, got 0"),
        (lambda: Pack(0), "Pack: expected length of at least 1, got 0"),
        (
            lambda: Pack(64, attention="flash"),
            "Pack: expected attention mask, positions or varlen, got 'flash'",
        ),
        (
            lambda: Pack(64).checked("denoising", 64),
            "objective causal or mlm, got denoising, .*; take GroupByLength",
        ),
        (
            lambda: Pack(64).checked("clean", 65),
            "Pack: expected rows of at least 65 tokens, .*, got 64; take longer",
        ),
    ],
)
def test_wrong_settings_are_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
