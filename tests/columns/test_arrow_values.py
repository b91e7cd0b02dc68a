"""Values of Arrow and Python on their way into a column: kept, converted or refused by row."""

from __future__ import annotations

import math
import struct
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.columns.affinity import convert
from audiomem_sql.columns.arrow_cast import cast_column, stored_array
from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.columns.column import Column
from audiomem_sql.columns.schema import parse_columns
from audiomem_sql.columns.shown import shown_array
from audiomem_sql.columns.sql_values import sql_values as columns_sql_values
from audiomem_sql.columns.timestamps import MAX_MICROS, MIN_MICROS
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import ConstraintError, DataTypeError, SchemaError
from columns.inputs import EVERY, cells, one, refusal


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(EVERY.columns), st.lists(cells, max_size=5))
def test_rows_go_through_the_affinity_of_their_column(column: Column, values: list[object]) -> None:
    stored, fault = converted(values, column)
    if fault is not None:
        with pytest.raises(DataTypeError) as caught:
            to_table([{column.name: value} for value in values], EVERY)
        assert (caught.value.what, caught.value.place) == (fault.what, f"row {len(stored)}")
        return
    table, _ = to_table([{column.name: value} for value in values], EVERY)
    table.validate(full=True)
    assert sql_values(table.column(column.name), column.type) == stored


def converted(values: list[Any], column: Column) -> tuple[list[Any], DataTypeError | None]:
    """The stored values up to the first that is refused, and the refusal."""
    stored: list[Any] = []
    try:
        for value in values:
            stored.append(convert(value, column))
    except DataTypeError as fault:
        return stored, fault
    return stored, None


def sql_values(array: Any, column_type: ColumnType) -> list[Any]:
    if column_type.kind is Kind.TIMESTAMP:
        return array.cast(pa.int64()).to_pylist()  # type: ignore[no-any-return]
    found = array.to_pylist()
    if column_type.kind is Kind.FLOAT:
        return [None if vector is None else struct.pack(f"<{len(vector)}f", *vector) for vector in found]
    return found  # type: ignore[no-any-return]


arrow_arrays = st.one_of(
    *(
        st.lists(st.none() | st.integers(low, high), min_size=1, max_size=6).map(
            lambda x, t=t: pa.array(x, t)
        )
        for t, low, high in (
            (pa.int8(), -128, 127),
            (pa.int8(), 0, 1),
            (pa.int64(), -(2**63), 2**63 - 1),
            (pa.uint16(), 0, 2**16 - 1),
            (pa.uint64(), 0, 2**64 - 1),
        )
    ),
    *(
        st.lists(st.none() | st.floats(width=w) | st.integers(-9, 9).map(float), min_size=1, max_size=6).map(
            lambda x, t=t: pa.array(x, t)
        )
        for t, w in ((pa.float16(), 16), (pa.float32(), 32), (pa.float64(), 64))
    ),
    st.lists(st.none() | st.booleans(), min_size=1, max_size=6).map(lambda x: pa.array(x, pa.bool_())),
    *(
        st.lists(
            st.none() | st.text(max_size=4) | st.sampled_from(["1", "0.5", "{}", "[1,2]", "2024-01-01"]),
            max_size=6,
        ).map(lambda x, t=t: pa.array(x, t))
        for t in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()))
    ),
    *(
        st.lists(st.none() | st.binary(max_size=4) | st.just(b"\0" * 8), max_size=6).map(
            lambda x, t=t: pa.array(x, t)
        )
        for t in (pa.binary(), pa.large_binary(), pa.binary_view())
    ),
    *(
        st.lists(st.none() | st.lists(st.floats(width=32), min_size=2, max_size=2), max_size=6).map(
            lambda x, t=t: pa.array(x, t)
        )
        for t in (
            pa.list_(pa.float64()),
            pa.list_(pa.float32(), 2),
            pa.large_list(pa.float32()),
            pa.list_view(pa.float32()),
        )
    ),
)


