from __future__ import annotations

import threading

import apsw
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.columns.checks import Checks, checks_of
from audiomem_sql.columns.constraints import Check
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.errors import AudioMemError, ConstraintError, DataTypeError, SchemaError

COLUMNS = [
    "id INTEGER PRIMARY KEY",
    "n INTEGER",
    "t TEXT COLLATE NOCASE",
    "ok BOOLEAN",
    "seen TIMESTAMP",
    "doc JSON",
]


def checks(*conditions: str) -> Checks:
    return Checks(parse_columns([*COLUMNS, *(f"CHECK ({condition})" for condition in conditions)]))


@pytest.mark.parametrize(
    ("condition", "row", "passes"),
    [
        ("n > 0", (1, 5, None, None, None, None), True),
        ("n > 0", (1, 0, None, None, None, None), False),
        ("n > 0", (1, None, None, None, None, None), True),
        ("t = 'A'", (1, None, "a", None, None, None), True),
        ("t = 'A' COLLATE BINARY", (1, None, "a", None, None, None), False),
        ("n = '5'", (1, 5, None, None, None, None), True),
        ("n || '' = 5", (1, 5, None, None, None, None), False),
        ("ok", (1, None, None, True, None, None), True),
        ("ok", (1, None, None, False, None, None), False),
        ("typeof(ok) = 'integer'", (1, None, None, False, None, None), True),
        ("seen < '2000'", (1, None, None, None, 0, None), True),
        ("seen = '1970-01-01 00:00:00'", (1, None, None, None, 0, None), True),
        ("date(seen) = '1970-01-01'", (1, None, None, None, 0, None), True),
        ("doc ->> 'a' = 1", (1, None, None, None, None, '{"a": 1}'), True),
        ("doc ->> 'a' = 1", (1, None, None, None, None, '{"a": 2}'), False),
        ("id < 10 AND rowid < 10", (9, None, None, None, None, None), True),
        ("rowid <> 7", (7, None, None, None, None, None), False),
        ("n IN (1, 2) OR (n, t) = (3, 'x')", (1, 3, "X", None, None, None), True),
        ("t LIKE 'ab%' AND t GLOB 'a*'", (1, None, "abc", None, None, None), True),
    ],
)
def test_sqlite_decides(condition: str, row: tuple[object, ...], passes: bool) -> None:
    compiled = checks(condition)
    for _ in range(2):
        assert compiled.failed(row[0], row) == (None if passes else condition)  # type: ignore[arg-type]


def test_the_first_that_fails_is_named() -> None:
    schema = parse_columns(
        [
            "a INTEGER CONSTRAINT positive CHECK (a > 0) CHECK ( a <  10 )",
            'CONSTRAINT "is even" CHECK (a % 2 = 0)',
        ]
    )
    assert [check.name for check in schema.checks] == ["positive", None, "is even"]
    compiled = Checks(schema)
    found = [compiled.failed(1, (value,)) for value in (-1, 11, 3, 4, None)]
    assert found == ["positive", "a <  10", "is even", None, None]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("n IN (SELECT 1)", "a sub-select has no place in a CHECK"),
        ("EXISTS (SELECT 1)", "a sub-select has no place in a CHECK"),
        ("n = ?", "a parameter has no place in a CHECK"),
        ("n = :x", "a parameter has no place in a CHECK"),
        ("missing > 0", "no such column: missing"),
        ('t <> "text"', "no such column"),
        ("notes.n > 0", "no such column: notes.n"),
        ("probe.n > 0", "no such column: probe.n"),
        ("nowhere(n)", "no such function: nowhere"),
        ("n REGEXP 'x'", "no such function: REGEXP"),
        ("sum(n) > 0", "misuse of aggregate"),
        ("row_number() OVER () > 0", "misuse of window function"),
        ("random() > n", r"random\(\) may give something else"),
        ("n < CURRENT_TIMESTAMP", r"current_timestamp\(\) may give something else"),
        ("seen < datetime('now')", r"datetime\(\) may give something else"),
        ("seen < datetime( 'NOW', '-1 day')", r"datetime\(\) may give something else"),
        ("CASE WHEN n > 5 THEN date() END", r"date\(\) may give something else"),
        ("date(seen, 'localtime') > '2'", r"date\(\) may give something else"),
        ("changes() = 0", r"changes\(\) may give something else"),
        ("last_insert_rowid() = 0", r"last_insert_rowid\(\) may give something else"),
        ("load_extension(t)", r"load_extension\(\) may give something else"),
        ("RAISE(ABORT, 'x')", "RAISE"),
        ("(n, t)", "row value"),
    ],
)
def test_refused_when_the_table_is_made(condition: str, words: str) -> None:
    with pytest.raises(SchemaError, match=words):
        checks(condition)


def test_a_check_that_fails_for_every_row_is_refused_with_the_first_row_only() -> None:
    compiled = checks("abs(-9223372036854775808) > n")
    with pytest.raises(DataTypeError, match="row 3: a CHECK cannot be evaluated: integer overflow"):
        compiled.failed(3, (3, 1, None, None, None, None))


