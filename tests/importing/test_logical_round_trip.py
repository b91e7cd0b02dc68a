"""Every logical type by every format: the values that SQL sees are the same when a file is imported again."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pyarrow as pa
import pytest

import audiomem_sql
from audiomem_sql.errors import DataTypeError
from audiomem_sql.exporting.exporting import export_table
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.table import Table

from .conftest import Import, others, rows, types, write

#: Values by type, as SQL sees them.
IMAGES: dict[str, list[Any]] = {
    "DECIMAL(5,2)": ["-999.99", "0.00", "1.50"],
    "DECIMAL(18,18)": ["-0.999999999999999999", "0.000000000000000001"],
    "DECIMAL(38,0)": ["-" + "9" * 38, "1"],
    "DECIMAL(50,10)": ["9" * 40 + ".9999999999", "-0.0000000001"],
    "HUGEINT": [str(-(2**127)), str(2**127 - 1), "0"],
    "UHUGEINT": [str(2**128 - 1), "0"],
    "BIGNUM": [str(-(10**60) - 1), "0"],
    "UBIGINT": [str(2**64 - 1), str(2**63 - 1), "0"],
    "DATE": ["0044-03-15 (BC)", "5881580-07-10", "infinity", "-infinity", "2024-02-29", "1899-12-31"],
    "TIME_S": ["00:00:00", "23:59:59"],
    "TIME_MS": ["23:59:59.999", "00:00:00.001"],
    "TIME": ["23:59:59.999999", "12:00:00"],
    "TIME_NS": ["23:59:59.999999999", "00:00:00.000000001"],
    "TIMETZ": ["23:59:59.999999-15:59:59", "00:00:00+02"],
    "TIMESTAMP_S": ["9999-12-31 23:59:59", "0044-03-15 12:00:00 (BC)", "12024-01-01 00:00:00"],
    "TIMESTAMP_MS": ["9999-12-31 23:59:59.999", "0044-03-15 12:00:00 (BC)", "infinity"],
    "TIMESTAMP_NS": ["2024-01-01 00:00:00.123456789", "1677-09-22 00:00:00", "2262-04-11 00:00:00.000000001"],
    "TIMESTAMPTZ": ["2024-01-01 10:00:00.000001+00:00", "0044-03-15 12:00:00+00:00 (BC)", "infinity"],
    "DURATION_S": ["-100:00:00", "00:00:01"],
    "DURATION_MS": ["-00:00:00.001", "100:00:00"],
    "DURATION_US": ["2562047:47:16.854775", "-00:00:00.000001"],
    "DURATION_NS": ["2562047:47:16.854775", "-00:00:00.000001"],
    "INTERVAL": ["-2 years -3 months -5 days -00:00:00.000001", "1 day", "00:00:00"],
    "UUID": ["ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000000"],
    "BIT": ["00101", "1" * 70],
    "ENUM('b', 'it''s', '00')": ["00", "b", "it's"],
    "BLOB[]": ['["00ff",null,""]', "[]"],
    "DOUBLE[2]": ['[0.1,"nan"]', '["inf",null]'],
    "UUID[]": ['["00000000-0000-0000-0000-000000000001"]'],
    "JSON[]": ['[{"a":[1.50]},null]'],
    'STRUCT("a b" DECIMAL(5,2), "b" DATE, "c" INTERVAL, "d" HUGEINT)': [
        '{"a b":"-1.50","b":"0044-03-15 (BC)","c":"1 day 00:00:00.5",'
        '"d":"-170141183460469231731687303715884105728"}',
        '{"a b":null,"b":null,"c":null,"d":null}',
    ],
    "MAP(VARCHAR, BIGINT)": ['{"x":1,"":null}', "{}"],
    "MAP(BIGINT, DATE[])": ['[[1,["infinity",null]]]'],
}
#: Those that a format has under another name where no types are said; all others come back as they were.
BACK = {
    "parquet": {},
    "duckdb": {
        "DECIMAL(50,10)": "TEXT",
        "TIME_S": "TIME",
        "TIME_MS": "TIME",
        **{f"DURATION_{unit}": "INTERVAL" for unit in ("S", "MS", "US", "NS")},
    },
}
FINE = {
    "DURATION_NS": "00:00:00.000000001",
    "TIMESTAMPTZ_NS": "2024-01-01 00:00:00.000000001+00:00",
    "INTERVAL": "1 day 00:00:00.000000001",
    'STRUCT("i" INTERVAL)': '{"i":"00:00:00.000000001"}',
}


def seen(path: str = "kb.flac") -> dict[str, list[Any]]:
    """What SQL sees of each column but i."""
    name = path.partition(".")[0]
    connection = audiomem_sql.connect(path)
    try:
        asked = connection.execute(f'SELECT * FROM "{name}" ORDER BY i')
        names = [each[0] for each in asked.description]
        columns = dict(zip(names, map(list, zip(*asked.fetchall(), strict=True)), strict=True))
    finally:
        connection.close()
    del columns["i"]
    return columns


def made(declared: dict[str, list[Any]]) -> dict[str, str]:
    """A table kb.flac with a column of each type, t0, t1 …, and a last row of NULL; the types by column."""
    named = {f"t{number}": spelled for number, spelled in enumerate(declared)}
    longest = max(map(len, declared.values()))
    data = []
    for row in range(longest + 1):
        values = {name: declared[spelled] for name, spelled in named.items()}
        data.append({"i": row} | {name: each[row] for name, each in values.items() if row < len(each)})
    with Table.create("kb.flac", ["i INTEGER PRIMARY KEY", *(f"{n} {t}" for n, t in named.items())]) as table:
        table.append(data)
    found = seen()
    for name, spelled in named.items():
        assert found[name][: len(declared[spelled])] == declared[spelled]
        assert found[name][-1] is None
    return named


def exported(target: str) -> None:
    with TableReader("kb.flac") as table:
        export_table(table, target)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl.gz", "xlsx", "db", "parquet", "duckdb"])
def test_values_come_back_with_the_types_that_are_said(imported: Import, suffix: str) -> None:
    named = made(IMAGES)
    exported(f"out.{suffix}")
    imported(f"out.{suffix}", target="again.flac", key="i", types={"i": "INTEGER", **named})
    assert seen("again.flac") == seen()
    assert types("again.flac") == types()
    Path("again.flac").unlink()
    with Table.create("again.flac", ["i INTEGER PRIMARY KEY", *(f"{n} {t}" for n, t in named.items())]):
        pass
    imported(f"out.{suffix}", target="again.flac", append=True)
    assert seen("again.flac") == seen()


@pytest.mark.parametrize("suffix", ["parquet", "duckdb"])
def test_types_come_back_as_well(imported: Import, suffix: str) -> None:
    named = made(IMAGES)
    exported(f"out.{suffix}")
    imported(f"out.{suffix}", target="again.flac", key="i")
    assert seen("again.flac") == seen()
    found = types("again.flac")
    own = types()
    assert found.pop("i") == "INTEGER"
    assert found == {name: BACK[suffix].get(spelled, own[name]) for name, spelled in named.items()}


def test_a_sqlite_file_has_what_sql_sees(imported: Import) -> None:
    made(IMAGES)
    exported("out.db")
    lite = sqlite3.connect("out.db")
    lite.row_factory = sqlite3.Row
    found = [dict(row) for row in lite.execute("SELECT * FROM kb ORDER BY i")]
    lite.close()
    assert {name: [row[name] for row in found] for name in seen()} == seen()


@pytest.mark.parametrize("spelled", FINE)
def test_what_duckdb_would_cut_is_refused(imported: Import, spelled: str) -> None:
    made({spelled: [FINE[spelled]]})
    with pytest.raises(DataTypeError, match=r"out\.duckdb: column t0: .* is finer than a microsecond"):
        exported("out.duckdb")
    assert not others("out")
    for suffix in ("csv", "jsonl", "xlsx", "db", "parquet"):
        exported(f"out.{suffix}")
        imported(f"out.{suffix}", target=f"{suffix}.flac", types={"t0": spelled})
        assert seen(f"{suffix}.flac") == seen()


def test_a_key_that_a_map_has_twice_is_refused_for_duckdb(imported: Import) -> None:
    made({"MAP(BIGINT, BIGINT)": ["[[1,2],[1,3]]"]})
    with pytest.raises(DataTypeError, match=r"out\.duckdb: DuckDB says: .*duplicate key"):
        exported("out.duckdb")
    assert not others("out")
    exported("out.jsonl")
    imported("out.jsonl", target="again.flac", types={"t0": "MAP(BIGINT, BIGINT)"})
    assert seen("again.flac") == seen()


def test_what_parquet_does_not_hold_is_refused(imported: Import) -> None:
    made({"TIMESTAMP_S": ["infinity"]})
    with pytest.raises(DataTypeError, match=r"out\.parquet: Parquet does not hold a value"):
        exported("out.parquet")
    assert not others("out")


def test_duckdb_has_its_own_types(imported: Import) -> None:
    made(
        {each: IMAGES[each] for each in ("HUGEINT", "UHUGEINT", "BIGNUM", "UUID", "ENUM('b', 'it''s', '00')")}
    )
    exported("out.duckdb")
    with duckdb.connect("out.duckdb", read_only=True) as duck:
        told = [row[1] for row in duck.execute("DESCRIBE kb").fetchall()]
        assert told == ["BIGINT", "HUGEINT", "UHUGEINT", "BIGNUM", "UUID", "ENUM('b', 'it''s', '00')"]
        assert duck.execute("SELECT t0::VARCHAR FROM kb ORDER BY i").fetchall() == [
            (each,) for each in (str(-(2**127)), str(2**127 - 1), "0", None)
        ]


def test_an_interval_of_duckdb_that_is_too_long_is_refused(imported: Import) -> None:
    made({"DURATION_US": ["2562047788:00:54.775807"]})
    exported("out.duckdb")
    with pytest.raises(
        DataTypeError, match=r"out\.duckdb: row 1: the column t0 has .*2562047788:00:54.775807"
    ):
        imported("out.duckdb", target="again.flac")
    imported("out.duckdb", target="again.flac", types={"t0": "DURATION_US"})
    assert seen("again.flac") == seen()


def test_texts_of_each_format(imported: Import) -> None:
    declared = {
        "DECIMAL(20,2)": ["12345678901234567.80"],
        "UBIGINT": [str(2**64 - 1)],
        "UUID": ["00000000-0000-0000-0000-000000000001"],
        "DATE": ["2024-02-29"],
        "TIMESTAMP_NS": ["2024-02-29 10:00:00.123456789"],
        'STRUCT("x" DOUBLE, "b" BLOB)': ['{"x":"nan","b":"00ff"}'],
    }
    made(declared)
    for target in ("out.csv", "out.jsonl", "out.xlsx"):
        exported(target)
    texts = [each for (each,) in declared.values()]
    assert Path("out.csv").read_text().splitlines()[1] == ",".join(["0", *texts[:5]]) + (
        ',"{""x"":""nan"",""b"":""00ff""}"'
    )
    line = Path("out.jsonl").read_text().splitlines()[0]
    assert line.startswith('{"i": 0, "t0": 12345678901234567.80, "t1": 18446744073709551615, "t2": "0000')
    assert json.loads(line)["t5"] == {"x": "nan", "b": "00ff"}
    cells = [cell.value for cell in openpyxl.load_workbook("out.xlsx")["kb"][2]]
    assert [str(cell) for cell in cells] == ["0", *texts[:3], "2024-02-29 00:00:00", *texts[4:]]


def test_an_enum_of_duckdb_stays_one(imported: Import) -> None:
    with duckdb.connect("a.duckdb") as duck:
        duck.execute("CREATE TYPE mood AS ENUM ('ok', 'it''s', 'bad')")
        duck.execute("CREATE TABLE t(i INTEGER, m mood, l mood[])")
        duck.execute("INSERT INTO t VALUES (1, 'bad', ['ok', NULL]), (2, NULL, NULL)")
    imported("a.duckdb")
    assert (types()["m"], types()["l"]) == ("ENUM('ok', 'it''s', 'bad')", "ENUM('ok', 'it''s', 'bad')[]")
    assert rows() == [{"i": 1, "m": "bad", "l": ["ok", None]}, {"i": 2, "m": None, "l": None}]
    imported("a.duckdb", target="b.flac", types={"m": "TEXT"})
    assert (types("b.flac")["m"], rows("b.flac")) == ("TEXT", rows())
    imported(write("c.csv", "i,m\n3,it's\n"), append=True)
    with pytest.raises(DataTypeError, match="is no ENUM"):
        imported(write("d.csv", "i,m\n3,nope\n"), append=True)


MOOD = "ENUM('ok', 'it''s', 'bad')"
NESTED: dict[str, tuple[str, str, Any]] = {
    "list": ("['bad', NULL]::mood[]", f"{MOOD}[]", ["bad", None]),
    "array": ("['bad', 'ok']::mood[2]", f"{MOOD}[2]", ["bad", "ok"]),
    "field": ("{'m': 'it''s'::mood, 'n': 1::TINYINT}", f'STRUCT("m" {MOOD}, "n" TINYINT)',
              {"m": "it's", "n": 1}),
    "key": ("MAP {'ok'::mood: 1::UBIGINT}", f"MAP({MOOD}, UBIGINT)", [("ok", 1)]),
    "value": ("MAP {1: 'ok'::mood}", f"MAP(INT32, {MOOD})", [(1, "ok")]),
    "deep": ("[{'integer': ['ok'::mood], 'b': true}]", f'STRUCT("integer" {MOOD}[], "b" BOOLEAN)[]',
             [{"integer": ["ok"], "b": True}]),
    "spans": ("[INTERVAL '1 year 2 days 3.5 seconds', NULL]", "INTERVAL[]",
              [pa.MonthDayNano((12, 2, 3_500_000_000)), None]),
    "span": ("{'i': INTERVAL '-3 days', 'h': 5::HUGEINT}", 'STRUCT("i" INTERVAL, "h" HUGEINT)',
             {"i": pa.MonthDayNano((0, -3, 0)), "h": 5}),
    "key_of_span": ("MAP {'k': INTERVAL (2562047) HOURS}", "MAP(VARCHAR, INTERVAL)",
                    [("k", pa.MonthDayNano((0, 0, 2562047 * 3600 * 10**9)))]),
}  # fmt: skip


def test_enums_and_intervals_inside_of_others(imported: Import) -> None:
    with duckdb.connect("a.duckdb") as duck:
        duck.execute(f"CREATE TYPE mood AS {MOOD}")
        columns = ", ".join(f"{value} AS {name}" for name, (value, _, _) in NESTED.items())
        nothing = ", ".join(["NULL"] * len(NESTED))
        duck.execute(f"CREATE TABLE t AS SELECT 1 AS id, {columns} UNION ALL SELECT 2, {nothing}")
    imported("a.duckdb")
    assert types() == {"id": "INTEGER"} | {name: spelled for name, (_, spelled, _) in NESTED.items()}
    first, second = rows()
    assert first == {"id": 1} | {name: value for name, (_, _, value) in NESTED.items()}
    assert set(second.values()) == {2, None}
    imported("a.duckdb", append=True)
    assert rows() == [first, second, first, second]
    imported(
        "a.duckdb", target="b.flac", types={"list": "TEXT", "spans": "TEXT", "span": "JSON", "deep": "JSON"}
    )
    told = types("b.flac")
    assert [told[name] for name in ("list", "spans", "span", "deep", "key")] == [
        "TEXT", "TEXT", "JSON", "JSON", f"MAP({MOOD}, UBIGINT)",
    ]  # fmt: skip
    shown = rows("b.flac")[0]
    assert (shown["list"], shown["spans"]) == ("[bad, NULL]", "['1 year 2 days 00:00:03.5', NULL]")
    assert json.loads(shown["span"]) == {"i": "-3 days", "h": "5"}
    assert json.loads(shown["deep"]) == [{"integer": ["ok"], "b": True}]


def test_an_interval_inside_of_a_list_that_is_too_long_is_refused(imported: Import) -> None:
    with duckdb.connect("a.duckdb") as duck:
        duck.execute("CREATE TABLE t AS SELECT i, [INTERVAL (1281023 * i) HOURS] AS l FROM range(1, 4) r(i)")
    with pytest.raises(DataTypeError, match=r"row 3: the column l has .*3843069:00:00.*--types l=TEXT"):
        imported("a.duckdb")
    assert not Path("kb.flac").exists()
    imported("a.duckdb", types={"l": "TEXT"})
    assert [row["l"] for row in rows()] == ["['1281023:00:00']", "['2562046:00:00']", "['3843069:00:00']"]
