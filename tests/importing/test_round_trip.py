"""Import, export, import: the same rows by every format."""

from __future__ import annotations

import io
import sqlite3
from decimal import Decimal
from pathlib import Path

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiomem_sql.errors import LimitError, OptionError, QueryError, SchemaError, StorageError
from audiomem_sql.exporting.exporting import export_table
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.table import Table

from .conftest import Import, others, rows, types, write

CSV = (
    "id,name,price,zip,day,at,ok,note,n\n"
    '1,"a, ""b""",1.5,00123,2024-01-02,2024-01-02 10:00:00,true,x,9007199254740993\n'
    '2,NA,0.30000000000000004,1,0001-01-01,2024-01-02 10:00:00.000001,false,"two\nlines",-1\n'
    "3,=1+1,-2e-300,7,9999-12-31,2024-01-02 23:59:59,,,0\n"
    "4,é 🎼,3,8,2024-02-29,1999-01-01 00:00:00,true, spaced ,1\n"
)
FORMATS = ("csv", "tsv", "json", "jsonl", "parquet", "xlsx", "db", "duckdb", "csv.gz", "csv.zst", "jsonl.gz")


def exported(target: str, source: str = "kb.flac", **options: object) -> int:
    with TableReader(source) as table:
        return export_table(table, target, **options).rows  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_rows_come_back(imported: Import, suffix: str) -> None:
    imported(write("a.csv", CSV), key="id")
    assert exported(f"out.{suffix}") == 4
    again = {"n": "INTEGER"} if suffix == "xlsx" else {}  # no number of Excel
    imported(f"out.{suffix}", target="again.flac", key="id", types=again)
    assert rows("again.flac") == rows()
    assert types("again.flac") == types()
    assert not [name for name in others("x") if name.startswith(".")]


@pytest.mark.parametrize("suffix", FORMATS)
def test_vectors_blobs_json_and_no_rows(imported: Import, suffix: str) -> None:
    columns = ["id INTEGER PRIMARY KEY", "v FLOAT[2]", "raw BLOB", "j JSON", "x REAL"]
    with Table.create("kb.flac", columns) as table:
        exported(f"none.{suffix}")
        table.append([{"id": 1, "v": [0.1, 2], "raw": b"\0\xff", "j": '{"a": [1.50]}', "x": None}, {"id": 2}])
    exported(f"out.{suffix}")
    told = {"id": "INTEGER", "v": "FLOAT[2]", "j": "JSON", "x": "REAL"}
    if suffix.startswith(("csv", "tsv", "xlsx")):
        imported(f"out.{suffix}", target="again.flac", types=told | {"raw": "TEXT"})
        assert rows("again.flac")[0].pop("raw") == "AP8="
    else:
        if suffix == "db":
            told["v"] = "BLOB"
        imported(f"out.{suffix}", target="again.flac", types={} if suffix == "parquet" else told)
        assert rows("again.flac")[0]["raw"] == b"\0\xff"
    again = rows("again.flac")
    assert (again[0]["j"], again[0]["x"], again[1]["id"]) == ('{"a": [1.50]}', None, 2) or suffix == "duckdb"
    if suffix != "db":
        assert again[0]["v"] == rows()[0]["v"]
    if suffix.startswith("json"):
        with pytest.raises(SchemaError, match="at least one column"):
            imported(f"none.{suffix}", target="none.flac")
    else:
        assert imported(f"none.{suffix}", target="none.flac").rows == 0


def test_columns_filter_and_version(imported: Import) -> None:
    imported(write("a.csv", CSV), key="id")
    with Table("kb.flac") as table:
        table.append([{"id": 9, "name": "new"}])
    stream = io.BytesIO()
    exported("-", kind="csv", columns=["name", "id"], where="id > 2", stdout=stream)
    assert stream.getvalue().decode() == "name,id\n=1+1,3\né 🎼,4\nnew,9\n"
    with TableReader("kb.flac", version=2) as old:
        assert export_table(old, "old.jsonl").rows == 4
    for options, error in (
        ({"columns": ["nope"]}, SchemaError),
        ({"where": "nope = 1"}, QueryError),
        ({"kind": "nope"}, OptionError),
    ):
        with pytest.raises(error):
            exported("out.csv", **options)
    for target in ("out.nope", "out.xlsx.gz", "s3://bucket/out.csv"):
        with pytest.raises(OptionError):
            exported(target)
    with pytest.raises(StorageError, match="exists already"):
        exported("old.jsonl")
    assert not [name for name in others("out") if not name.startswith("old")]


