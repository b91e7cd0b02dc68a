"""Schemas that are inferred from Arrow's."""

from __future__ import annotations

import pyarrow as pa
import pytest

from audiomem_sql.columns.arrow_input import schema_of_arrow
from audiomem_sql.columns.schema import (
    parse_columns,
)
from audiomem_sql.errors import SchemaError


@pytest.mark.parametrize(
    ("data_type", "expected"),
    [
        *(
            (t, "INTEGER")
            for t in (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32())
        ),
        (pa.uint64(), "UBIGINT"),
        *((t, "REAL") for t in (pa.float16(), pa.float32(), pa.float64())),
        (pa.bool_(), "BOOLEAN"),
        *((t, "TEXT") for t in (pa.string(), pa.large_string(), pa.string_view(), pa.null())),
        (pa.dictionary(pa.int8(), pa.large_string()), "TEXT"),
        (pa.run_end_encoded(pa.int32(), pa.int16()), "INTEGER"),
        *((t, "BLOB") for t in (pa.binary(), pa.large_binary(), pa.binary(16), pa.binary_view())),
        (pa.timestamp("s"), "TIMESTAMP_S"),
        (pa.timestamp("ms"), "TIMESTAMP_MS"),
        (pa.timestamp("us"), "TIMESTAMP"),
        (pa.timestamp("ns"), "TIMESTAMP_NS"),
        (pa.timestamp("s", "UTC"), "TIMESTAMPTZ_S"),
        (pa.timestamp("ms", "+05:30"), "TIMESTAMPTZ_MS('+05:30')"),
        (pa.timestamp("us", "UTC"), "TIMESTAMPTZ"),
        (pa.timestamp("us", "Europe/Berlin"), "TIMESTAMPTZ('Europe/Berlin')"),
        (pa.timestamp("ns", "UTC"), "TIMESTAMPTZ_NS"),
        (pa.date32(), "DATE"),
        (pa.date64(), "DATE"),
        (pa.time32("s"), "TIME_S"),
        (pa.time32("ms"), "TIME_MS"),
        (pa.time64("us"), "TIME"),
        (pa.time64("ns"), "TIME_NS"),
        *((pa.duration(unit), f"DURATION_{unit.upper()}") for unit in ("s", "ms", "us", "ns")),
        (pa.month_day_nano_interval(), "INTERVAL"),
        (pa.decimal32(5, 2), "DECIMAL(5,2)"),
        (pa.decimal64(18, 18), "DECIMAL(18,18)"),
        (pa.decimal128(5, 2), "DECIMAL(5,2)"),
        (pa.decimal128(5, -2), "DECIMAL(7,0)"),
        (pa.decimal256(50), "DECIMAL(50,0)"),
        (pa.struct({"a": pa.int8(), "b c": pa.string()}), 'STRUCT("a" TINYINT, "b c" VARCHAR)'),
        (pa.map_(pa.string(), pa.uint64()), "MAP(VARCHAR, UBIGINT)"),
        (pa.list_(pa.list_(pa.float32())), "FLOAT[][]"),
        (pa.list_(pa.int32()), "INT32[]"),
        (pa.list_view(pa.string()), "VARCHAR[]"),
        (pa.list_(pa.float64(), 3), "DOUBLE[3]"),
        (pa.list_(pa.bool_(), 2), "BOOLEAN[2]"),
        (pa.dictionary(pa.int8(), pa.date32()), "DATE"),
        (pa.list_(pa.float16(), 3), "FLOAT[3]"),
        (pa.list_(pa.float64()), "FLOAT[7]"),
        (pa.large_list(pa.float32()), "FLOAT[7]"),
        (pa.list_view(pa.float32()), "FLOAT[7]"),
        (pa.fixed_shape_tensor(pa.float32(), [4]), "FLOAT[4]"),
        (pa.json_(), "JSON"),
        (pa.uuid(), "UUID"),
    ],
    ids=str,
)
def test_inferred_types(data_type: pa.DataType, expected: str) -> None:
    schema = schema_of_arrow(
        pa.schema([pa.field("A", data_type)]), widths={"A": 7} if "[7]" in expected else None
    )
    assert str(schema["a"].type) == expected


