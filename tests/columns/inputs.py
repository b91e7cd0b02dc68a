"""What the tests of Arrow's input share."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.columns.schema import parse_columns
from audiomem_sql.errors import DataTypeError

EVERY = parse_columns(
    ["i INTEGER", "r REAL", "t TEXT", "b BLOB", "o BOOLEAN", "s TIMESTAMP", "j JSON", "v FLOAT[2]"]
)


def one(values: Any, definition: str) -> list[Any]:
    """What becomes of the values of one column."""
    schema = parse_columns([definition])
    table, _ = to_table({schema.names[0]: values}, schema)
    table.validate(full=True)
    assert table.schema.equals(schema.to_arrow(), check_metadata=True)
    return table.column(0).to_pylist()  # type: ignore[no-any-return]


def refusal(values: Any, definition: str) -> DataTypeError:
    with pytest.raises(DataTypeError) as caught:
        one(values, definition)
    return caught.value


cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["1", "1.5", "true", "2024-05-06", "{}", "[1, 2]", " 7 ", "[1, NaN]"]),
    st.binary(max_size=3),
    st.binary(min_size=8, max_size=8),
    st.lists(st.floats(-5, 5), max_size=3),
    st.datetimes(),
)