@settings(max_examples=800, deadline=None)
@given(st.sampled_from(EVERY.columns), arrow_arrays, st.integers(0, 3))
def test_arrow_arrays_are_stored_as_their_values_are(column: Column, array: Any, skip: int) -> None:
    """The whole-array paths and ``affinity.convert`` must agree, on slices too."""
    array = array.slice(min(skip, len(array)))
    stored, fault = converted(array.to_pylist(), column)
    if fault is not None:
        with pytest.raises(DataTypeError) as caught:
            cast_column(column, [array])
        assert caught.value.place == f"row {len(stored)}"
        assert f" column {column.name}" in str(caught.value)
        return
    found = cast_column(column, [array, array])
    found.validate(full=True)
    assert repr(sql_values(found, column.type)) == repr(stored * 2)  # NaN is NaN there


@pytest.mark.parametrize(
    "sql_type", ["INTEGER", "REAL", "TEXT", "BLOB", "BOOLEAN", "TIMESTAMP", "JSON", "FLOAT[2]"]
)
def test_all_null_fits_every_column(sql_type: str) -> None:
    for data_type in (
        pa.null(),
        pa.string(),
        pa.decimal128(5),
        pa.struct({"a": pa.int8()}),
        pa.list_(pa.float32()),
    ):
        assert one(pa.nulls(3, data_type), f"c {sql_type}") == [None] * 3
    (array,) = stored_array([None, None], ColumnType.parse(sql_type))
    assert array.null_count == 2


INVALID = pa.Array.from_buffers(pa.binary(), 2, pa.array([b"a", b"\xff"]).buffers()).view(pa.string())
SURROGATE = pa.array(["a", b"\xed\xa0\x80"], pa.binary()).view(pa.string())


