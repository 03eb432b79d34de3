"""Text infilling: exact shares, spans apart, labels that restore the source."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.corruptions.text_infilling import (
    TextInfilling,
    choose_infilling,
    fill_spans,
    infill_text,
)
from noisebeam.transforms.noise.span_lengths import SpanLengths

MASK = 99
clean = st.lists(
    st.lists(st.lists(st.integers(4, 89), min_size=1, max_size=40), max_size=2), max_size=5
)
mixed = st.lists(
    st.lists(
        st.lists(st.integers(4, 89) | st.sampled_from([3, 98]), min_size=1, max_size=40), max_size=2
    ),
    max_size=5,
)
options = st.builds(
    TextInfilling,
    share=st.floats(0, 1),
    lengths=st.sampled_from(
        [SpanLengths(), SpanLengths("poisson", 0.5), SpanLengths("geometric", 0.2, 10)]
    ),
)


@given(clean, options)
def test_spans_cover_exactly_the_share_and_never_touch(
    make_batch, vocabulary, samples, options
) -> None:
    batch = make_batch(samples)
    spans = choose_infilling(batch, vocabulary, options, 1, 0)
    ends = np.cumsum(spans.counts)
    for i, (first, last) in enumerate(zip(ends - spans.counts, ends, strict=True)):
        starts, lengths = spans.starts[first:last], spans.lengths[first:last]
        size = batch.offsets[i + 1] - batch.offsets[i] - 2
        assert lengths.sum() == int(np.floor(size * options.share + 0.5))
        assert (starts[1:] > (starts + lengths)[:-1]).all()
        assert (starts > batch.offsets[i]).all()
        assert (starts + lengths < batch.offsets[i + 1]).all()


@given(mixed, options)
def test_there_are_as_many_masks_as_spans_and_labels_restore(
    make_batch, to_rows, vocabulary, samples, options
) -> None:
    batch = make_batch(samples)
    spans = choose_infilling(batch, vocabulary, options, 1, 0)
    noised = to_rows(fill_spans(batch, spans, MASK))
    assert [Counter(row)[MASK] for row in noised] == spans.counts.tolist()
    span = 0
    for row, source, start in zip(noised, to_rows(batch), batch.offsets, strict=False):
        restored: list[int] = []
        for id_ in row:
            if id_ == MASK:
                assert int(spans.starts[span]) == start + len(restored)
                restored += source[len(restored) : len(restored) + int(spans.lengths[span])]
                span += 1
            else:
                restored.append(id_)
        assert restored == source


@given(mixed, options)
def test_special_tokens_are_never_covered_or_moved_apart(
    make_batch, to_rows, vocabulary, samples, options
) -> None:
    batch = make_batch(samples)
    for row, source in zip(
        to_rows(infill_text(batch, vocabulary, options, seed=1)), to_rows(batch), strict=True
    ):
        kept = [id_ for id_ in row if not 4 <= id_ < 90 and id_ != MASK]
        assert kept == [id_ for id_ in source if not 4 <= id_ < 90]
        assert (row[0], row[-1]) == (0, 2)


@given(mixed, options)
def test_one_mask_a_token_keeps_the_length(make_batch, vocabulary, samples, options) -> None:
    batch = make_batch(samples)
    spans = choose_infilling(batch, vocabulary, options, 1, 0)
    kept = fill_spans(batch, spans, MASK, replace_length=-1)
    assert kept.offsets.tolist() == batch.offsets.tolist()
    assert np.count_nonzero(kept.ids == MASK) == spans.lengths.sum()
    assert (kept.ids[kept.ids != MASK] == batch.ids[kept.ids != MASK]).all()


def test_without_masks_the_spans_are_deleted(make_batch, vocabulary) -> None:
    batch = make_batch([[list(range(4, 84))]])
    noised = infill_text(batch, vocabulary, TextInfilling(0.3, replace_length=0), seed=1)
    assert len(noised.ids) == 2 + 80 - 24
    assert MASK not in noised.ids
    assert (np.diff(noised.ids[1:-1]) > 0).all()


def test_bart_inserts_masks_as_often_as_poisson_3_is_zero(make_batch, vocabulary) -> None:
    batch = make_batch([[[5] * 510]] * 500)
    spans = choose_infilling(batch, vocabulary, TextInfilling(0.3), 1, 0)
    share = np.mean(spans.lengths == 0)
    assert abs(share - np.exp(-3)) < 4 * np.sqrt(0.05 / len(spans.lengths))


def test_every_place_is_equally_likely(make_batch, vocabulary) -> None:
    trials = 20_000
    batch = make_batch([[[5] * 6]] * trials, keys=np.arange(trials))
    spans = choose_infilling(batch, vocabulary, TextInfilling(1 / 3, SpanLengths("fixed", 1)), 1, 0)
    places = (spans.starts - np.repeat(batch.offsets[:-1], spans.counts) - 1).reshape(trials, 2)
    seen = Counter(map(tuple, places.tolist()))
    apart = [(a, b) for a in range(6) for b in range(a + 2, 6)]
    assert set(seen) == set(apart)
    expected = trials / len(apart)
    assert sum((count - expected) ** 2 / expected for count in seen.values()) < 9 + 5 * np.sqrt(18)


def test_more_spans_than_fit_are_joined(make_batch, to_rows, vocabulary) -> None:
    batch = make_batch([[[5] * 10]])
    noised = infill_text(batch, vocabulary, TextInfilling(1.0, SpanLengths("fixed", 1)), seed=1)
    assert to_rows(noised) == [[0, MASK, 2]]


def test_masks_put_there_before_are_left_alone(make_batch, vocabulary) -> None:
    batch = make_batch([[[5] * 10 + [MASK] * 10]])
    noised = infill_text(batch, vocabulary, TextInfilling(1.0, SpanLengths("fixed", 10)), seed=1)
    assert noised.ids.tolist() == [0, *[MASK] * 11, 2]


@pytest.mark.parametrize("sample", [[], [[5]], [[3, 98]], [[5] * 100_000]])
def test_unusual_samples(make_batch, vocabulary, sample) -> None:
    batch = make_batch([sample, [[7, 8]], sample])
    spans = choose_infilling(batch, vocabulary, TextInfilling(0.3), 1, 0)
    size = sum(id_ == 5 for sentence in sample for id_ in sentence)
    assert spans.lengths.sum() == 2 * int(size * 0.3 + 0.5) + 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 2}, "text-infilling: share is 2; expected a number from 0 to 1"),
        ({"replace_length": 2}, "text-infilling: replace_length is 2; expected 0, 1 or -1"),
        ({"lengths": 3}, "text-infilling: lengths is 3; expected span lengths"),
    ],
)
def test_settings_out_of_range(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        TextInfilling(**settings)


def test_a_vocabulary_without_a_mask() -> None:
    with pytest.raises(
        ValueError, match=r"text-infilling: needs a mask token, .* or set replace_length to 0"
    ):
        TextInfilling().check(Vocabulary(size=10))
    TextInfilling(replace_length=0).check(Vocabulary(size=10))
