from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb
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
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.columns.timestamps import MAX_MICROS, MIN_MICROS
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import AudioMemError, ConstraintError, DataTypeError, OptionError, SchemaError

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


# --- forms of a table ---------------------------------------------------------------------------------------

ROWS = [
    {"id": 1, "name": "a", "v": [1.0, 2.0]},
    {"id": 2, "name": None, "v": None},
    {"id": 3, "name": "ü", "v": [0.0, 5.0]},
]
ARROW = pa.table(
    {
        "id": pa.array([1, 2, 3]),
        "name": pa.array(["a", None, "ü"]),
        "v": pa.array([[1, 2], None, [0, 5]], pa.list_(pa.float32(), 2)),
    }
)


class Stream:
    """Nothing but the Arrow C stream."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return ARROW.__arrow_c_stream__(requested_schema)


class Dictionary(Mapping[str, Any]):
    """A mapping that is no dict."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content

    def __getitem__(self, key: str) -> Any:
        return self.content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.content)

    def __len__(self) -> int:
        return len(self.content)


FORMS = {
    "table": lambda: ARROW,
    "chunks": lambda: pa.concat_tables([ARROW.slice(0, 1), ARROW.slice(1)]),
    "batch": lambda: ARROW.to_batches()[0],
    "reader": lambda: ARROW.to_reader(1),
    "stream": Stream,
    "duckdb": lambda: duckdb.connect().from_arrow(ARROW),
    "pandas": lambda: pd.DataFrame(ROWS, index=[7, 8, 9]),
    "pandas vectors": lambda: pd.DataFrame({"id": [1, 2, 3], "name": ["a", None, "ü"], "v": [np.array([1.0, 2]), None, np.array([0.0, 5])]}),
    "rows": lambda: ROWS,
    "mappings": lambda: tuple(Dictionary(row) for row in ROWS),
    "lists": lambda: {name: [row[name] for row in ROWS] for name in ROWS[0]},
    "arrays": lambda: Dictionary({name: ARROW.column(name) for name in ARROW.column_names}),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_table(form: str) -> None:
    expected = parse_columns(["id INTEGER PRIMARY KEY", "name TEXT SEMANTIC", "v FLOAT[2]"])
    table, schema = to_table(FORMS[form](), primary_key="ID", semantic=["name"])
    assert schema == expected
    assert table.schema.equals(expected.to_arrow(), check_metadata=True)
    assert table.to_pylist() == ROWS
    again, _ = to_table(FORMS[form](), expected)
    assert again.equals(table)
    assert to_table(again)[1] == expected


@pytest.mark.parametrize("data", [5, "abc", None, object(), {"a": 5}, {"a": "abc"}, [5], [("a", 1)]])
def test_what_is_no_table(data: object) -> None:
    for schema in (None, parse_columns(["a TEXT"])):
        with pytest.raises(DataTypeError):
            to_table(data, schema)


def test_no_rows() -> None:
    schema = parse_columns(["a TEXT NOT NULL", "v FLOAT[3]"])
    for data in ([], {}, pd.DataFrame(), pa.table({}), {"v": []}, pa.table({"a": pa.array([], pa.string())})):
        assert to_table(data, schema)[0].num_rows == 0
    for data in ([], {}, pd.DataFrame(), pa.table({})):
        with pytest.raises(SchemaError, match="at least one column"):
            to_table(data)
    assert to_table([{}, {}], parse_columns(["a TEXT"]))[0].to_pylist() == [{"a": None}] * 2


def test_columns_are_found_by_name() -> None:
    table, _ = to_table([{"T": "x"}, {"I": 5}], EVERY)
    assert table.column_names == list(EVERY.names)
    assert table.select(["i", "t"]).to_pylist() == [{"i": None, "t": "x"}, {"i": 5, "t": None}]
    assert table.column("v").null_count == 2


@pytest.mark.parametrize(
    "data",
    [{"a": [1], "what": [1], "else": [2]}, [{"a": 1, "what": 1, "else": 2}], pa.table({"what": [1], "else": [2]}),
     pd.DataFrame({"what": [1], "else": [2]})],
    ids=["lists", "rows", "table", "pandas"],
)  # fmt: skip
def test_unknown_columns(data: object) -> None:
    with pytest.raises(SchemaError, match="what, else"):
        to_table(data, parse_columns(["a TEXT"]))


@pytest.mark.parametrize(
    "data",
    [{"a": [1], "A": [1]}, [{"a": 1}, {"A": 1}], pa.table([[1], [2]], names=["a", "a"]),
     pd.DataFrame([[1, 2]], columns=["a", "a"])],
    ids=["lists", "rows", "table", "pandas"],
)  # fmt: skip
def test_a_name_twice(data: object) -> None:
    for schema in (None, parse_columns(["a INTEGER"])):
        with pytest.raises(SchemaError, match=r"[Rr]ename"):
            to_table(data, schema)


def test_lists_of_different_length() -> None:
    with pytest.raises(DataTypeError, match="a 2, b 1"):
        to_table({"a": [1, 2], "b": pa.array([1])})


def test_a_schema_has_its_own_key() -> None:
    for arguments in ({"primary_key": "i"}, {"semantic": "t"}, {"semantic": ["t"]}):
        with pytest.raises(OptionError):
            to_table([], EVERY, **arguments)


def test_names_are_texts() -> None:
    for data in ({5: [1]}, [{5: 1}]):
        with pytest.raises(SchemaError, match="5"):
            to_table(data)
    assert to_table(pd.DataFrame([[1]]))[1].names == ("0",)


# --- values, one by one -------------------------------------------------------------------------------------

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
        st.lists(st.none() | st.integers(low, high), min_size=1, max_size=6).map(lambda x, t=t: pa.array(x, t))
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
        st.lists(st.none() | st.text(max_size=4) | st.sampled_from(["1", "0.5", "{}", "[1,2]", "2024-01-01"]), max_size=6).map(
            lambda x, t=t: pa.array(x, t)
        )
        for t in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()))
    ),
    *(
        st.lists(st.none() | st.binary(max_size=4) | st.just(b"\0" * 8), max_size=6).map(lambda x, t=t: pa.array(x, t))
        for t in (pa.binary(), pa.large_binary(), pa.binary_view())
    ),
    *(
        st.lists(st.none() | st.lists(st.floats(width=32), min_size=2, max_size=2), max_size=6).map(
            lambda x, t=t: pa.array(x, t)
        )
        for t in (pa.list_(pa.float64()), pa.list_(pa.float32(), 2), pa.large_list(pa.float32()), pa.list_view(pa.float32()))
    ),
)  # fmt: skip


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
    assert sql_values(found, column.type) == stored * 2


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


