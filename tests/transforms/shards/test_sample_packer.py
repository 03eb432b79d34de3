"""Samples of a bundle to tables: nothing is lost, and copies of one sample do not travel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.data.samples import Sample
from noisebeam.transforms.shards import sample_packer
from noisebeam.transforms.shards.sample_packer import SamplePacker
from noisebeam.transforms.shards.sample_table import SampleTable


def sample(number: int, tokens: int = 64) -> Sample:
    return Sample(number, f"document {number}", 0, {"ids": np.full(tokens, number)})


def packed(samples: Sequence[Sample]) -> list[SampleTable]:
    packer = SamplePacker()
    return [*(table for one in samples for table in packer.add(one)), *packer.rest()]


def copies_of(tables: Sequence[SampleTable]) -> dict[int, int]:
    table = SampleTable.joined(tables).distinct()
    return dict(zip(table.keys.tolist(), table.copies.tolist(), strict=True))


@pytest.mark.parametrize(("seen", "repeated_tokens"), [(100_000, 2**22), (3, 64), (0, 0)])
@given(st.lists(st.integers(0, 9), max_size=60))
def test_tables_have_all_samples_and_copies(
    seen: int, repeated_tokens: int, numbers: list[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_packer, "_TOKENS", 192)
        patch.setattr(sample_packer, "_SEEN", seen)
        patch.setattr(sample_packer, "_REPEATED_TOKENS", repeated_tokens)
        tables = packed([sample(number) for number in numbers])
    assert copies_of(tables) == {number: numbers.count(number) for number in numbers}
    assert sum(int(table.fields["ids"].lengths @ table.copies) for table in tables) == 64 * len(
        numbers
    )


def test_samples_that_come_once_are_sent_as_they_come() -> None:
    samples = [sample(i, tokens=512) for i in range(300)]
    tables = packed(samples)
    assert [len(table) for table in tables] == [128, 128, 44]
    assert b"".join(table.to_bytes() for table in tables) == b"".join(
        SampleTable.of(samples[i : i + 128]).to_bytes() for i in range(0, 300, 128)
    )


def test_a_sample_among_others_is_sent_twice_at_most_however_often_it_comes() -> None:
    """Every second sample is a window of one of three documents; the others are sent at once, 64
    tables of them.
    """
    tables = packed([sample(i % 6 // 2 if i % 2 else 10 + i, tokens=512) for i in range(2**14)])
    rows = np.concatenate([table.keys for table in tables])
    assert len(tables) == 129
    assert [np.count_nonzero(rows == number) for number in range(3)] == [2, 2, 2]
    assert sum(copies_of(tables).values()) == 2**14


def test_what_is_held_back_is_sent_once_it_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_packer, "_REPEATED_TOKENS", 2**17)
    tables = packed([sample(i % 1000, tokens=512) for i in range(4096)])
    assert 2**17 <= 512 * max(map(len, tables)) < 2 * 2**17 + 2**16
    assert set(copies_of(tables).values()) == {4, 5}


def test_what_is_held_back_is_merged_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, joined = [], SampleTable.joined
    monkeypatch.setattr(
        SampleTable, "joined", lambda tables: rows.append(sum(map(len, tables))) or joined(tables)
    )
    monkeypatch.setattr(sample_packer, "_TOKENS", 640)
    packed([sample(i % 2000) for i in range(6000)])
    assert 4000 <= sum(rows) < 4 * 4000
