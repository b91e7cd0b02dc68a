"""Bloom filters: never a wrong no, rarely a wrong perhaps."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiomem_sql.blocks.bloom import (
    MIN_BYTES,
    BloomFilter,
    filter_bytes,
    hash_array,
    hash_integers,
    hash_keys,
)
from audiomem_sql.errors import DamagedFileError

KEYS = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1)),
    st.lists(st.text()),
    st.lists(st.binary()),
    st.lists(st.floats(allow_nan=False)),
)


@given(KEYS)
def test_no_false_negatives(keys: list[Any]) -> None:
    bloom = BloomFilter.of(hash_keys(keys))
    assert len(bloom.bits) == filter_bytes(len(keys))
    for key in keys:
        assert bloom.may_contain(hash_keys([key]))[0]
    if keys:
        assert bloom.may_contain(hash_array(pa.array([None, *keys]))).all()


def test_few_false_positives() -> None:
    rng = random.Random(1)
    bloom = BloomFilter.of(hash_integers(np.arange(20_000)))
    absent = np.array([rng.randrange(20_000, 2**63) for _ in range(20_000)])
    assert bloom.may_contain(hash_integers(absent)).mean() < 0.01


def test_known_hashes() -> None:
    """The hashes are part of the format."""
    assert hash_integers(np.array([0, 1, -1])).tolist() == [
        16294208416658607535,
        10451216379200822465,
        16490336266968443936,
    ]
    assert hash_keys(["", "a"]).tolist() == hash_keys([b"", b"a"]).tolist()
    assert hash_keys([-0.0]).tolist() == hash_keys([0.0]).tolist()
    assert hash_keys([True]).tolist() == hash_keys([1]).tolist()
    moment = pa.array([datetime(2020, 1, 1)], pa.timestamp("us"))
    assert hash_array(moment).tolist() == hash_keys([1_577_836_800_000_000]).tolist()


def test_too_short() -> None:
    for size in (0, 1, MIN_BYTES - 1):
        with pytest.raises(DamagedFileError):
            BloomFilter(np.zeros(size, np.uint8))