@pytest.mark.parametrize(
    "data_type",
    [
        pa.decimal128(38, -39),
        pa.struct([]),
        pa.list_(pa.struct([])),
        pa.struct({"a": pa.dense_union([pa.field("a", pa.int8())])}),
        pa.sparse_union([pa.field("a", pa.int8())]),
        pa.list_(pa.float32(), 70_000),
        pa.dense_union([pa.field("a", pa.int8())]),
    ],
    ids=str,
)
def test_types_that_no_column_has(data_type: pa.DataType) -> None:
    with pytest.raises(SchemaError) as caught:
        schema_of_arrow(pa.schema([pa.field("price", data_type)]), widths={"price": 3})
    assert "price" in str(caught.value)
    if "70000" not in str(data_type):
        assert str(data_type) in str(caught.value)


def test_lists_whose_width_is_not_told_are_no_vectors() -> None:
    schema = schema_of_arrow(pa.schema([pa.field("vec", pa.list_(pa.float32()))]))
    assert str(schema["vec"].type) == "FLOAT[]"


def test_an_unknown_zone_is_refused_by_the_name_of_its_column() -> None:
    for kind in (pa.timestamp("us", "Mars/Olympus"), pa.list_(pa.timestamp("s", "+25:00"))):
        with pytest.raises(SchemaError, match=r"column seen: .* is no time zone"):
            schema_of_arrow(pa.schema([pa.field("seen", kind)]))


def test_names_of_fields_that_differ_in_capitals_only_are_refused_by_the_name_of_the_column() -> None:
    with pytest.raises(SchemaError, match=r"column pair: .*two fields of one name"):
        schema_of_arrow(pa.schema([pa.field("pair", pa.struct({"a": pa.int8(), "A": pa.int8()}))]))


def test_key_and_meaning_are_named_by_the_caller() -> None:
    arrow = pa.schema([pa.field("ID", pa.int32()), pa.field("body", pa.string(), nullable=False)])
    schema = schema_of_arrow(arrow, primary_key="id", semantic="BODY")
    assert schema.sql() == "ID INTEGER PRIMARY KEY, body TEXT NOT NULL SEMANTIC"
    assert schema_of_arrow(arrow, semantic=["body"]).semantic_columns == (1,)
    assert schema_of_arrow(schema.to_arrow(), primary_key="body").rowid_column is None
    for arguments in ({"primary_key": "none"}, {"semantic": ["body", "none"]}):
        with pytest.raises(SchemaError, match="no column none"):
            schema_of_arrow(arrow, **arguments)
    with pytest.raises(SchemaError, match="ID"):
        schema_of_arrow(arrow, semantic="id")


def test_metadata_counts_only_while_it_fits() -> None:
    field = parse_columns(["j JSON"]).to_arrow().field(0)
    for data_type, expected in ((pa.large_string(), "JSON"), (pa.int64(), "INTEGER"), (pa.binary(), "BLOB")):
        assert str(schema_of_arrow(pa.schema([field.with_type(data_type)]))["j"].type) == expected
    for told in (b"WHAT", b"\xff", b"FLOAT[0]"):
        strange = pa.field("j", pa.string(), metadata={b"audiomem:type": told})
        assert str(schema_of_arrow(pa.schema([strange]))["j"].type) == "TEXT"
    vector = parse_columns(["v FLOAT[3]"]).to_arrow().field(0)
    assert (
        str(schema_of_arrow(pa.schema([vector.with_type(pa.list_(pa.float32(), 4))]))["v"].type) == "FLOAT[4]"
    )


def test_nullability() -> None:
    arrow = parse_columns(
        ["id INTEGER PRIMARY KEY NOT NULL", "a TEXT NOT NULL", "b TEXT", "c TEXT UNIQUE"]
    ).to_arrow()
    assert [field.nullable for field in arrow] == [True, False, True, True]