def test_a_workbook_that_cannot_hold_it_is_not_there(imported: Import) -> None:
    with Table.create("kb.flac", ["t TEXT"]) as table:
        table.append([{"t": "x"}, {"t": "y" * 40_000}])
    with pytest.raises(LimitError, match="row 2"):
        exported("out.xlsx")
    assert not others("out")


def test_what_other_programs_find(imported: Import) -> None:
    imported(write("a.csv", CSV), key="id")
    for target in ("out.db", "out.duckdb", "out.parquet", "out.xlsx"):
        exported(target, name="t")
    lite = sqlite3.connect("out.db")
    assert lite.execute("SELECT id, n, at, ok FROM t WHERE id = 1").fetchall() == [
        (1, 9007199254740993, "2024-01-02 10:00:00", 1)
    ]
    lite.close()
    with duckdb.connect("out.duckdb", read_only=True) as duck:
        assert duck.sql('SELECT count(*), sum(n), min("at")::VARCHAR FROM t').fetchall() == [
            (4, 9007199254740993, "1999-01-01 00:00:00")
        ]
    assert pq.read_table("out.parquet").column("zip").to_pylist() == ["00123", "1", "7", "8"]
    sheet = openpyxl.load_workbook("out.xlsx")["t"]
    assert [cell.value for cell in sheet["I"]] == ["n", "9007199254740993", -1, 0, 1]
    assert sheet["B4"].data_type == "s"


def test_tables_of_databases(imported: Import) -> None:
    lite = sqlite3.connect("a.db")
    lite.executescript(
        "CREATE TABLE one(k TEXT PRIMARY KEY, n INT, ok BOOLEAN, at DATETIME, mixed, note TEXT);"
        "INSERT INTO one VALUES ('a', 1, 1, '2024-01-02 10:00:00', 1, '2024-01-02'),"
        "('b', NULL, 0, NULL, 'x', NULL); CREATE TABLE two(x);"
    )
    lite.close()
    with pytest.raises(OptionError, match=r"2 tables: one, two.*--table"):
        imported("a.db")
    with pytest.raises(OptionError, match="Did you mean one"):
        imported("a.db", table="on")
    imported("a.db", table="one")
    assert types() == {
        "k": "TEXT",
        "n": "INTEGER",
        "ok": "BOOLEAN",
        "at": "TIMESTAMP",
        "mixed": "JSON",
        "note": "TEXT",
    }
    assert rows()[0]["note"] == "2024-01-02"
    with Table("kb.flac") as table:
        assert table.schema["k"].primary_key
    with duckdb.connect("b.duckdb") as duck:
        duck.sql(
            "CREATE TABLE t AS SELECT 1 AS i, true AS ok, 12345678901234567890123::HUGEINT AS h, "
            "1.50::DECIMAL(5, 2) AS d, 'a'::ENUM ('a', 'b') AS e, [1, 2] AS l, {'x': 1} AS s, "
            "'8a2b0c1e-1111-4222-8333-444455556666'::UUID AS u, '{\"a\":1}'::JSON AS j, TIME '10:00:00' AS t"
        )
    imported("b.duckdb", target="b.flac")
    (row,) = rows("b.flac")
    assert (row["i"], row["ok"], row["e"], row["j"]) == (1, True, "a", '{"a":1}')
    assert Decimal(str(row["h"])) == 12345678901234567890123
    assert Decimal(str(row["d"])) == Decimal("1.50")
    assert str(row["u"]) == "8a2b0c1e-1111-4222-8333-444455556666"
    assert str(row["t"]) == "10:00:00"
    assert str(row["l"]).replace(" ", "") == "[1,2]"


def test_parquet_with_types_that_no_column_takes(imported: Import) -> None:
    wide = Decimal("12345678901234567890123456789012345678.90")
    table = pa.table(
        {
            "d": pa.array([wide, None], pa.decimal256(50, 2)),
            "m": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
            "e": pa.array(["x", "y"]).dictionary_encode(),
            "u": pa.array([2**63 - 1, 0], pa.uint64()),
        }
    )
    Path("d").mkdir()
    pq.write_table(table, "d/a.parquet")
    pq.write_table(table.select(["u", "e"]).append_column("z", pa.array([1.5, 2.5])), "d/b.parquet")
    assert imported("d").rows == 4
    found = rows()
    assert str(found[0]["d"]) == str(wide)
    assert str(found[0]["m"]).replace("'", '"') in ('{"a": 1}', '[("a", 1)]')
    assert [row["e"] for row in found] == ["x", "y", "x", "y"]
    assert [row["z"] for row in found] == [None, None, 1.5, 2.5]
    assert found[0]["u"] == 2**63 - 1
    write("c.parquet", b"PAR1 no")
    with pytest.raises(Exception, match=r"c\.parquet: the Parquet data cannot be read"):
        imported("c.parquet", target="c.flac")
