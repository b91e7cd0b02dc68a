"""Rows with logical types, written, changed and found through SQL."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import apsw
import pyarrow as pa
import pytest

import audiomem_sql
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.errors import DataTypeError
from audiomem_sql.table.sql_dump import dump

COLUMNS = (
    "id INTEGER PRIMARY KEY, price NUMERIC(12,2), day DATE, u UUID, at TIMESTAMPTZ, name VARCHAR(10), ok BOOL, "
    "e ENUM('a,b', 'it''s', 'c)'), s STRUCT(a INT, \"b c\" VARCHAR), l INT[], m MAP(VARCHAR, INT), big UBIGINT, "
    "h HUGEINT, tm TIME, iv INTERVAL, bits BIT"
)
ROW = (
    *(
        "12.3",
        "2024-01-02",
        "F47AC10B58CC4372A5670E02B2C3D479",
        "2024-01-02 03:04:05+01:00",
        "x",
        True,
        "it's",
    ),
    *('{"a":1,"b c":"x"}', "[1,2,null]", '{"k":1}', "18446744073709551615", str(-(2**127)), "01:02:03.5"),
    *("1 year 2 days", "101"),
)
IMAGES = (
    *(
        "12.30",
        "2024-01-02",
        "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        "2024-01-02 02:04:05+00:00",
        "x",
        1,
        "it's",
    ),
    *('{"a":1,"b c":"x"}', "[1,2,null]", '{"k":1}', "18446744073709551615", str(-(2**127)), "01:02:03.5"),
    *("1 year 2 days", "101"),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.flac"


@pytest.fixture
def sql(path: Path) -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    audiomem_sql.register(connection)
    connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{path}', {COLUMNS})")
    marks = ", ".join("?" * len(ROW))
    names = [name for (name,) in connection.execute("SELECT name FROM pragma_table_info('t')")][1:]
    connection.execute(f"INSERT INTO t({', '.join(names)}) VALUES ({marks})", ROW)
    connection.execute("INSERT INTO t(price, day) VALUES (12, '2024-02-02'), (9.5, '2023-12-31'), (-3, NULL)")
    return connection


@pytest.fixture(params=["in the log", "in segments"])
def stored(request: pytest.FixtureRequest, sql: apsw.Connection) -> apsw.Connection:
    if request.param == "in segments":
        sql.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    return sql


def test_images_are_exact(stored: apsw.Connection) -> None:
    assert stored.execute("SELECT * FROM t WHERE id = 1").fetchall() == [(1, *IMAGES)]


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        ("price = 12.3", [1]),
        ("price = '1.23e1'", [1]),
        ("price IN (12.3, -3)", [1, 4]),
        ("price NOT IN (12.3)", [2, 3, 4]),
        ("price BETWEEN 9 AND 12", [2, 3]),
        ("price > 11.999", [1, 2]),
        ("price IS NOT 12", [1, 3, 4]),
        ("price < x'00'", [1, 2, 3, 4]),
        ("day IN ('2024-01-02')", [1]),
        ("day IS NOT '2024-01-02'", [2, 3, 4]),
        ("day IS NULL", [4]),
        ("day BETWEEN '2024-01-01' AND '2024-01-02 12:00:00'", [1]),
        ("at = '2024-01-02T02:04:05Z'", [1]),
        ("at = '2024-01-02 03:04:05+01:00'", [1]),
        ("at IN ('2024-01-02 02:04:05')", [1]),
        ("u = 'f47ac10b-58cc-4372-a567-0e02b2c3d479'", [1]),
        ("big = '18446744073709551615'", [1]),
        ("big IN ('18446744073709551615', 3)", [1]),
        ("big = '18446744073709551614'", []),
        ("h < 0", [1]),
        ("e IN ('it''s', 'zz')", [1]),
        ("l IN ('[1,2,null]')", [1]),
        ("s ->> 'a' = 1", [1]),
        ("id = 1 AND price = 12.3", [1]),
        ("id IN (1, 2) AND price > 12 AND day > '2024-01-01'", [1]),
    ],
)
def test_conditions_find_by_value(stored: apsw.Connection, condition: str, ids: list[int]) -> None:
    assert [row for (row,) in stored.execute(f"SELECT id FROM t WHERE {condition} ORDER BY id")] == ids


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("price", "1.005"),
        ("price", "abc"),
        ("price", 1e11),
        ("day", "2024-02-30"),
        ("day", 5),
        ("u", "f47"),
        ("e", "zz"),
        ("l", "[1"),
        ("l", b"\0"),
        ("big", -1),
        ("tm", "25:00"),
    ],
)
def test_what_does_not_fit_is_refused_by_column(sql: apsw.Connection, column: str, value: Any) -> None:
    before = sql.execute("SELECT * FROM t").fetchall()
    with pytest.raises(DataTypeError, match=f"column {column}"):
        sql.execute(f"UPDATE t SET {column} = ? WHERE id = 1", (value,))
    assert sql.execute("SELECT * FROM t").fetchall() == before


def test_changes_go_to_the_rows_that_are_found(stored: apsw.Connection) -> None:
    stored.execute("UPDATE t SET name = 'y', price = 99.99 WHERE day IN ('2024-02-02')")
    stored.execute("DELETE FROM t WHERE day IN ('2023-12-31', '2025-01-01')")
    assert stored.execute("SELECT id, price, name FROM t ORDER BY id").fetchall() == [
        (1, "12.30", "x"),
        (2, "99.99", "y"),
        (4, "-3.00", None),
    ]


def test_keys_are_by_value(tmp_path: Path, sql: apsw.Connection) -> None:
    columns = "d DECIMAL(30,3) PRIMARY KEY, u UUID UNIQUE, x INT, day DATE, UNIQUE(x, day)"
    sql.execute(f"CREATE VIRTUAL TABLE k USING audiomem('{tmp_path}/k.flac', {columns})")
    sql.execute(f"INSERT INTO k VALUES ('1.5', '{ROW[2]}', 1, '2024-01-01')")
    for values, failed in (
        (("1.50", None, 2, None), "k.d"),
        (("2", IMAGES[2], 2, None), "k.u"),
        (("2", None, 1, "2024-01-01"), "k.x, k.day"),
    ):
        with pytest.raises(apsw.ConstraintError, match=f"UNIQUE constraint failed: {failed}"):
            sql.execute("INSERT INTO k VALUES (?, ?, ?, ?)", values)
    sql.execute("INSERT INTO k VALUES ('1.51', NULL, 1, '2024-01-02')")
    sql.execute("INSERT OR REPLACE INTO k VALUES (1.5, NULL, 3, NULL)")
    assert sql.execute("SELECT d, x FROM k WHERE d = '1.50' AND x = 3").fetchall() == [("1.500", 3)]
    assert sql.execute("SELECT count(*) FROM k").get == 2


def test_checks_and_defaults_are_by_value(tmp_path: Path, sql: apsw.Connection) -> None:
    columns = "a DATE DEFAULT '2024-05-05', b DECIMAL(4,1) NOT NULL DEFAULT 10, CHECK (b > 9.5 AND a > '2020-01-01')"
    sql.execute(f"CREATE VIRTUAL TABLE c USING audiomem('{tmp_path}/c.flac', {columns})")
    sql.execute("INSERT INTO c(a) VALUES ('2024-05-06')")
    sql.execute("INSERT INTO c(b) VALUES ('100')")
    assert sql.execute("SELECT * FROM c").fetchall() == [("2024-05-06", "10.0"), ("2024-05-05", "100.0")]
    for a, b in (("2024-01-01", "9.5"), ("2019-12-31", "10")):
        with pytest.raises(apsw.ConstraintError, match="CHECK constraint failed"):
            sql.execute("INSERT INTO c VALUES (?, ?)", (a, b))


def test_a_dump_makes_the_images_again_in_plain_sqlite(path: Path, stored: apsw.Connection) -> None:
    plain = sqlite3.connect(":memory:")
    with audiomem_sql.open(path) as table:
        plain.executescript("\n".join(dump(table)))
    assert plain.execute("SELECT * FROM t").fetchall() == stored.execute("SELECT * FROM t").fetchall()
    plain.close()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("NUMERIC(12, 2)", "DECIMAL(12,2)"),
        ("DEC", "DECIMAL(18,3)"),
        ("CHARACTER(20)", "TEXT"),
        ("VARYING CHARACTER(255)", "TEXT"),
        ("NATIVE CHARACTER(70)", "TEXT"),
        ("VARBINARY(16)", "BLOB"),
        ("FLOAT(24)", "REAL"),
        ("SMALLSERIAL", "INTEGER"),
        ("UNSIGNED BIG INT", "UBIGINT"),
        ("TIMESTAMP(3) WITHOUT TIME ZONE", "TIMESTAMP_MS"),
        ("TIMESTAMP(3) WITH TIME ZONE", "TIMESTAMPTZ_MS"),
        ("time with time zone", "TIMETZ"),
        ("BIT(3)", "BIT"),
        ("BIT VARYING(5)", "BIT"),
        ("VARCHAR(5) ARRAY", "VARCHAR[]"),
        ("MAP(INT UNSIGNED, INT)", "MAP(UINTEGER, BIGINT)"),
        ("STRUCT(int INT, big DATE, time TIME)", 'STRUCT("int" BIGINT, "big" DATE, "time" TIME)'),
    ],
)
def test_the_names_of_other_databases_are_known(words: str, name: str) -> None:
    assert str(ColumnType.parse(words)) == name


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ("price = ?", Decimal("12.3")),
        ("price = ?", Decimal("1.23E+1")),
        ("u = ?", UUID(IMAGES[2])),
        ("day = ?", date(2024, 1, 2)),
        ("at = ?", datetime(2024, 1, 2, 2, 4, 5, tzinfo=UTC)),
    ],
)
def test_parameters_may_be_values_of_python(
    path: Path, stored: apsw.Connection, condition: str, value: Any
) -> None:
    assert stored.execute(f"SELECT id FROM t WHERE {condition}", (value,)).get == 1
    with audiomem_sql.open(path) as table:
        assert table.to_arrow(["id"], condition, [value])["id"].to_pylist() == [1]


def test_a_decimal_that_is_no_number_is_refused(path: Path, sql: apsw.Connection) -> None:
    with pytest.raises(DataTypeError, match="parameter 1: NaN is no finite number"):
        sql.execute("SELECT id FROM t WHERE price = ?", (Decimal("NaN"),))
    with audiomem_sql.open(path) as table, pytest.raises(DataTypeError, match="parameter 1"):
        table.to_arrow(["id"], "price = ?", [Decimal("Infinity")])


def test_a_filter_has_all_digits_of_a_number(tmp_path: Path) -> None:
    columns = ["u UBIGINT", "h HUGEINT", "d DECIMAL(30,10)", "b BIGNUM"]
    table = audiomem_sql.create(tmp_path / "t.flac", columns)
    row = {"u": 2**64 - 1, "h": 2**100, "d": Decimal("1234567890.1234567891"), "b": -(10**40)}
    table.append([row])
    for name, value in row.items():
        step = Decimal("1e-10") if name == "d" else 1
        for number, expected in ((value, (1, 0, 0)), (value + step, (0, 1, 0)), (value - step, (0, 0, 1))):
            for op, count in zip("=<>", expected, strict=True):
                assert table.to_arrow(where=f"{name} {op} {number}").num_rows == count, (name, op, number)
                assert table.to_arrow(where=f"{name} {op} ?", parameters=[number]).num_rows == count
            assert table.to_arrow(where=f"{name} IN (5, {number})").num_rows == expected[0]
            assert table.to_arrow(where=f"{name} IS ?", parameters=[number]).num_rows == expected[0]
    assert table.delete("u = ?", [2**64 - 2]).deleted == 0
    assert table.delete("u = ? AND h IN (?)", [2**64 - 1, 2**100]).deleted == 1


def test_what_is_a_number_to_the_collating_sequence_is_one_to_a_condition(tmp_path: Path) -> None:
    connection = apsw.Connection(":memory:")
    audiomem_sql.register(connection)
    columns = f"'{tmp_path / 't.flac'}', h HUGEINT, d DECIMAL(5,2)"
    connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem({columns})")
    connection.execute("INSERT INTO t VALUES (0, 0), (1, 1), (-1, -1)")
    table = audiomem_sql.open(tmp_path / "t.flac")
    for text in (
        " 1",
        "1 ",
        "1.0",
        "0e999999",
        "-0e999",
        "1e-999999",
        "-1e999999",
        "1e1234567",
        "+1",
        "x",
        "",
    ):
        for op in ("=", "<", ">=", "<>", "IS"):
            for name in ("h", "d"):
                query = f"SELECT count(*) FROM t WHERE {{}}{name} {op} ?"
                bound, free = (connection.execute(query.format(sign), (text,)).get for sign in ("", "+"))
                assert bound == free, (name, op, text)
                assert table.to_arrow(where=f"{name} {op} ?", parameters=[text]).num_rows == free


def test_days_of_every_year_are_found_in_their_order(tmp_path: Path) -> None:
    """The least number of days, which Arrow has, is stored below the one that means -infinity."""
    days = [-(2**31) + 1, -(2**31), -800_000, -719_163, 0, 2_932_897, 2**31 - 2, 2**31 - 1]
    rows = pa.table({"i": range(len(days)), "d": pa.array(days, pa.int32()).view(pa.date32())})
    table = audiomem_sql.write_flac(rows, tmp_path / "t.flac")
    connection = apsw.Connection(":memory:")
    audiomem_sql.register(connection)
    connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}')")
    images = [image for (image,) in connection.execute("SELECT d FROM t ORDER BY d")]
    assert images[0] == "-infinity"
    assert images[2:5] == ["0222-09-04 (BC)", "0001-12-31 (BC)", "1970-01-01"]
    assert images[-1] == "infinity"
    for place, image in enumerate([*images, f"{images[2][:-5]} 00:00:00.000000000+00:00 (BC)"]):
        at = place if place < len(images) else 2
        for op, expected in (
            ("<", range(at)),
            ("<=", range(at + 1)),
            ("=", range(at, at + 1)),
            (">=", range(at, len(days))),
            (">", range(at + 1, len(days))),
        ):
            for column in ("d", "+d"):
                found = connection.execute(f"SELECT i FROM t WHERE {column} {op} ? ORDER BY i", (image,))
                assert [i for (i,) in found] == list(expected), (column, op, image)
            assert table.to_arrow(["i"], f"d {op} ?", [image])["i"].to_pylist() == list(expected)
