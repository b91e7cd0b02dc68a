from __future__ import annotations

import apsw
import pyarrow as pa
import pytest

from audiomem_sql.columns.types import (
    MAX_WIDTH,
    ColumnType,
    Kind,
    arrow_type,
    shown_declaration,
    sqlite_declaration,
    words_of,
)
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
        "FLOAT[0]",
        "FLOAT[65536]",
        "FLOAT[-1]",
        "FLOAT[99999999999]",
        "FLOAT[x]",
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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("VARCHAR(20)", "VARCHAR(20)"),
        ("varchar ( 20 )", "varchar ( 20 )"),
        ("bigint", "bigint"),
        ("INT", "INT"),
        ("Double  Precision", "Double  Precision"),
        ("FLOAT", "FLOAT"),
        ("Bool", "Bool"),
        ("boolean", "BOOLEAN"),
        ("FLOAT [3]", "FLOAT [3] BLOB"),
        ("float[3]", "FLOAT[3] BLOB"),
        ("integer", "INTEGER"),
        ("STRING", "STRING TEXT"),
        ("datetime", "datetime TEXT"),
        ("TIMESTAMP", "TIMESTAMP TEXT"),
        ("Json", "JSON TEXT"),
    ],
)
def test_sqlite_is_shown_the_words_of_the_user(text: str, shown: str) -> None:
    column_type = ColumnType.parse(text)
    words = words_of(text, column_type)
    assert shown_declaration(column_type, words) == shown
    connection = apsw.Connection(":memory:")
    connection.execute(f"CREATE TABLE t(c {shown})")
    assert connection.execute("PRAGMA table_info(t)").fetchall()[0][2] == shown


def test_boolean_alone_compares_as_an_integer() -> None:
    """Its affinity is NUMERIC."""
    connection = apsw.Connection(":memory:")
    found = []
    for declared in ("BOOLEAN INTEGER", shown_declaration(ColumnType(Kind.BOOLEAN), None)):
        connection.execute(
            f"DROP TABLE IF EXISTS t; CREATE TABLE t(c {declared}); INSERT INTO t VALUES (0), (1)"
        )
        answers = []
        for right in ("'1'", "'1.0'", "' 1'", "1", "1.0", "0.5", "''", "x'31'", "'a'", "1e300"):
            for operator in ("=", "<", ">=", "<>", "IS", "IN"):
                between = f"({right}) BETWEEN c AND c, CASE c WHEN {right} THEN 1 END"
                sql = f"SELECT c {operator} ({right}), {between} FROM t"
                answers.append(connection.execute(sql).fetchall())
            both = f"SELECT c FROM t UNION ALL SELECT {right} UNION ALL SELECT c + 0.0 FROM t"
            sql = f"SELECT quote(c) FROM ({both}) WHERE true ORDER BY 1"
            answers.append(connection.execute(sql).fetchall())
        found.append(answers)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "words",
    [
        "TEXT, h HIDDEN",
        "VARCHAR(2)) --",
        "INTEGER",
        "VARCHAR\x1c(2)",
        f"VARCHAR({9:070})",
        "",
        "é",
        "VARCHAR(2)\n",
    ],
)
def test_words_that_are_no_spelling_of_the_type_are_passed_over(words: str) -> None:
    read = words_of(words, ColumnType(Kind.TEXT))
    assert read is None or read == "VARCHAR(2)"