@pytest.mark.parametrize(
    ("values", "definition", "row", "words"),
    [
        (pa.array([1, 2**63], pa.uint64()), "c INTEGER", 1, "64 bits"),
        (pa.array([1, 2**63], pa.uint64()), "c REAL", 1, "64 bits"),
        ([1, 2**63], "c INTEGER", 1, "64 bits"),
        (pa.array([1.0, None, 2.5]), "c INTEGER", 2, "REAL value in INTEGER"),
        (pa.array([2.0**63]), "c INTEGER", 0, "REAL value in INTEGER"),
        (pa.array([math.inf]), "c INTEGER", 0, "REAL value in INTEGER"),
        (pa.array(["1", "x"]), "c INTEGER", 1, "TEXT value in INTEGER"),
        (pa.array([b"1"]), "c INTEGER", 0, "BLOB value in INTEGER"),
        (pa.array([b"1"]), "c TEXT", 0, "BLOB value in TEXT"),
        (pa.array(["1"]), "c BLOB", 0, "TEXT value in BLOB"),
        (pa.array([0, 1, 2]), "c BOOLEAN", 2, "INT value in BOOLEAN"),
        (pa.array([None, -1], pa.int8()), "c BOOLEAN", 1, "INT value in BOOLEAN"),
        (pa.array([1000, 1001], pa.timestamp("ns")), "c TIMESTAMP", 1, "finer than a microsecond"),
        (pa.array([0, 10**12], pa.timestamp("s")), "c TIMESTAMP", 1, "0001 to 9999"),
        (pa.array([MAX_MICROS, MAX_MICROS + 1], pa.timestamp("us")), "c TIMESTAMP", 1, "0001 to 9999"),
        (pa.array([MIN_MICROS, MIN_MICROS - 1], pa.timestamp("us")), "c TIMESTAMP", 1, "0001 to 9999"),
        (pa.array([0, -(2**31)], pa.date32()), "c TIMESTAMP", 1, "0001 to 9999"),
        (pa.array([5]), "c TIMESTAMP", 0, "microseconds"),
        (pa.array([0], pa.timestamp("s")), "c TEXT", 0, "timestamp[s]"),
        (pa.array([0], pa.timestamp("s")), "c INTEGER", 0, "timestamp[s]"),
        (pa.array([None, Decimal(1)]), "c REAL", 1, "decimal128"),
        (pa.array([{"a": 1}]), "c TEXT", 0, "struct"),
        (pa.array([[1.0]]), "c TEXT", 0, "list<item: double>"),
        (pa.array(["{}", None, "{"]), "c JSON", 2, "not JSON"),
        (pa.array([[1.0, 2.0], None, [1.0]]), "c FLOAT[2]", 2, "1 numbers, and 2 are needed"),
        (pa.array([[1.0, 2.0, 3.0]], pa.list_(pa.float32(), 3)), "c FLOAT[2]", 0, "3 numbers, and 2"),
        (pa.array([None, [1.0, 2.0], [1.0, None]]), "c FLOAT[2]", 2, "NULL"),
        (pa.array([None, [1.0, math.nan]]), "c FLOAT[2]", 1, "NaN"),
        (pa.array([None, [1.0, 2.0], [1e39, 1.0]]), "c FLOAT[2]", 2, "too large"),
        (pa.array([["1", "2"]]), "c FLOAT[2]", 0, "list of numbers"),
        (pa.array([b"\0" * 8, b"\0" * 7]), "c FLOAT[2]", 1, "7 bytes"),
        (INVALID, "c TEXT", 1, "invalid UTF-8"),
        (INVALID.slice(1), "c TEXT", 0, "invalid UTF-8"),
        (INVALID.cast(pa.large_string()), "c TEXT", 1, "invalid UTF-8"),
        (SURROGATE, "c TEXT", 1, "invalid UTF-8"),
        (INVALID, "c JSON", 1, "invalid UTF-8"),
        (pa.DictionaryArray.from_arrays([0, 0, None, 1], INVALID), "c TEXT", 3, "invalid UTF-8"),
        (["a", "\ud800"], "c TEXT", 1, "invalid UTF-8"),
        (pa.chunked_array([["1", "2"], ["3", "x"]]), "c INTEGER", 3, "TEXT value in INTEGER"),
        (pa.chunked_array([[1.0, 2.0], [3.0, 4.5]]), "c INTEGER", 3, "REAL value in INTEGER"),
    ],
)
def test_the_first_offending_row_is_named(values: Any, definition: str, row: int, words: str) -> None:
    error = refusal(values, definition)
    assert error.place == f"row {row}"
    assert " column c" in error.what
    assert words in str(error)


def test_damaged_arrow_data_is_refused() -> None:
    offsets = pa.py_buffer(np.array([0, 9, 2], dtype=np.int32))
    broken = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"ab")])
    assert "column c" in str(refusal(broken, "c TEXT"))
    indices = pa.array([0, 7], pa.int8())
    broken = pa.DictionaryArray.from_arrays(indices, pa.array(["a"]), safe=False)
    assert "column c" in str(refusal(broken, "c TEXT"))


def test_not_null() -> None:
    for values, row in (
        ([1, None], 1),
        (pa.chunked_array([[1, 2], [3, None]]), 3),
        (pa.array([1.0, math.nan]), 1),
    ):
        with pytest.raises(ConstraintError, match=f"row {row}: NOT NULL constraint failed: c"):
            one(values, "c INTEGER NOT NULL")
    with pytest.raises(ConstraintError, match="row 0: NOT NULL constraint failed: d"):
        to_table({"c": [1]}, parse_columns(["c INTEGER", "d TEXT PRIMARY KEY"]))
    assert one([1, None], "c INTEGER PRIMARY KEY NOT NULL") == [1, None]
    never = pa.schema([pa.field("c", pa.int64(), nullable=False)])
    with pytest.raises(ConstraintError, match="row 0"):
        to_table(pa.table([pa.nulls(1, pa.int64())], schema=never))


