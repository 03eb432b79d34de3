from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.transforms.cleaning.near_duplicates import (
    SIGNATURE_BYTES,
    band_rows,
    buckets,
    check_minhash,
    equal_values,
    minhash,
    near_duplicates,
    shingles,
    signature,
)

WORDS = [f"word{i}" for i in range(400)]


def similarity(one: str, other: str) -> float:
    """The Jaccard index of two texts, exactly."""
    a, b = set(shingles(one)), set(shingles(other))
    return len(a & b) / len(a | b)


def test_minhash_values_are_the_same_everywhere_and_always() -> None:
    values = minhash("The quick brown fox jumps over the lazy dog. 你好，世界")
    assert hashlib.sha256(values.tobytes()).hexdigest()[:16] == "3a3a8d6dc1526b70"
    assert values.shape == (SIGNATURE_BYTES,)


@pytest.mark.parametrize("changed", [4, 12, 40])
def test_signatures_estimate_the_similarity_of_texts(changed: int) -> None:
    errors = []
    for copy in range(10):
        other = [
            f"other{copy}" if i % changed == copy % changed else word
            for i, word in enumerate(WORDS)
        ]
        one, two = (
            np.frombuffer(signature(minhash(text)), np.uint8)
            for text in (" ".join(WORDS), " ".join(other))
        )
        estimate = ((one == two).mean() - 1 / 256) / (1 - 1 / 256)
        errors.append(estimate - similarity(" ".join(WORDS), " ".join(other)))
    assert abs(np.mean(errors)) < 0.04
    assert max(map(abs, errors)) < 0.15


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_pairs_at_the_threshold_meet(threshold: float) -> None:
    rows = band_rows(threshold)
    bands = SIGNATURE_BYTES // rows
    assert 1 - (1 - threshold**rows) ** bands >= 0.95
    assert len(buckets(minhash("some text"), threshold)) == bands


def test_equal_texts_meet_in_every_bucket_and_others_in_none() -> None:
    one, same, other = (
        buckets(minhash(text), 0.8) for text in ("A b c d e f.", "a B, c d e f", "g h i j k l")
    )
    assert one == same
    assert not set(one) & set(other)
    assert len(set(one)) == len(one)


few = [
    bytes([kind] * (SIGNATURE_BYTES - flips) + [9] * flips)
    for kind in (1, 2)
    for flips in (0, 10, 20, 30, 60)
]
entries = st.lists(st.tuples(st.binary(min_size=2, max_size=2), st.sampled_from(few)), max_size=12)


@given(entries, st.sampled_from([0.5, 0.8, 1.0]))
def test_dropped_are_those_with_a_near_one_before_them_in_any_order(
    bucket: list[tuple[bytes, bytes]], threshold: float
) -> None:
    def near(one: bytes, other: bytes) -> bool:
        return sum(a == b for a, b in zip(one, other, strict=True)) >= equal_values(threshold)

    expected = sorted(
        key for key, own in bucket if any(other < key and near(own, its) for other, its in bucket)
    )
    assert sorted(near_duplicates(bucket, threshold)) == expected
    assert sorted(near_duplicates(bucket[::-1], threshold)) == expected


def test_a_bucket_of_any_size_is_compared_with_its_64_first() -> None:
    rng = np.random.default_rng(5)
    bucket = [(i.to_bytes(2, "big"), rng.bytes(SIGNATURE_BYTES)) for i in range(300)]
    copies = [(key + b"x", own) for key, own in bucket]
    dropped = sorted(near_duplicates([*copies, *bucket], 0.8))
    assert dropped == sorted(key for key, _ in copies[:64])
    assert sorted(near_duplicates([*bucket[::-1], *copies], 0.8)) == dropped


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rensa", None)
    with pytest.raises(
        ValueError,
        match=r"^near_duplicates: needs the package rensa: pip install 'noisebeam\[dedup\]'$",
    ):
        check_minhash()


def test_scripts_without_spaces_are_taken_by_characters() -> None:
    assert shingles("我爱北京天安门") == ["我 爱 北 京 天", "爱 北 京 天 安", "北 京 天 安 门"]
    assert shingles("") == [""]
    assert shingles("ก ข ค ง จ") == ["ก ข ค ง จ"]