@pytest.mark.parametrize("names", [["rowid"], ["rowid", "oid"], ["ROWID", "oid", "_rowid_"]])
def test_columns_may_have_the_names_of_the_rowid(names: list[str]) -> None:
    columns = [f"{name} INTEGER" for name in names]
    compiled = Checks(parse_columns([*columns, "CHECK (rowid > 5)"]))
    assert compiled.failed(9, [4] * len(names)) == "rowid > 5"
    assert compiled.failed(1, [6] * len(names)) is None
    nothing = Checks(parse_columns([*columns, "CHECK (1 > 2)"]))
    assert nothing.failed(9, [4] * len(names)) == "1 > 2"
    if len(names) < 3:
        by_rowid = Checks(parse_columns([*columns, "CHECK (_rowid_ < 5)"]))
        assert by_rowid.failed(9, [4] * len(names)) == "_rowid_ < 5"
        assert by_rowid.failed(1, [6] * len(names)) is None


def test_what_cannot_be_evaluated_is_no_violation() -> None:
    compiled = checks("CASE WHEN n = 1 THEN json_extract(t, '$') IS NOT NULL END", "n = 2 OR abs(n) > 0")
    with pytest.raises(DataTypeError, match="row 3: a CHECK cannot be evaluated: malformed JSON"):
        compiled.failed(3, (3, 1, "{", None, None, None))
    with pytest.raises(DataTypeError, match="integer overflow"):
        compiled.failed(3, (3, -(2**63), None, None, None, None))
    with pytest.raises(DataTypeError, match="non-deterministic use of date"):
        checks("CASE WHEN n = 1 THEN date(t) END").failed(1, (1, 1, "now", None, None, None))
    assert compiled.failed(3, (3, 2, None, None, None, None)) is None


@pytest.mark.parametrize("conditions", [["n < 5000"], ["n < 5000", "rowid >= 0"]])
def test_whole_arrays(conditions: list[str]) -> None:
    compiled = checks("t <> 'bad'", *conditions)
    count = 5000
    table = pa.table(
        {
            "id": pa.array(range(count)),
            "n": pa.array(range(count)),
            "t": pa.array(["good", None] * (count // 2)),
            "ok": pa.nulls(count, pa.bool_()),
            "seen": pa.nulls(count, pa.timestamp("us")),
            "doc": pa.nulls(count, pa.string()),
        }
    )
    rowids = np.arange(count) + 7
    compiled.check_table(rowids, table)
    compiled.check_table(rowids[:0], table.slice(0, 0))
    values = table.column("n").to_pylist()
    values[3456] = 9999
    with pytest.raises(ConstraintError, match="row 3463: CHECK constraint failed: n < 5000"):
        compiled.check_table(rowids, table.set_column(1, "n", pa.array(values)))
    compiled.check_table(rowids, table)


@pytest.mark.parametrize(("condition", "first"), [("0", 7), ("1 > 2", 7), ("rowid < 3000", 3000)])
def test_whole_arrays_without_a_column(condition: str, first: int) -> None:
    schema = parse_columns(["a INTEGER", f"CHECK ({condition})"])
    table = pa.table({"a": pa.array(range(5000))})
    with pytest.raises(ConstraintError, match=f"row {first}: CHECK constraint failed: {condition}"):
        Checks(schema).check_table(np.arange(5000) + 7, table)


def test_whole_arrays_of_every_type() -> None:
    says = (
        "a = '1970-01-01 00:00:01' AND typeof(b) = 'integer' AND c ->> 'x' = 1 "
        "AND length(d) = 8 AND typeof(e) = 'blob'"
    )
    schema = parse_columns(["a TIMESTAMP", "b BOOLEAN", "c JSON", "d FLOAT[2]", "e BLOB", f"CHECK ({says})"])
    row = {"a": 1_000_000, "b": True, "c": '{"x": 1}', "d": [1.0, 2.0], "e": b"z"}
    compiled = Checks(schema)
    compiled.check_table(np.arange(3), pa.Table.from_pylist([row] * 3, schema.to_arrow()))
    for name, wrong in (("a", 0), ("c", "{}"), ("c", '{"x": 2}')):
        table = pa.Table.from_pylist([row, row | {name: wrong}], schema.to_arrow())
        if wrong == "{}":
            compiled.check_table(np.arange(2), table)
            continue
        with pytest.raises(ConstraintError, match="row 1: CHECK"):
            compiled.check_table(np.arange(2), table)


def test_one_for_each_thread() -> None:
    schema = parse_columns(["a INTEGER CHECK (a > 0)"])
    assert checks_of(parse_columns(["a INTEGER"])) is None
    found: list[object] = [checks_of(schema), checks_of(schema)]
    assert found[0] is found[1]
    thread = threading.Thread(target=lambda: found.append(checks_of(schema)))
    thread.start()
    thread.join()
    assert found[2] is not found[0]
    assert len({id(checks_of(parse_columns([f"a INTEGER CHECK (a > {i})"]))) for i in range(40)}) > 1


@settings(deadline=None)
@given(st.text(alphabet="()'\"[]x?;-/*+ 0159.eENULTORanb<=,\n\0", max_size=20))
def test_text_of_a_catalog_is_one_expression_or_refused(text: str) -> None:
    columns = parse_columns(["a INTEGER", "b TEXT"]).columns
    try:
        compiled = Checks(Schema(columns, (Check(text),)))
    except AudioMemError:
        return
    connection = apsw.Connection(":memory:")
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
    connection.execute(f"CREATE TABLE t(a INTEGER, b TEXT, CHECK ({text}\n)) STRICT")
    for row in ((None, None), (0, "a"), (1, "x"), (5, "")):
        try:
            connection.execute("INSERT INTO t VALUES (?, ?)", row)
            passed = True
        except apsw.ConstraintError:
            passed = False
        assert (compiled.failed(1, row) is None) == passed
