"""NULL that a statement names is NULL, and a column that it leaves out has its default, as in a STRICT table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest
from model import ModelColumn, Twins

from audiomem_sql.connections import register
from audiomem_sql.errors import UnsupportedError

COLUMNS = (
    ModelColumn("id", "INTEGER", ("PRIMARY KEY",)),
    ModelColumn("s", "TEXT", ("DEFAULT 'd'",)),
    ModelColumn("n", "INTEGER", ("NOT NULL", "DEFAULT 7")),
    ModelColumn("x y", "REAL", ("DEFAULT (1 + 0.5)",)),
)
PLAIN = [
    "INSERT INTO {t} VALUES (1, NULL, 2, NULL)",
    "INSERT INTO {t}(s) VALUES (NULL), ('a')",
    "INSERT INTO {t}(n, S) VALUES (1, NULL)",
    "INSERT INTO {t}(n) VALUES (NULL)",
    "INSERT INTO {t}(s, n) SELECT NULL, NULL",
    "INSERT INTO {t}(s, n) SELECT NULL, 1 UNION ALL SELECT 'b', 2 ORDER BY 2",
    "INSERT INTO {t} DEFAULT VALUES",
    "INSERT INTO {t} AS x(\"X Y\", 'n') VALUES (NULL, 4)",
    "INSERT INTO main.{t}([x y]) VALUES (NULL)",
    "INSERT INTO {t}(rowid, s) VALUES (50, NULL)",
    "WITH w AS (SELECT ') INSERT INTO {t}(s)' AS c) INSERT INTO {t}(s) SELECT NULL FROM w",
    "/* INSERT INTO {t}(n) */ -- VALUES\n INSERT INTO {t}(s) VALUES (NULL)",
    "INSERT OR REPLACE INTO {t}(id, n, s) VALUES (1, NULL, NULL)",
    "REPLACE INTO {t}(n) VALUES (NULL)",
    "INSERT OR IGNORE INTO {t}(n) VALUES (NULL), (5)",
    "INSERT OR FAIL INTO {t}(s, n) VALUES (NULL, 6), (NULL, NULL), (NULL, 8)",
    "UPDATE {t} SET s = NULL, n = NULL",
    "UPDATE OR REPLACE {t} SET s = NULL, n = NULL",
    "UPDATE OR IGNORE {t} SET n = NULL",
]


def test_plain_statements_are_those_of_a_strict_table(twins: Twins) -> None:
    twins.create("t", *COLUMNS)
    failed = 0
    for statement in PLAIN:
        outcome = twins.write(statement)
        failed += outcome.rows is None
        twins.same("SELECT * FROM {t}")
    assert failed == 4
    twins.connection.execute("BEGIN")
    for statement in PLAIN:
        twins.write(statement)
        twins.same("SELECT * FROM {t}")


@pytest.mark.parametrize("many", [False, True])
def test_bindings(twins: Twins, many: bool) -> None:
    twins.create("t", *COLUMNS)
    for prefix in "na":
        run: Any = twins.connection.executemany if many else twins.connection.execute
        rows: Any = [(None, None), ("a", 1.0)] if many else (None, None)
        run(f'INSERT INTO {prefix}_t(s, "x y") VALUES (?, ?)', rows)
    twins.same('SELECT s, "x y", n FROM {t}')


def test_a_not_null_column_takes_no_null_of_the_statement(twins: Twins) -> None:
    twins.create("t", *COLUMNS)
    outcome = twins.write("INSERT INTO {t}(n) VALUES (NULL)")
    assert outcome.message == "NOT NULL constraint failed: n_t.n"
    assert twins.run("INSERT INTO a_t(n) VALUES (NULL)").message == "NOT NULL constraint failed: a_t.n"


def test_long_statements(twins: Twins) -> None:
    """The values are not looked at, and neither is what cannot be told in the first 16 KiB."""
    twins.create("t", *COLUMNS)
    rows = ", ".join(["('é', NULL, 1.5)"] * 3000)
    twins.write(f'INSERT INTO {{t}}(s, "x y", n) VALUES {rows.replace("1.5", "1")}')
    twins.same('SELECT s, "x y", n FROM {t}')
    comment = f"/*{'é' * 17000}*/"
    twins.write(f"INSERT INTO {{t}}({comment} n) VALUES (1)")
    native = "INSERT INTO {t}(s) VALUES ('d')"
    twins.write(f"INSERT INTO {{t}}({comment} s) VALUES (NULL)", native=native)
    twins.same("SELECT * FROM {t}")


def test_of_two_tables_in_one_statement_each_is_told_by_its_own(twins: Twins) -> None:
    twins.create("t", *COLUMNS)
    twins.create("u", *COLUMNS)
    twins.write("INSERT INTO {t}(s) VALUES (NULL)")
    twins.write("INSERT INTO {u}(s, n) SELECT s, n FROM {t}")
    twins.write("INSERT INTO {t}(s) SELECT s FROM {u}")
    twins.write("INSERT INTO {t}(s) SELECT s FROM {t}")
    twins.same("SELECT * FROM {t}")
    twins.same("SELECT * FROM {u}")


def test_after_a_rename(twins: Twins) -> None:
    twins.create("t", *COLUMNS)
    twins.connection.execute("ALTER TABLE a_t RENAME TO b_t")
    twins.connection.execute("INSERT INTO B_T(s) VALUES (NULL)")
    assert twins.connection.execute("SELECT s FROM b_t").get is None
    twins.connection.execute("ALTER TABLE b_t RENAME TO a_t")
    twins.write("INSERT INTO {t}(s) VALUES (NULL)", native="INSERT INTO {t}(s) VALUES (NULL), (NULL)")


@pytest.fixture
def con(tmp_path: Path) -> Any:
    connection = apsw.Connection(":memory:")
    register(connection)
    connection.execute(
        f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path}/t.flac', s TEXT, n INTEGER DEFAULT 7, profile=embedded)"
    )
    yield connection
    connection.close()


def numbers(con: apsw.Connection) -> list[Any]:
    return [row[0] for row in con.execute("SELECT n FROM t ORDER BY rowid")]


def test_a_table_of_an_attached_database(con: apsw.Connection, tmp_path: Path) -> None:
    con.execute("ATTACH ':memory:' AS one")
    con.execute(
        f"CREATE VIRTUAL TABLE one.v USING audiomem('{tmp_path}/v.flac', n INTEGER DEFAULT 7, profile=embedded)"
    )
    con.execute("INSERT INTO v(n) VALUES (NULL)")
    con.execute("INSERT INTO one.v(n) VALUES (NULL)")
    con.execute("ATTACH ':memory:' AS two")
    con.execute("INSERT INTO One.V(n) VALUES (NULL)")
    con.execute("INSERT INTO v(n) VALUES (NULL)")
    assert [row[0] for row in con.execute("SELECT n FROM v")] == [None] * 4
    con.execute("INSERT INTO v(v) VALUES ('checkpoint')")


def test_a_table_of_the_same_name_comes_before_it(con: apsw.Connection, tmp_path: Path) -> None:
    """SQLite looks in temp, in main, and then in the attached databases in their order."""
    for number, name in enumerate(("one", "two", "three")):
        con.execute(f"ATTACH ':memory:' AS {name}")
        con.execute(
            f"CREATE VIRTUAL TABLE {name}.v USING audiomem('{tmp_path}/{number}.flac', n INTEGER DEFAULT 7)"
        )
    con.execute("CREATE VIEW one.w AS SELECT n FROM v; ALTER TABLE two.v RENAME TO w")
    con.execute("INSERT INTO v(n) VALUES (NULL); INSERT INTO three.v(n) VALUES (NULL)")
    assert [row[0] for row in con.execute("SELECT n FROM one.v")] == [None]
    assert [row[0] for row in con.execute("SELECT n FROM three.v")] == [None]
    con.execute("CREATE TRIGGER one.into_w INSTEAD OF INSERT ON w BEGIN INSERT INTO v(n) VALUES (new.n); END")
    con.execute("INSERT INTO w(n) VALUES (NULL)")
    assert [row[0] for row in con.execute("SELECT n FROM one.v")] == [None, 7]
    assert con.execute("SELECT count(*) FROM two.w").get == 0


def test_a_statement_that_begins_with_a_comment(con: apsw.Connection) -> None:
    """apsw says of it what it says of a statement that is run inside another one."""
    for begin, end in (("", ""), ("BEGIN", "COMMIT")):
        con.execute(begin)
        for start in (
            "-- one row\n",
            "--\n",
            "-- INSERT INTO t(s) VALUES (1); \n",
            "-- --\n-- don't\n",
            "/**/",
        ):
            con.execute("DELETE FROM t")
            con.execute(start + "INSERT INTO t(n) VALUES (NULL)")
            con.execute("INSERT INTO t(s) VALUES ('a')")
            con.execute(start + "INSERT INTO t(n) VALUES (NULL)")
            assert numbers(con) == [None, 7, None], start
            with pytest.raises(Exception, match="RETURNING cannot be answered"):
                con.execute(start + "INSERT INTO t(n) VALUES (5) RETURNING n")
        con.execute(end)
        con.execute("-- vacuum\nINSERT INTO t(t) VALUES ('vacuum')")


def test_a_comment_that_is_a_statement(con: apsw.Connection, door: str) -> None:
    """Through apsw the second could be inside the first, and the last one could be a trigger."""
    begins = ("WITH x AS (SELECT 1)\nINSERT", "INSERT OR\nREPLACE", "TRIGGER INTO\nINSERT")
    for start in begins:
        con.execute(f"-- {start} INTO t(n) VALUES (NULL)")
    known = [None, None] if door == "extension" else [7, 7]
    assert numbers(con) == [None, *known]
    for start in begins:
        with pytest.raises(Exception, match="RETURNING cannot be answered"):
            con.execute(f"-- {start} INTO t(n) VALUES (NULL) RETURNING n")


def test_a_statement_inside_another(con: apsw.Connection, door: str) -> None:
    def write(value: Any) -> Any:
        con.execute("INSERT INTO t(s) VALUES ('inner')")
        return value

    con.create_scalar_function("write", write)
    for begin, end in (("", ""), ("BEGIN", "COMMIT")):
        con.execute(f"{begin}; DELETE FROM t; INSERT INTO t(n) VALUES (write(NULL)); {end}")
        assert sorted(con.execute("SELECT s, n FROM t"), key=str) == [("inner", 7), (None, None)]
    con.execute("DELETE FROM t; INSERT INTO t(n) SELECT write(NULL) FROM (VALUES (1), (2))")
    assert sorted(con.execute("SELECT s, n FROM t"), key=str) == [("inner", 7)] * 2 + [(None, None)] * 2


def test_a_statement_beside_another(con: apsw.Connection, door: str) -> None:
    con.execute("CREATE TABLE other(a)")
    rows = con.execute("INSERT INTO other VALUES (1), (2) RETURNING a")
    assert next(rows) == (1,)
    con.execute("INSERT INTO t(s, n) VALUES ('beside', NULL)")
    assert con.execute("SELECT n FROM t").get == (7 if door == "extension" else None)
    with pytest.raises(Exception, match="RETURNING cannot be answered"):
        con.execute("INSERT INTO t(s) VALUES ('beside') RETURNING rowid")
    if door == "extension":
        with pytest.raises(UnsupportedError, match="none runs inside another statement"):
            con.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    rows.close()
    con.execute("INSERT INTO t(t) VALUES ('checkpoint')")


def test_an_authorizer_that_forbids_the_question(con: apsw.Connection) -> None:
    def allow(action: int, *rest: Any) -> int:
        forbidden = action == apsw.SQLITE_READ and rest[0] in ("sqlite_master", "sqlite_temp_master")
        return apsw.SQLITE_DENY if forbidden else apsw.SQLITE_OK

    con.authorizer = allow
    con.execute("INSERT INTO t(s, n) VALUES ('a', NULL)")
    con.authorizer = None
    assert numbers(con) == [7]


def test_insert_returning_is_refused(con: apsw.Connection) -> None:
    con.execute("CREATE TABLE v(s)")
    for statement in (
        "INSERT INTO t(s) VALUES ('a') RETURNING rowid",
        "INSERT INTO t VALUES ('a', 1) RETURNING s",
        "REPLACE INTO main.t VALUES ('a', 1), ('b', 2) RETURNING *",
        "INSERT INTO t SELECT 'returning', 2 RETURNING n",
    ):
        with pytest.raises(
            Exception, match=r"INSERT … RETURNING cannot be answered for t.*last_insert_rowid"
        ):
            con.execute(statement)
    assert con.execute("SELECT count(*) FROM t").get == 0
    con.execute("INSERT INTO t(s) VALUES ('returning')")
    assert con.execute("INSERT INTO v SELECT s FROM t RETURNING s").fetchall() == [("returning",)]
    con.execute("BEGIN; INSERT INTO t(s) VALUES ('kept')")
    with pytest.raises(Exception, match="RETURNING"):
        con.execute("INSERT INTO t(s) VALUES ('a'), ('b') RETURNING s")
    con.execute("COMMIT")
    assert [row[0] for row in con.execute("SELECT s FROM t")] == ["returning", "kept"]
