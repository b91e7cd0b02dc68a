from __future__ import annotations

import apsw
import pyarrow as pa
import pytest

from audiomem_sql.columns.types import MAX_WIDTH, ColumnType, Kind, arrow_type, sqlite_declaration
from audiomem_sql.errors import SchemaError

ALL = [ColumnType(kind, 384 if kind is Kind.FLOAT else 0) for kind in Kind]


@pytest.mark.parametrize("column_type", ALL, ids=str)
def test_its_own_spelling_is_read_in_any_case(column_type: ColumnType) -> None:
    for text in (str(column_type), str(column_type).lower(), f" \n{column_type}\t"):
        assert ColumnType.parse(text) == column_type


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INT", "INTEGER"),
        ("bigint", "INTEGER"),
        ("DOUBLE", "REAL"),
        ("double  precision", "REAL"),
        ("FLOAT", "REAL"),
        ("STRING", "TEXT"),
        ("VARCHAR", "TEXT"),
        ("varchar ( 20 )", "TEXT"),
        ("bool", "BOOLEAN"),
        ("DATETIME", "TIMESTAMP"),
        ("float [ 3 ]", "FLOAT[3]"),
        (f"FLOAT[{MAX_WIDTH}]", f"FLOAT[{MAX_WIDTH}]"),
    ],
)
def test_synonyms(text: str, expected: str) -> None:
    assert str(ColumnType.parse(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "BYTEA",
        "NUMERIC",
        "FLOAT[]",
        "FLOAT[0]",
        "FLOAT[65536]",
        "FLOAT[-1]",
        "FLOAT[99999999999]",
        "FLOAT[x]",
        "REAL[3]",
        "VARCHAR()",
        "INTEGER(4)",
        "TEXT TEXT",
        "ﬂoat[3]",
        "FLOAT[٣]",
    ],
)
def test_other_types_are_refused_by_name(text: str) -> None:
    with pytest.raises(SchemaError) as caught:
        ColumnType.parse(text, "price")
    assert "price" in str(caught.value)
    assert text.strip() in str(caught.value)
    if "[" not in text:
        assert "INTEGER, REAL, TEXT, BLOB, BOOLEAN, TIMESTAMP, JSON, FLOAT[n]" in str(caught.value)


def test_only_vectors_have_a_width() -> None:
    for kind, width in ((Kind.TEXT, 3), (Kind.FLOAT, 0), (Kind.FLOAT, MAX_WIDTH + 1), (Kind.FLOAT, -1)):
        with pytest.raises(SchemaError):
            ColumnType(kind, width)


def test_arrow_types() -> None:
    assert [arrow_type(column_type) for column_type in ALL] == [
        pa.int64(),
        pa.float64(),
        pa.string(),
        pa.binary(),
        pa.bool_(),
        pa.timestamp("us"),
        pa.string(),
        pa.list_(pa.float32(), 384),
    ]


# typeof of what a column without STRICT makes of the text '1', the integer 1, the real 1.0 and a blob, by
# affinity
_AFFINITY = {
    "INTEGER": ["integer", "integer", "integer", "blob"],
    "REAL": ["real", "real", "real", "blob"],
    "TEXT": ["text", "text", "text", "blob"],
    "BLOB": ["text", "integer", "real", "blob"],
}


@pytest.mark.parametrize(
    ("column_type", "affinity"),
    list(zip(ALL, ["INTEGER", "REAL", "TEXT", "BLOB", "INTEGER", "TEXT", "TEXT", "BLOB"], strict=True)),
    ids=str,
)
def test_sqlite_gives_the_declared_type_its_affinity(column_type: ColumnType, affinity: str) -> None:
    connection = apsw.Connection(":memory:")
    connection.execute(f"CREATE TABLE t(c {sqlite_declaration(column_type)})")
    connection.executemany("INSERT INTO t VALUES (?)", [("1",), (1,), (1.0,), (b"1",)])
    assert [row[0] for row in connection.execute("SELECT typeof(c) FROM t")] == _AFFINITY[affinity]
