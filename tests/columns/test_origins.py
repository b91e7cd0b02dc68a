from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.columns.origins import MAX_CHARACTERS, Origin, parse_origin
from audiomem_sql.columns.schema import Schema

TYPES = [
    *(pa.type_for_alias(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *(
        pa.timestamp(unit, zone)
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "Europe/Lisbon", "+05:30")
    ),
    *(
        pa.float16(),
        pa.float32(),
        pa.float64(),
        pa.bool_(),
        pa.string(),
        pa.binary(),
        pa.date32(),
        pa.date64(),
    ),
]


@pytest.mark.parametrize("given_type", TYPES, ids=str)
def test_what_is_written_is_read(given_type: pa.DataType) -> None:
    for backend in (None, "pyarrow", "numpy_nullable"):
        for category, kinds in ((False, None), (True, None)):
            origin = Origin(given_type, backend, category, kinds)
            assert parse_origin(origin.text()) == origin
    ordered = Origin(pa.string(), None, True, ("b", "a"), True)
    assert parse_origin(ordered.text()) == ordered


@pytest.mark.parametrize("given_type", TYPES, ids=str)
def test_what_a_column_has_anyway_is_not_written(given_type: pa.DataType) -> None:
    _, schema = to_table(pa.table({"a": pa.array([None, None], given_type)}))
    (column,) = schema.columns
    told = parse_origin(column.origin)
    canonical = schema.shown().field(0).type
    assert (told is None) == (given_type == canonical)
    if told is not None:
        assert told.type == given_type
    again = Schema.from_catalog(schema.to_catalog())
    assert again.columns[0].origin == column.origin


@given(
    st.text()
    | st.recursive(
        st.none() | st.integers() | st.text() | st.floats(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["arrow", "backend", "categories", "category", "ordered"]) | st.text(),
                inner | st.sampled_from(["int8", "string", "timestamp[us, tz=Nowhere]"]),
            )
        ),
    ).map(json.dumps)
)
def test_no_text_is_an_error(text: str) -> None:
    origin = parse_origin(text)
    if origin is not None:
        assert parse_origin(origin.text()) == origin
        for values in (["a", None], [], [None]):
            restored = origin.restored(pa.chunked_array([values], pa.string()))
            assert restored is None or len(restored) == len(values)


def test_a_catalog_may_say_anything() -> None:
    packed = [
        {"name": "a", "type": "TEXT", "x_origin": ["no", "text"]},
        {"name": "b", "type": "TEXT", "x_origin": "{"},
    ]
    schema = Schema.from_catalog(packed)
    assert [column.origin for column in schema.columns] == [None, "{"]
    assert parse_origin("{") is None


def test_too_many_categories_are_not_kept_and_nor_is_their_order() -> None:
    kinds = [f"{number:010}" for number in range(MAX_CHARACTERS // 12)]
    array = pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int32()), pa.array(kinds), ordered=True)
    _, schema = to_table(pa.table({"a": array}))
    origin = parse_origin(schema.columns[0].origin)
    assert origin == Origin(pa.string(), None, True)


def test_values_that_do_not_fit_any_more() -> None:
    stored = pa.chunked_array([[1, None, 300]])
    assert Origin(pa.int8()).restored(stored) is None
    restored = Origin(pa.int16()).restored(stored)
    assert restored.type == pa.int16()
    assert restored.to_pylist() == [1, None, 300]
    texts = pa.chunked_array([["a", None], ["c"]])
    assert Origin(pa.string(), None, True, ("a", "b")).restored(texts) is None
    known = Origin(pa.string(), None, True, ("c", "b", "a"), True).restored(texts)
    assert known.to_pylist() == ["a", None, "c"]
    assert known.type.ordered
    assert known.chunk(1).dictionary.to_pylist() == ["c", "b", "a"]