# --- faults, with their places ------------------------------------------------------------------------------

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
)  # fmt: skip
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


# --- what is converted --------------------------------------------------------------------------------------


def test_numbers() -> None:
    assert one(pa.array([1.0, math.nan, None, -(2.0**62)]), "c INTEGER") == [1, None, None, -(2**62)]
    assert one(pa.array([1.5, math.nan, math.inf]), "c REAL") == [1.5, None, math.inf]
    assert [math.copysign(1, real) for real in one(pa.array([-0.0, -1.0]), "c REAL")] == [1, -1]
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
    assert to_table({"c": zoned})[0].column(0).to_pylist() == [datetime(2024, 5, 6, 7)]
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
    assert to_table({"c": np.zeros((3, 5))})[1].sql() == "c FLOAT[5]"
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
    assert (
        to_table({"c": pa.chunked_array([[None], [[1.0, 2.0]]], pa.list_(pa.float64()))})[1].sql()
        == "c FLOAT[2]"
    )
    with pytest.raises(DataTypeError, match=r"row 1.*1 numbers, and 2 are needed"):
        to_table({"c": [[1.0, 2.0], [1.0]]})
    with pytest.raises(SchemaError, match=r"column c: .*width"):
        to_table({"c": pa.nulls(2, pa.list_(pa.float32()))})
    with pytest.raises(SchemaError, match=r"column c: .*width"):
        to_table({"c": [[], []]} | {"c": pa.array([[], []], pa.list_(pa.float32()))})


def test_encodings_are_decoded() -> None:
    words = pa.array(["a", None, "b"])
    runs = pa.RunEndEncodedArray.from_arrays([1, 3], pa.array(["a", "b"]))
    assert one(words.dictionary_encode(), "c TEXT") == ["a", None, "b"]
    assert one(runs, "c TEXT") == ["a", "b", "b"]
    assert to_table({"c": runs})[1].sql() == "c TEXT"
    assert one(pa.array([1, None]).dictionary_encode(), "c REAL") == [1.0, None]
    assert one(pa.array([b"x" * 16], pa.uuid()), "c BLOB") == [b"x" * 16]


def test_a_column_without_one_type_needs_a_schema() -> None:
    mixed = [1, "x"]
    for data in ({"c": mixed}, [{"c": value} for value in mixed], pd.DataFrame({"c": mixed})):
        with pytest.raises(DataTypeError, match="column c "):
            to_table(data)
        assert to_table(data, parse_columns(["c TEXT"]))[0].column(0).to_pylist() == ["1", "x"]


def test_types_that_no_column_has_are_named() -> None:
    for values, name in (([Decimal(1)], "decimal128"), ([{"a": 1}], "struct"), ([[["a"]]], "list")):
        with pytest.raises(SchemaError, match=rf"column c: .*{name}"):
            to_table({"c": values})


# --- pandas -------------------------------------------------------------------------------------------------


