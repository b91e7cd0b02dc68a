"""Columns of a catalog, read from a file nobody vouches for."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiomem_sql.columns.schema import (
    Schema,
)
from audiomem_sql.errors import SchemaError


@pytest.mark.parametrize(
    "packed",
    [
        None,
        {},
        [],
        "abc",
        [1],
        [{}],
        [{"name": "a"}],
        [{"name": 1, "type": "TEXT"}],
        [{"name": "a", "type": "WHAT"}],
        [{"name": "a", "type": "TEXT", "unique": 1}],
        [{"name": "a", "type": "TEXT", "default": 5}],
        [{"name": "a", "type": "TEXT", "collation": None}],
        [{"name": "a", "type": "TEXT", b"x_": 5}],
        [{"name": "a", "type": "TEXT"}] * 2,
        [{"name": "a", "type": "FLOAT[99999]"}],
    ],
    ids=repr,
)
def test_damaged_catalogs(packed: object) -> None:
    with pytest.raises(SchemaError):
        Schema.from_catalog(packed)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "type", "unique", "x_a", "collation", 5]) | st.text(max_size=3), inner
        )
    ),
    max_leaves=12,
)


@given(plain)
def test_only_schema_errors_leave_a_catalog(packed: object) -> None:
    with contextlib.suppress(SchemaError):
        Schema.from_catalog(packed)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("VARCHAR(20)", "VARCHAR(20)"),
        ("TEXT, evil INTEGER HIDDEN", "TEXT"),
        ("VARCHAR(20)); DROP TABLE t", "TEXT"),
        ("INTEGER", "TEXT"),
        (b"VARCHAR(20)", "TEXT"),
        (5, "TEXT"),
        ("VARCHAR(" + "9" * 80 + ")", "TEXT"),
    ],
    ids=repr,
)
def test_words_of_a_type_that_a_file_makes_up(words: object, shown: str) -> None:
    schema = Schema.from_catalog([{"name": "a", "type": "TEXT", "x_type_words": words}])
    assert schema.declaration() == f'"a" {shown}'
