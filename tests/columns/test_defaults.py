from __future__ import annotations

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiomem_sql.columns.column import Column
from audiomem_sql.columns.defaults import check_default, constant, fillers, is_constant, values
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import AudioMemError, SchemaError


def column(definition: str) -> Column:
    return parse_columns([definition]).columns[0]


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        ("a INTEGER DEFAULT 5", 5),
        ("a INTEGER DEFAULT '5'", 5),
        ("a INTEGER DEFAULT -0x10", -16),
        ("a INTEGER DEFAULT NULL", None),
        ("a INTEGER DEFAULT (3 + 4 * 2)", 11),
        ("a INTEGER DEFAULT (abs(-3))", 3),
        ("a REAL DEFAULT -.5e+3", -500.0),
        ("a REAL DEFAULT + 7", 7.0),
        ("a TEXT DEFAULT 'it''s'", "it's"),
        ("a TEXT DEFAULT 12", "12"),
        ("a TEXT DEFAULT (upper('x') || ')')", "X)"),
        ("a BLOB DEFAULT x'00fF'", b"\x00\xff"),
        ("a BOOLEAN DEFAULT true", True),
        ("a BOOLEAN DEFAULT FALSE", False),
        ("a TIMESTAMP DEFAULT '1970-01-01 00:00:01'", 1_000_000),
        ("a JSON DEFAULT '[1]'", "[1]"),
        ("a FLOAT[2] DEFAULT '[0, 0]'", bytes(8)),
    ],
)
def test_a_constant_is_what_the_column_stores(definition: str, value: object) -> None:
    found = column(definition)
    check_default(found)
    assert is_constant(found)
    assert constant(found) == value
    assert type(constant(found)) is type(value)
    assert column(found.sql()) == found


@pytest.mark.parametrize(
    "default",
    [
        "CURRENT_TIMESTAMP",
        "current_date",
        "CURRENT_TIME",
        "(datetime('now'))",
        "(random())",
        "(hex(randomblob(4)))",
    ],
)
def test_what_differs_from_row_to_row_is_not_constant(default: str) -> None:
    found = column(f"a TEXT DEFAULT {default}")
    check_default(found)
    assert not is_constant(found)
    with pytest.raises(SchemaError, match=r"column a: .* is not constant"):
        constant(found)
    assert len(values(found, 3)) == 3
    if "random" in default:
        assert len(set(values(found, 3))) == 3


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("a INTEGER DEFAULT 'x'", "cannot store TEXT value in INTEGER column a"),
        ("a INTEGER DEFAULT CURRENT_DATE", "cannot store TEXT value in INTEGER column a"),
        ("a BLOB DEFAULT 5", "cannot store INT value in BLOB column a"),
        ("a JSON DEFAULT '{'", "not JSON"),
        ("a TEXT DEFAULT (b)", "no such column: b"),
        ('a TEXT DEFAULT ("b")', "no such column"),
        ("a TEXT DEFAULT (nowhere(1))", "no such function: nowhere"),
        ("a TEXT DEFAULT ((SELECT 1))", "a sub-select has no place here"),
        ("a TEXT DEFAULT (?)", "a parameter has no value here"),
        ("a TEXT DEFAULT (:x)", "a parameter has no value here"),
        ("a TEXT DEFAULT (max(1))", "misuse of aggregate"),
        ("a TEXT DEFAULT (row_number() OVER ())", "misuse of window function"),
        ("a TEXT DEFAULT (changes())", "changes\\(\\) has no place here"),
        ("a TEXT DEFAULT (load_extension('x'))", "load_extension\\(\\) has no place here"),
        ("a TEXT DEFAULT (1, 2)", "row value"),
        ("a BLOB DEFAULT (zeroblob(2000000000))", "too big"),
    ],
)
def test_what_has_no_value_is_refused(definition: str, words: str) -> None:
    with pytest.raises(SchemaError, match=f"column a: .*{words}"):
        check_default(column(definition))


def test_the_rowid_takes_no_default() -> None:
    schema = parse_columns(["id INTEGER PRIMARY KEY DEFAULT 7", "a INTEGER DEFAULT 5", "b INTEGER"])
    assert [(place, fill()) for place, fill in fillers(schema)] == [(1, 5)]


@given(st.text(alphabet="()'\"[]x?;-/*+ 0159.eENULTR,a\n\0", max_size=20))
def test_text_of_a_catalog_is_one_value_or_refused(text: str) -> None:
    try:
        found = Column("a", ColumnType(Kind.TEXT), default=text)
        Schema((found,))
        check_default(found)
    except AudioMemError:
        return
    connection = apsw.Connection(":memory:")
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
    connection.execute(f"CREATE TABLE t(a TEXT DEFAULT {text}, b) STRICT".replace(", b)", ", b TEXT)"))
    connection.execute("INSERT INTO t(b) VALUES (1)")
    assert connection.execute("SELECT a FROM t").get == values(found, 1)[0]
