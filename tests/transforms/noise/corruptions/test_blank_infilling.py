"""Blank infilling: GLM's published example, laws that restore the source, even orders, lengths as
Poisson above 0.
"""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.corruptions.blank_infilling import (
    BlankInfilling,
    Blanks,
    choose_blanks,
    cut_blanks,
    infill_blanks,
)
from noisebeam.transforms.noise.span_lengths import SpanLengths
from noisebeam.transforms.noise.spans import Spans

MASK, START, END = 99, 101, 102
OPTIONS = BlankInfilling(start="[S]", end="[X]")
samples = st.lists(
    st.lists(
        st.lists(st.integers(4, 89) | st.sampled_from([3, 98]), min_size=1, max_size=40), max_size=2
    ),
    max_size=5,
)
settings = st.builds(
    lambda share, mean: BlankInfilling(share, SpanLengths("poisson", mean), start="[S]", end="[X]"),
    st.floats(0, 1),
    st.floats(0.5, 8),
)


def test_figure_2_of_the_paper(make_batch, to_rows) -> None:
    """x1 to x6 are 11 to 16; x3 and x5 x6 are cut out, the second comes first. The paper counts
    places from 1.
    """
    batch = make_batch([[[11, 12, 13, 14, 15, 16]]])
    blanks = Blanks(Spans(np.array([3, 5]), np.array([1, 2]), np.array([2])), np.array([1, 0]))
    fields = {
        name: to_rows(rows)[0] for name, rows in cut_blanks(batch, blanks, MASK, START, END).items()
    }
    none = [-100] * 7
    assert fields == {
        "input_ids": [0, 11, 12, MASK, 14, MASK, 2, START, 15, 16, START, 13],
        "labels": [*none, 15, 16, END, 13, END],
        "position_ids": [0, 1, 2, 3, 4, 5, 6, 5, 5, 5, 3, 3],
        "block_position_ids": [0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 1, 2],
    }


@given(samples, settings, st.integers(0, 2**64 - 1))
def test_part_b_in_the_blanks_of_part_a_restores_the_source(
    make_batch, to_rows, vocabulary, samples, settings, seed
) -> None:
    batch = make_batch(samples)
    fields = {
        name: to_rows(rows)
        for name, rows in infill_blanks(batch, vocabulary, settings, seed=seed).items()
    }
    for i, source in enumerate(to_rows(batch)):
        ids, labels, places, steps = (fields[name][i] for name in fields)
        part_a = steps.count(0)
        assert steps[:part_a] == [0] * part_a
        assert labels[:part_a] == [-100] * part_a
        assert places[:part_a] == list(range(part_a))
        spans: dict[int, list[int]] = {}
        for id_, label, place, step in zip(
            ids[part_a:], labels[part_a:], places[part_a:], steps[part_a:], strict=True
        ):
            assert (id_ == START) == (step == 1)
            assert id_ == START or id_ == spans[place][-1]
            spans.setdefault(place, []).append(label)
            assert len(spans[place]) == step
        assert all(span[-1] == END and len(span) > 1 for span in spans.values())
        assert [place for place, id_ in enumerate(ids[:part_a]) if id_ == MASK] == sorted(spans)
        assert [
            kept for at in range(part_a) for kept in spans.get(at, [ids[at], None])[:-1]
        ] == source


@given(samples, settings, st.integers(0, 2**64 - 1))
def test_the_share_is_exact_and_special_tokens_stay(
    make_batch, vocabulary, samples, settings, seed
) -> None:
    batch = make_batch(samples)
    spans, _ = choose_blanks(batch, vocabulary, settings, seed, 0)
    cut = np.add.reduceat(np.append(spans.lengths, 0), np.append(0, spans.counts.cumsum())[:-1]) * (
        spans.counts > 0
    )
    ordinary = [
        sum(4 <= id_ <= 89 for sentence in sample for id_ in sentence) for sample in samples
    ]
    assert cut.tolist() == [int(count * settings.share + 0.5) for count in ordinary]
    assert (spans.lengths > 0).all()
    for start, length in zip(spans.starts, spans.lengths, strict=True):
        assert not vocabulary.is_special[batch.ids[start : start + length]].any()


def test_spans_do_not_touch(make_batch, vocabulary) -> None:
    spans, _ = choose_blanks(make_batch([[[5] * 300]]), vocabulary, BlankInfilling(0.5), 1, 0)
    assert (spans.starts[1:] > (spans.starts + spans.lengths)[:-1]).all()


def test_all_orders_are_equally_likely(make_batch, vocabulary) -> None:
    options = BlankInfilling(3 / 7, SpanLengths("fixed", 1))
    trials = 12_000
    blanks = choose_blanks(make_batch([[[5] * 7]] * trials), vocabulary, options, 1, 0)
    orders = (blanks.order - np.arange(3 * trials) // 3 * 3).reshape(trials, 3)
    seen = np.unique(orders @ [9, 3, 1], return_counts=True)[1]
    assert len(seen) == 6
    assert ((seen - trials / 6) ** 2 / (trials / 6)).sum() < 5 + 5 * np.sqrt(10)


def test_lengths_are_poisson_above_0(make_batch, vocabulary) -> None:
    spans, _ = choose_blanks(make_batch([[[5] * 400_000]]), vocabulary, BlankInfilling(), 1, 0)
    found = np.bincount(spans.lengths, minlength=12) / len(spans.lengths)
    expected = [math.exp(-3) * 3**k / math.factorial(k) / (1 - math.exp(-3)) for k in range(1, 12)]
    assert found[0] == 0
    assert np.abs(found[1:12] - expected).max() < 0.01


def test_a_sample_without_blanks_is_part_a_alone(make_batch, to_rows, vocabulary) -> None:
    fields = infill_blanks(make_batch([[], [[5]]]), vocabulary, OPTIONS, seed=1)
    assert to_rows(fields["input_ids"]) == [[0, 2], [0, 5, 2]]
    assert to_rows(fields["labels"]) == [[-100] * 2, [-100] * 3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 2}, "blank-infilling: share is 2; expected a number from 0 to 1"),
        (
            {"lengths": 3},
            "blank-infilling: lengths is 3; expected span lengths, as in {poisson: 3}",
        ),
        (
            {"mask": ""},
            "blank-infilling: mask is ''; expected a special token, a role (mask, bos, eos) or an "
            "id",
        ),
        ({"end": True}, "blank-infilling: end is True; expected a special token"),
    ],
)
def test_settings_out_of_range(settings, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        BlankInfilling(**settings)


@pytest.mark.parametrize(
    ("options", "vocabulary", "message"),
    [
        (
            BlankInfilling(),
            Vocabulary(size=9),
            "mask is 'mask', and the tokenizer has no such special token; add it",
        ),
        (
            BlankInfilling(start="<|sop|>"),
            Vocabulary(size=9, mask_id=1),
            "start is '<|sop|>', and the tokenizer has no such special token; add it to the "
            "tokenizer "
            "(noisebeam build --add-tokens), or name another one",
        ),
        (
            BlankInfilling(start=9),
            Vocabulary(size=9, mask_id=1),
            "start is 9, and the tokenizer has no such",
        ),
        (
            BlankInfilling(start=3),
            Vocabulary(size=9, mask_id=1),
            "end is 'eos', and the tokenizer has no such",
        ),
    ],
)
def test_a_vocabulary_that_lacks_something(options, vocabulary, message) -> None:
    with pytest.raises(ValueError, match=re.escape(f"blank-infilling: {message}")):
        options.check(vocabulary)
