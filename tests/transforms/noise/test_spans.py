"""Spans: replaced as the slow way does it, and divided at special tokens."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.noise.ordinary_tokens import ordinary_tokens
from noisebeam.transforms.noise.spans import Spans, replace_spans, spans_of_ordinary


def slowly(
    rows: list[list[int]], spans: list[list[tuple[int, int]]], ids: list[int] | None
) -> list[list[int]]:
    """Row by row and span by span; starts are counted in the row."""
    results, used = [], 0
    for row, row_spans in zip(rows, spans, strict=True):
        result, position = [], 0
        for start, length in row_spans:
            result += row[position:start] + ([] if ids is None else [ids[used]])
            position, used = start + length, used + 1
        results.append(result + row[position:])
    return results


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[list[list[int]]], list[list[tuple[int, int]]]]:
    samples, spans = [], []
    for size in draw(st.lists(st.integers(0, 12), min_size=1, max_size=5)):
        samples.append(
            [draw(st.lists(st.integers(4, 89), min_size=size, max_size=size))] if size else []
        )
        cuts = sorted(draw(st.lists(st.integers(1, size + 1), max_size=6)))
        spans.append([(a, b - a) for a, b in zip(cuts[::2], cuts[1::2], strict=False)])
    return samples, spans


@given(cases(), st.booleans())
def test_replacing_is_what_the_slow_way_gives(make_batch, to_rows, case, delete) -> None:
    samples, spans = case
    batch = make_batch(samples)
    starts = [int(batch.offsets[i]) + start for i, row in enumerate(spans) for start, _ in row]
    lengths = [length for row in spans for _, length in row]
    ids = None if delete else np.arange(1000, 1000 + len(starts))
    result = replace_spans(
        batch,
        Spans(
            np.array(starts, dtype=np.int64),
            np.array(lengths, dtype=np.int64),
            np.array([len(row) for row in spans]),
        ),
        ids,
    )
    assert to_rows(result) == slowly(to_rows(batch), spans, None if ids is None else ids.tolist())


def test_special_tokens_divide_a_span(make_batch, vocabulary) -> None:
    batch = make_batch([[[5, 6, 3, 7, 98, 98, 8, 9]], [[5, 6]]])
    spans = spans_of_ordinary(
        ordinary_tokens(batch, vocabulary),
        np.array([1, 5, 7]),
        np.array([3, 0, 0]),
        np.array([2, 1]),
    )
    assert spans.starts.tolist() == [2, 4, 7, 9, 13]
    assert spans.lengths.tolist() == [1, 1, 1, 0, 0]
    assert spans.counts.tolist() == [4, 1]


def test_an_empty_span_after_the_last_token_stays_in_its_sample(
    make_batch, to_rows, vocabulary
) -> None:
    batch = make_batch([[[5, 6]], [[3, 7]], [[8]]])
    spans = spans_of_ordinary(
        ordinary_tokens(batch, vocabulary),
        np.array([2, 3, 3, 4]),
        np.zeros(4, dtype=np.int64),
        np.array([1, 2, 1]),
    )
    result = replace_spans(batch, spans, np.array([90, 91, 92, 93]))
    assert to_rows(result) == [[0, 5, 6, 90, 2], [0, 3, 7, 91, 92, 2], [0, 8, 93, 2]]