def test_numbers() -> None:
    assert one(pa.array([1.0, math.nan, None, -(2.0**62)]), "c INTEGER") == [1, None, None, -(2**62)]
    assert repr(one(pa.array([1.5, math.nan, None, math.inf]), "c REAL")) == "[1.5, nan, None, inf]"
    assert repr(one(pa.array([-0.0, -1.0]), "c REAL")) == "[-0.0, -1.0]"
    assert repr(one([-0.0, math.nan, None, np.float32("nan")], "c REAL")) == "[-0.0, nan, None, nan]"
    assert one(pa.array([2**53 + 1, 2**63 - 1]), "c REAL") == [2.0**53, 2.0**63]
    assert one(pa.array([1, 2, None]), "c TEXT") == ["1", "2", None]
    assert one(pa.array([1.0, 1e20]), "c TEXT") == ["1.0", "1.0e+20"]


def test_times() -> None:
    first = datetime(1970, 1, 1)
    assert one(pa.array([0, None, 10**6], pa.timestamp("us")), "c TIMESTAMP") == [
        first,
        None,
        datetime(1970, 1, 1, 0, 0, 1),
    ]
    for unit in ("s", "ms", "us", "ns"):
        moment = pa.array([datetime(2024, 5, 6, 7, 8, 9)], pa.timestamp(unit))
        assert one(moment, "c TIMESTAMP") == [datetime(2024, 5, 6, 7, 8, 9)]
    assert one(pa.array([-1000], pa.timestamp("ns")), "c TIMESTAMP") == [
        datetime(1969, 12, 31, 23, 59, 59, 999_999)
    ]
    zoned = pa.array([datetime(2024, 5, 6, 7, tzinfo=UTC)], pa.timestamp("us", "Europe/Berlin"))
    assert one(zoned, "c TIMESTAMP") == [datetime(2024, 5, 6, 7)]
    table, schema = to_table({"c": zoned})
    assert schema.sql() == "c TIMESTAMPTZ('Europe/Berlin')"
    assert shown_array(table.column(0), schema.columns[0].type).equals(pa.chunked_array([zoned]))
    assert one(pa.array([date(2024, 5, 6), None]), "c TIMESTAMP") == [datetime(2024, 5, 6), None]
    assert one(pa.array([date(2024, 5, 6)], pa.date64()), "c TIMESTAMP") == [datetime(2024, 5, 6)]
    assert one(pa.array(["2024-05-06"]), "c TIMESTAMP") == [datetime(2024, 5, 6)]


def test_json() -> None:
    assert one(pa.array([{"a": 1, "b": ["ü"]}, None]), "c JSON") == ['{"a":1,"b":["ü"]}', None]
    assert one(pa.array([[1, 2]]), "c JSON") == ["[1,2]"]
    assert one(pa.array([5, 6]), "c JSON") == ["5", "6"]
    table, schema = to_table({"c": pa.array(['{"a": 1}'], pa.json_())})
    assert schema.sql() == "c JSON"
    assert table.to_pylist() == [{"c": '{"a": 1}'}]
    assert "column c" in str(refusal(pa.array([2**62], pa.timestamp("us")), "c JSON"))
    assert "column c" in str(
        refusal(pa.array([{"a": 2**62}], pa.struct({"a": pa.timestamp("us")})), "c JSON")
    )


def test_vectors() -> None:
    assert one(np.arange(6.0).reshape(3, 2), "c FLOAT[2]") == [[0, 1], [2, 3], [4, 5]]
    assert to_table({"c": np.zeros((3, 5), np.float32)})[1].sql() == "c FLOAT[5]"
    assert to_table({"c": np.zeros((3, 5))})[1].sql() == "c DOUBLE[5]"
    assert one([b"\0\0\x80\x3f" * 2, "[1, 2]", (3, 4), np.array([5, 6])], "c FLOAT[2]") == [
        [1, 1],
        [1, 2],
        [3, 4],
        [5, 6],
    ]
    assert one(pa.array([[1, 2]], pa.list_(pa.int16(), 2)), "c FLOAT[2]") == [[1, 2]]
    under_null = pa.FixedSizeListArray.from_arrays(
        pa.array([math.nan, 1.0, 1.0, 2.0]), 2, mask=pa.array([True, False])
    )
    assert one(under_null, "c FLOAT[2]") == [None, [1, 2]]
    chunks = pa.chunked_array([[None], [[1.0, 2.0]]], pa.list_(pa.float32()))
    assert to_table({"c": chunks})[1].sql() == "c FLOAT[2]"


