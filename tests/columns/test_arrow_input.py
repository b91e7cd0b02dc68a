"""Tables in any form that a user may bring."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.columns.shown import shown_arrays
from audiomem_sql.errors import AudioMemError, ConstraintError, DataTypeError, OptionError, SchemaError
from columns.inputs import EVERY, cells

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
    "pandas": lambda: pd.DataFrame(ROWS),
    "pandas vectors": lambda: pd.DataFrame(
        {"id": [1, 2, 3], "name": ["a", None, "ü"], "v": [np.array([1.0, 2]), None, np.array([0.0, 5])]}
    ),
    "rows": lambda: ROWS,
    "mappings": lambda: tuple(Dictionary(row) for row in ROWS),
    "lists": lambda: {name: [row[name] for row in ROWS] for name in ROWS[0]},
    "arrays": lambda: Dictionary({name: ARROW.column(name) for name in ARROW.column_names}),
}


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
    [
        {"a": [1], "what": [1], "else": [2]},
        [{"a": 1, "what": 1, "else": 2}],
        pa.table({"what": [1], "else": [2]}),
        pd.DataFrame({"what": [1], "else": [2]}),
    ],
    ids=["lists", "rows", "table", "pandas"],
)
def test_unknown_columns(data: object) -> None:
    with pytest.raises(SchemaError, match="what, else"):
        to_table(data, parse_columns(["a TEXT"]))


@pytest.mark.parametrize(
    "data",
    [
        {"a": [1], "A": [1]},
        [{"a": 1}, {"A": 1}],
        pa.table([[1], [2]], names=["a", "a"]),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
    ],
    ids=["lists", "rows", "table", "pandas"],
)
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
    with pytest.raises(SchemaError, match=r"column 0 is 5, and no text.*map\(str\)"):
        to_table(pd.DataFrame({5: [1]}))


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
        "nullable INTEGER, flag BOOLEAN, category TEXT, moment TIMESTAMP_NS, "
        "zoned TIMESTAMPTZ('Europe/Berlin'), object TEXT, bytes BLOB, "
        "real REAL, arrow TEXT"
    )
    assert table.to_pylist() == [
        {
            "nullable": 1,
            "flag": True,
            "category": "a",
            "moment": int(pd.Timestamp(2024, 5, 6).value),
            "zoned": int(pd.Timestamp(2024, 5, 5, 22).value) // 1000,
            "object": "a",
            "bytes": b"a",
            "real": 1.5,
            "arrow": "x",
        },
        dict.fromkeys(schema.names),
    ]
    assert to_table(frame, schema)[0].equals(table)
    assert to_table({name: frame[name] for name in frame}, schema)[0].equals(table)
    shown = pa.table(shown_arrays(table.columns, [column.type for column in schema.columns]), schema.shown())
    assert shown.column("moment").type == pa.timestamp("ns")
    assert shown.column("zoned").type == pa.timestamp("us", "Europe/Berlin")
    assert to_table(shown.to_pandas(), schema)[0].equals(table)
    assert to_table(shown)[0].equals(table)


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
        to_table(fine, parse_columns(["s TIMESTAMP"]))
    with pytest.raises(DataTypeError, match=r"row 1: .*column s.*finer than the type"):
        to_table(fine, parse_columns(["s TIMESTAMP_S"]))
    assert to_table(fine)[1].sql() == "s TIMESTAMP_NS"
    with pytest.raises(SchemaError, match=r"column c: .*pandas.period"):
        to_table(pd.DataFrame({"c": pd.period_range("2024", periods=1)}))
    with pytest.raises(DataTypeError, match="column c "):
        to_table(pd.DataFrame({"c": [1 + 2j]}))


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
