from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.data.ragged import Ragged
from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.shards.sample_table import SampleTable

# short ones and long ones are taken in two ways
rows = st.lists(st.integers(0, 60000), max_size=200)


@st.composite
def sample_lists(draw) -> list[Sample]:
    documents, keys = st.text(max_size=5), st.integers(0, 2**64 - 1)
    return [
        Sample(
            draw(keys),
            draw(documents),
            i,
            {"sentence_lengths": np.array(few), "ids": np.array(many, np.uint16)},
        )
        for i, (few, many) in enumerate(
            draw(st.lists(st.tuples(rows.filter(len), rows), max_size=6))
        )
    ]


def plain(table: SampleTable) -> list[tuple]:
    fields = [
        {name: column.row(i).tolist() for name, column in table.fields.items()}
        for i in range(len(table))
    ]
    return list(
        zip(table.keys.tolist(), table.windows.tolist(), table.documents, fields, strict=True)
    )


def plain_samples(samples: list[Sample]) -> list[tuple]:
    return [
        (
            sample.key,
            sample.window,
            sample.document,
            {name: row.tolist() for name, row in sample.fields.items()},
        )
        for sample in samples
    ]


@given(sample_lists())
def test_a_table_has_the_samples_and_comes_back_from_its_bytes(samples):
    table = SampleTable.of(samples)
    again = SampleTable.from_bytes(table.to_bytes())
    assert plain(table) == plain(again) == plain_samples(samples)
    assert again.to_bytes() == table.to_bytes()
    assert again.copies.tolist() == table.copies.tolist() == [1] * len(samples)
    assert {name: column.values.dtype for name, column in again.fields.items()} == {
        name: column.values.dtype for name, column in table.fields.items()
    }


@given(sample_lists(), st.randoms(use_true_random=False), st.integers(1, 4))
def test_taking_splitting_and_joining_lose_nothing(samples, random, parts):
    table = SampleTable.of(samples)
    order = random.sample(range(len(samples)), len(samples))
    assert plain(table.take(np.array(order, np.int64))) == plain_samples(
        [samples[i] for i in order]
    )
    at = np.array([random.randrange(parts) for _ in samples], np.int64)
    split = dict(table.split(at))
    assert {part: plain(some) for part, some in split.items()} == {
        part: plain_samples(
            [sample for sample, own in zip(samples, at.tolist(), strict=True) if own == part]
        )
        for part in sorted(set(at.tolist()))
    }
    assert sorted(plain(SampleTable.joined(split.values())), key=repr) == sorted(
        plain_samples(samples), key=repr
    )


@st.composite
def samples_with_copies(draw) -> list[Sample]:
    """Few names for many samples: also one key for several documents, and copies that differ in
    their fields.
    """
    few = st.integers(0, 2)
    names = st.tuples(few, st.sampled_from("ab"), few, st.lists(few, max_size=2))
    return [
        Sample(key, document, i, {"ids": np.array(ids, np.int64)})
        for key, document, i, ids in draw(st.lists(names))
    ]


def of_parts(samples: list[Sample], cuts: list[int]) -> SampleTable:
    """The samples as they come together from several places, where each part has counted its own
    copies.
    """
    parts = [
        samples[start:end] for start, end in zip([0, *cuts], [*cuts, len(samples)], strict=True)
    ]
    sent = [SampleTable.of(part).distinct().to_bytes() for part in parts]
    return SampleTable.joined(map(SampleTable.from_bytes, sent)).distinct()


@given(samples_with_copies(), st.data())
def test_copies_are_counted_once_for_all_wherever_they_meet(samples, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(samples)), max_size=3)))
    table = of_parts(data.draw(st.permutations(samples)), cuts)
    names = [(sample.key, sample.window, sample.document) for sample in samples]
    smallest: dict[tuple, list[int]] = {}
    for name, sample in zip(names, samples, strict=True):
        smallest[name] = min(smallest.get(name, [9]), sample.fields["ids"].tolist())
    found = list(zip(table.keys.tolist(), table.windows.tolist(), table.documents, strict=True))
    assert dict(zip(found, table.copies.tolist(), strict=True)) == Counter(names)
    assert len(found) == len(smallest)
    assert {name: table.fields["ids"].row(i).tolist() for i, name in enumerate(found)} == smallest


def test_copies_take_eight_bytes_where_there_are_any():
    samples = [Sample(key, "a", 0, {"ids": np.arange(5)}) for key in (1, 2)]
    once, twice = SampleTable.of(samples), SampleTable.of([*samples, samples[0]]).distinct()
    assert b"copies" not in once.to_bytes()
    assert len(twice.to_bytes()) == len(once.to_bytes()) + 2 * 8 + len(',["copies","<i8",2]')


def test_samples_with_different_fields_do_not_go_together():
    one = Sample(1, "a", 0, {"ids": np.array([5])})
    other = replace(one, document="b", fields={**one.fields, "labels": np.array([5])})
    message = (
        r"expected the same fields in all samples, got \['ids'\] in document 'a' and \['ids', "
        r"'labels'\] in doc.* 'b'"
    )
    with pytest.raises(ValueError, match=message):
        SampleTable.of([one, other])
    with pytest.raises(ValueError, match=message):
        SampleTable.joined([SampleTable.of([one]), SampleTable.of([other])])


@given(st.lists(rows, min_size=1, max_size=6), st.data())
def test_rows_taken_are_those_asked_for(lists, data):
    flat = Ragged.of([np.array(row, np.int64) for row in lists])
    wanted = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=9))
    taken = flat.take(np.array(wanted, np.int64))
    assert [row.tolist() for row in taken.rows()] == [lists[i] for i in wanted]