@pytest.mark.parametrize(
    ("values", "sql"),
    [
        ([[1.0, 2.0], None, [0.1, 0.2]], "FLOAT[2]"),
        ([[1.0, 2.0], [1.0]], "DOUBLE[]"),
        ([[1.0, math.nan]], "DOUBLE[]"),
        ([[1.0, None]], "DOUBLE[]"),
        ([[1.0, 1e39]], "DOUBLE[]"),
        (pa.array([[1.0, 2.0]], pa.list_(pa.float64())), "DOUBLE[]"),
        (pa.array([[1.0, 2.0]], pa.list_(pa.float64(), 2)), "DOUBLE[2]"),
        (pa.nulls(2, pa.list_(pa.float32())), "FLOAT[]"),
        (pa.array([[], []], pa.list_(pa.float32())), "FLOAT[]"),
        (pa.array([[1.0], [1.0, 2.0]], pa.list_(pa.float32())), "FLOAT[]"),
        (pa.array([[1.0, math.nan], None], pa.list_(pa.float32(), 2)), "FLOAT[]"),
        (pa.array([None, [1.0, None]], pa.list_(pa.float32(), 2)), "FLOAT[]"),
        (pa.array([None, [1, None], [2, 3]], pa.list_(pa.int8(), 2)), "TINYINT[]"),
        (pa.array([None, [1, 4], [2, 3]], pa.list_(pa.int8(), 2)), "INT8[2]"),
    ],
    ids=str,
)
def test_lists_that_are_no_vectors_are_lists(values: Any, sql: str) -> None:
    for data in ({"c": values}, pa.table({"c": values}) if isinstance(values, pa.Array) else {"c": values}):
        table, schema = to_table(data)
        assert str(schema["c"].type) == sql
        shown = shown_array(table.column(0), schema["c"].type)
        if sql != "FLOAT[2]":
            given = values if isinstance(values, pa.Array) else pa.array(values)
            assert str(shown.to_pylist()) == str(given.to_pylist())


def test_encodings_are_decoded() -> None:
    words = pa.array(["a", None, "b"])
    runs = pa.RunEndEncodedArray.from_arrays([1, 3], pa.array(["a", "b"]))
    assert one(words.dictionary_encode(), "c TEXT") == ["a", None, "b"]
    assert one(runs, "c TEXT") == ["a", "b", "b"]
    assert to_table({"c": runs})[1].sql() == "c TEXT"
    assert one(pa.array([1, None]).dictionary_encode(), "c REAL") == [1.0, None]
    assert one(pa.array([b"x" * 16], pa.uuid()), "c BLOB") == [b"x" * 16]
    assert one(pa.array([b"x" * 16], pa.uuid()), "c UUID") == [b"x" * 16]


def test_a_column_without_one_type_needs_a_schema() -> None:
    mixed = [1, "x"]
    for data in ({"c": mixed}, [{"c": value} for value in mixed], pd.DataFrame({"c": mixed})):
        with pytest.raises(DataTypeError, match="column c "):
            to_table(data)
        assert to_table(data, parse_columns(["c TEXT"]))[0].column(0).to_pylist() == ["1", "x"]


def test_types_that_no_column_has_are_named() -> None:
    union = pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])])
    for values, name in ((union, "dense_union"), ([{}], "struct<>"), ([[{}]], "list<item: struct<>>")):
        with pytest.raises(SchemaError, match=rf"column c: .*{name}"):
            to_table({"c": values})