def test_pandas_types() -> None:
    frame = pd.DataFrame(
        {
            "nullable": pd.array([1, None], dtype="Int64"),
            "flag": pd.array([True, None], dtype="boolean"),
            "category": pd.Categorical(["a", None]),
            "moment": pd.Series(["2024-05-06", None], dtype="datetime64[ns]"),
            "zoned": pd.to_datetime(["2024-05-06", None]).tz_localize("Europe/Berlin"),
            "object": pd.Series(["a", None], dtype=object),
            "bytes": [b"a", None],
            "real": [1.5, math.nan],
            "arrow": pd.array(["x", None], dtype=pd.ArrowDtype(pa.large_string())),
        }
    )
    table, schema = to_table(frame)
    assert schema.sql() == (
        "nullable INTEGER, flag BOOLEAN, category TEXT, moment TIMESTAMP, zoned TIMESTAMP, object TEXT, bytes BLOB, "
        "real REAL, arrow TEXT"
    )
    assert table.to_pylist() == [
        {"nullable": 1, "flag": True, "category": "a", "moment": datetime(2024, 5, 6), "zoned": datetime(2024, 5, 5, 22),
         "object": "a", "bytes": b"a", "real": 1.5, "arrow": "x"},
        dict.fromkeys(schema.names),
    ]  # fmt: skip
    assert to_table(frame, schema)[0].equals(table)
    assert to_table({name: frame[name] for name in frame}, schema)[0].equals(table)
    assert to_table(table.to_pandas(), schema)[0].equals(table)


def test_pandas_objects_are_converted_one_by_one() -> None:
    frame = pd.DataFrame({"i": ["7", 7, 7.0, None, pd.NA, math.nan]}, dtype=object)
    assert to_table(frame, EVERY)[0].column("i").to_pylist() == [7, 7, 7, None, None, None]
    with pytest.raises(DataTypeError, match="row 1: cannot store REAL value in INTEGER column i"):
        to_table(pd.DataFrame({"i": ["7", 7.5]}, dtype=object), EVERY)


def test_pandas_faults() -> None:
    fine = pd.DataFrame(
        {"s": np.array(["2024-05-06", "2024-05-06T00:00:00.000000001"], dtype="datetime64[ns]")}
    )
    with pytest.raises(DataTypeError, match=r"row 1: .*column s.*microsecond"):
        to_table(fine)
    with pytest.raises(SchemaError, match=r"column c: .*duration"):
        to_table(pd.DataFrame({"c": [pd.Timedelta(1)]}))
    with pytest.raises(DataTypeError, match="column c "):
        to_table(pd.DataFrame({"c": [1 + 2j]}))


# --- the law ------------------------------------------------------------------------------------------------

anything = st.recursive(
    cells,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("ijtvAB"), anything, max_size=4), max_size=4), st.booleans())
def test_tables_fit_their_schema_or_are_refused_with_our_errors(
    rows: list[dict[str, object]], typed: bool
) -> None:
    try:
        table, schema = to_table(rows, EVERY if typed else None)
    except AudioMemError as error:
        str(error).encode()
        return
    table.validate(full=True)
    assert table.num_rows == len(rows)
    assert table.schema.equals(schema.to_arrow(), check_metadata=True)
    again, same = to_table(table)
    assert isinstance(same, Schema)
    assert same == schema
    assert again.equals(table)


def test_a_missing_column_takes_its_default() -> None:
    schema = parse_columns(
        [
            "id INTEGER PRIMARY KEY DEFAULT 5",
            "a TEXT NOT NULL DEFAULT 'x'",
            "b INTEGER DEFAULT (3 * 4)",
            "t TIMESTAMP DEFAULT '2001-02-03'",
            "v FLOAT[2] DEFAULT '[1, 2]'",
            "r INTEGER DEFAULT (random())",
            "n REAL",
        ]
    )
    whole, _ = to_table({"n": [1.5] * 1000}, schema)
    assert whole.schema == schema.to_arrow()
    assert whole.column("r").combine_chunks().unique().to_pylist() == whole.column("r").to_pylist()
    first, *others = whole.drop_columns(["r"]).to_pylist()
    at = datetime(2001, 2, 3)
    assert first == {"id": None, "a": "x", "b": 12, "t": at, "v": [1.0, 2.0], "n": 1.5}
    assert others == [first] * 999
    some, _ = to_table([{"n": 1, "b": None}, {"a": "y"}, {"t": None, "b": 3}], schema)
    assert some.select(["id", "a", "b", "t", "v", "n"]).to_pylist() == [
        {"id": None, "a": "x", "b": None, "t": at, "v": [1.0, 2.0], "n": 1.0},
        {"id": None, "a": "y", "b": 12, "t": at, "v": [1.0, 2.0], "n": None},
        {"id": None, "a": "x", "b": 3, "t": None, "v": [1.0, 2.0], "n": None},
    ]
    with pytest.raises(ConstraintError, match="row 1: NOT NULL constraint failed: a"):
        to_table([{"n": 1}, {"a": None}], schema)
    assert to_table([], schema)[0].num_rows == 0


def test_a_large_default_is_repeated_in_pieces() -> None:
    schema = parse_columns(["a TEXT DEFAULT (hex(zeroblob(1048576)))", "b INTEGER"])
    table, _ = to_table({"b": range(25)}, schema)
    assert table.num_rows == 25
    assert {len(text) for text in table.column("a").to_pylist()} == {1 << 21}
    assert to_table({"b": []}, schema)[0].num_rows == 0
