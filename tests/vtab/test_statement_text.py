"""What the text of a statement says before its values, and how little is made of text that is odd."""

from __future__ import annotations

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiomem_sql.vtab.statement_text import Writing, has_returning, read_writing

NAMES = frozenset(("a", "b c"))


@pytest.mark.parametrize(
    ("text", "writing"),
    [
        ("INSERT INTO t VALUES (1)", Writing("t")),
        (" /* INSERT INTO x */ insert -- y\n into T select 1", Writing("T")),
        ("INSERT INTO t(A, \"b C\") VALUES (1, ')')", Writing("t", columns=NAMES)),
        ("INSERT INTO t(['a'], [b c])VALUES(1,2)", Writing("t", columns=frozenset(("'a'", "b c")))),
        ("INSERT INTO 't'('a', `b c`) WITH x AS (SELECT 1) SELECT 1, 2", Writing("t", columns=NAMES)),
        ('INSERT INTO main . "t ""1" AS x(a,[b c]) VALUES(1, 2)', Writing('t "1', "main", None, NAMES)),
        ("INSERT INTO t DEFAULT VALUES", Writing("t", columns=frozenset())),
        ("INSERT OR IGNORE INTO t VALUES (1)", Writing("t", conflict="IGNORE")),
        ("insert or abort into temp.t select 1", Writing("t", "temp", "ABORT")),
        ("REPLACE INTO t(a, [b c]) SELECT 1, 2", Writing("t", None, "REPLACE", NAMES)),
        ("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", Writing("t")),
        (
            "WITH RECURSIVE x(a, b) AS NOT MATERIALIZED (SELECT ')', 1 /* ( */), "
            '"y" AS MATERIALIZED (VALUES ((1))) REPLACE INTO t SELECT 1',
            Writing("t", conflict="REPLACE"),
        ),
        ("UPDATE t SET a = 1", Writing("t")),
        ("UPDATE OR REPLACE main.t AS u SET a = 1", Writing("t", "main", "REPLACE")),
        ("WITH x AS (SELECT 1) UPDATE OR ABORT t SET a = 1", Writing("t", conflict="ABORT")),
        ("INSERT INTO t(t) VALUES ('vacuum')", Writing("t", columns=frozenset("t"))),
    ],
)
def test_what_is_told(text: str, writing: Writing) -> None:
    assert read_writing(text) == writing


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT 1",
        "DELETE FROM t",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "WITH x AS (SELECT 1) DELETE FROM t",
        "WITH x AS SELECT 1 INSERT INTO t VALUES (1)",
        "WITH x AS NOT (SELECT 1) INSERT INTO t VALUES (1)",
        "WITH x(a AS (SELECT 1) INSERT INTO t VALUES (1)",
        "WITH x, y AS (SELECT 1) INSERT INTO t VALUES (1)",
        "EXPLAIN INSERT INTO t VALUES (1)",
        "INSERT",
        "INSERT INTO",
        "INSERT t VALUES (1)",
        "INSERT OR INTO t VALUES (1)",
        "INSERT OR NOTHING INTO t VALUES (1)",
        "REPLACE OR IGNORE INTO t VALUES (1)",
        "INSERT INTO 5 VALUES (1)",
        "INSERT INTO main. VALUES (1)",
        "INSERT INTO t",
        "INSERT INTO t(",
        "INSERT INTO t(a",
        "INSERT INTO t(a,",
        "INSERT INTO t(a b) VALUES (1)",
        "INSERT INTO t(a + 1) VALUES (1)",
        "INSERT INTO t() VALUES (1)",
        "INSERT INTO t(a)",
        "INSERT INTO t(a) DEFAULT VALUES",
        "INSERT INTO t DEFAULT",
        "INSERT INTO t AS (a) VALUES (1)",
        'INSERT INTO "t(a) VALUES (1)',
        "INSERT INTO t /* (a) VALUES (1)",
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO t VALUES (1); END",
    ],
)
def test_what_is_not_told(text: str) -> None:
    assert read_writing(text) is None


@pytest.mark.parametrize(
    "text", ["INSERT INTO t(a, b) VALUES (1, 2)", "WITH x AS (SELECT 1) INSERT INTO t(a) SELECT 1"]
)
def test_a_beginning_tells_the_same_or_nothing(text: str) -> None:
    whole = read_writing(text)
    told = [read_writing(text[:size]) for size in range(len(text))]
    assert set(told) == {None, whole}
    assert told.index(whole) == len(text) - text[::-1].index("T" if "SELECT" in text else "S")


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("INSERT INTO t VALUES (1) RETURNING id", True),
        ("INSERT INTO t VALUES (1) -- (\n returning *", True),
        ("INSERT INTO t VALUES ('returning')", False),
        ('INSERT INTO t("returning") VALUES (1)', False),
        ("INSERT INTO t SELECT 1 -- returning", False),
        ("INSERT INTO t SELECT 1 /* returning", False),
        ("INSERT INTO t VALUES ((returning))", False),
        ("INSERT INTO t VALUES ('returning", False),
        ("INSERT INTO t VALUES (1)", False),
    ],
)
def test_returning(text: str, has: bool) -> None:
    assert has_returning(text) is has


@given(st.text(alphabet="INSERTOUPDAWHLVF \"'`[]().,-/*ab1\n", max_size=60))
def test_any_text_is_read(text: str) -> None:
    read_writing(text)
    has_returning(text + " returning")


WORDS = ["INSERT", "INTO", "t", "OR", "IGNORE", "(", ")", "a", "b", ",", "VALUES", "SELECT", "1", ".", "main"]
WORDS += ["AS", "DEFAULT", '"a"', "'b'", "[t]", "WITH", "REPLACE", "/* ( */", "--\n", "UPDATE", "SET", "="]


@given(st.lists(st.sampled_from(WORDS), max_size=12))
def test_what_sqlite_takes_is_told_as_sqlite_takes_it(words: list[str]) -> None:
    """An authorizer of a native table hears which table is written to; the columns show in the row."""
    told = read_writing(" ".join(["INSERT INTO", *words]))
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE t(a DEFAULT 7, b DEFAULT 7); CREATE TABLE a(b DEFAULT 7)")
    try:
        connection.execute(" ".join(["INSERT INTO", *words]))
    except apsw.Error:
        return
    assert told is not None
    assert connection.execute(f'SELECT count(*) FROM "{told.table}"').get > 0
    for column in told.columns or ():
        connection.execute(f'SELECT "{column}" FROM "{told.table}"')
    row = connection.execute(f'SELECT * FROM "{told.table}"').get
    width = len(row) if isinstance(row, tuple) else 1
    left_out = width - len(told.columns) if told.columns is not None else 0
    assert (row if isinstance(row, tuple) else (row,)).count(7) == left_out