def test_python_values_that_arrow_would_cut_or_mix() -> None:
    fine = pd.Timestamp("2024-05-06 07:08:09.000000001")
    zone = timezone(timedelta(hours=5, minutes=30))
    kept: list[tuple[list[Any], str, list[Any]]] = [
        ([fine, datetime(1970, 1, 1), None, pd.NaT], "TIMESTAMP_NS", [fine.value, 0, None, None]),
        ([datetime(1970, 1, 1), fine], "TIMESTAMP_NS", [0, fine.value]),
        ([timedelta(1), pd.Timedelta(1)], "DURATION_NS", [86_400_000_000_000, 1]),
        ([2**64 - 1, 0, None], "UBIGINT", [2**63 - 1, -(2**63), None]),
        ([time(1, 2, tzinfo=zone), None], "TIMETZ", ["01:02:00+05:30", None]),
        ([-1, 2**64], "HUGEINT", ["-1", str(2**64)]),
        ([2**128, None, -5], "BIGNUM", [str(2**128), None, "-5"]),
        ([{"a": [fine]}, {"a": None}], 'STRUCT("a" TIMESTAMP_NS[])', None),
    ]
    for values, sql, expected in kept:
        for data in (
            {"c": values},
            [{"c": value} for value in values],
            pd.DataFrame({"c": pd.Series(values, dtype=object)}),
        ):
            table, schema = to_table(data)
            assert str(schema["c"].type) == sql
            if expected is not None:
                texts = sql in ("TIMETZ", "HUGEINT", "BIGNUM")
                array = table.column(0).combine_chunks()
                assert (
                    columns_sql_values(array, schema["c"].type) if texts else array.to_pylist()
                ) == expected
    table, schema = to_table([{"c": {"a": [fine]}}])
    assert shown_array(table.column(0), schema["c"].type).type == pa.struct(
        {"a": pa.list_(pa.timestamp("ns"))}
    )
    assert columns_sql_values(table.column(0).combine_chunks(), schema["c"].type) == [
        '{"a":["2024-05-06 07:08:09.000000001"]}'
    ]


@pytest.mark.parametrize(
    ("values", "row", "words"),
    [
        ([date(2024, 1, 1), None, datetime(2024, 1, 1, 5)], 2, "a time of day stands beside a date"),
        ([datetime(2024, 1, 1, 5), date(2024, 1, 1)], 1, "date"),
        ([{"a": date(2024, 1, 1)}, {"a": datetime(2024, 1, 1, 5)}], 1, "a time of day stands beside a date"),
        ([None, b"a", "b"], 2, "a text stands beside bytes"),
        ([[b"a"], [b"a", "b"]], 1, "a text stands beside bytes"),
        ([datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)], 1, "a time with a zone stands beside"),
        ([datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1)], 1, "a time with a zone stands beside"),
        ([time(1), time(1, tzinfo=UTC)], 1, "a time with a zone stands beside"),
        ([[time(1, tzinfo=UTC)]], 0, "a time with a zone stands beside"),
        (["a", "\ud800"], 1, "surrogates"),
        ([["a"], ["\ud800"]], 1, "surrogates"),
        ([1, 2, 3, "x", 4], 3, "int"),
        ([Decimal(1), 2, 1.5], 2, "Decimal"),
        ([datetime(9999, 1, 1), pd.Timestamp("2024-05-06 07:08:09.000000001")], 0, "column c "),
    ],
)
def test_python_values_of_several_types_are_refused_by_row(values: list[Any], row: int, words: str) -> None:
    for data in (
        {"c": values},
        [{"c": value} for value in values],
        pd.DataFrame({"c": pd.Series(values, dtype=object)}),
    ):
        with pytest.raises(DataTypeError, match=words) as caught:
            to_table(data)
        assert caught.value.place == f"row {row}"
        assert "column c " in caught.value.what
