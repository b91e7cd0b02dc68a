"""Triggers of every kind that write to a table: what they write, what they count, and what they may not run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from model import ModelColumn, Twins

from audiomem_sql.connections import register
from audiomem_sql.errors import UnsupportedError

COLUMNS = (
    ModelColumn("id", "INTEGER", ("PRIMARY KEY",)),
    ModelColumn("s", "TEXT", ("UNIQUE",)),
    ModelColumn("n", "INTEGER", ("DEFAULT 7",)),
)
REFUSED = "a trigger cannot run a command"


@pytest.fixture
def con(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(tmp_path / "d.sqlite"))
    register(connection)
    connection.execute(
        "CREATE VIRTUAL TABLE t USING audiomem('t.flac', id INTEGER PRIMARY KEY, s TEXT UNIQUE,"
        " n INTEGER DEFAULT 7, profile=embedded); CREATE TABLE x(i, p)"
    )
    yield connection
    connection.close()


def rows(con: apsw.Connection, table: str = "t") -> list[Any]:
    return con.execute(f"SELECT id, s, n FROM {table} ORDER BY id").fetchall()


def define(twins: Twins) -> None:
    twins.create("t", *COLUMNS)
    twins.define("x", "CREATE TABLE {x}(i INTEGER, p)")


def triggers(twins: Twins, name: str, on: str, body: str) -> None:
    for prefix, sql in zip("na", twins.sides(f"{name} {on} BEGIN {body}; END"), strict=True):
        twins.connection.execute(f"CREATE TRIGGER {prefix}_{sql}")


def both(twins: Twins, statement: str, *, counted: bool = True) -> bool:
    """Whether a statement succeeded; it does and counts the same on both sides."""
    return twins.counted(statement, "t", "x", counted=counted)


def test_null_in_a_temp_trigger(con: apsw.Connection) -> None:
    """A NULL in a trigger takes the default, of a column that it names, too: as documented."""
    con.execute(
        "CREATE TEMP TRIGGER g AFTER INSERT ON x BEGIN"
        "  INSERT INTO t(s) VALUES (new.p); INSERT INTO t(s, n) VALUES (new.p || '!', new.i); END"
    )
    con.execute("INSERT INTO x VALUES (NULL, 'a'), (5, 'b')")
    assert rows(con) == [(1, "a", 7), (2, "a!", 7), (3, "b", 7), (4, "b!", 5)]
    con.execute("INSERT INTO t(s, n) VALUES ('own', NULL)")
    assert rows(con)[-1] == (5, "own", None)


def test_a_temp_view_of_the_same_name(con: apsw.Connection) -> None:
    """The name means the view, whose trigger writes to the table."""
    con.execute(
        "CREATE TEMP VIEW t AS SELECT id, s, n FROM main.t;"
        "CREATE TEMP TRIGGER g INSTEAD OF INSERT ON t BEGIN"
        "  INSERT INTO main.t(s, n) VALUES (new.s, new.n); INSERT INTO x VALUES (1, new.s); END;"
        "CREATE TEMP TRIGGER u INSTEAD OF UPDATE ON t BEGIN UPDATE main.t SET n = new.n WHERE id = old.id; END"
    )
    con.execute("INSERT INTO t(s, n) VALUES ('view', NULL); INSERT INTO main.t(s, n) VALUES ('table', NULL)")
    assert rows(con) == [(1, "view", 7), (2, "table", None)]
    assert con.execute("INSERT INTO t(s, n) VALUES ('r', 1) RETURNING s, n").fetchall() == [("r", 1)]
    with pytest.raises(UnsupportedError, match="RETURNING cannot be answered"):
        con.execute("INSERT INTO main.t(s, n) VALUES ('s', 1) RETURNING s")
    con.execute("UPDATE t SET n = NULL WHERE id = 3")
    assert rows(con)[2:] == [(3, "r", None)]
    con.execute("INSERT INTO main.t(audiomem_table) VALUES ('checkpoint'); DROP VIEW t")
    con.execute(
        "CREATE TEMP VIEW t AS SELECT 1 AS audiomem_table; CREATE TEMP TRIGGER g INSTEAD OF INSERT ON t BEGIN"
        "  INSERT INTO main.t(audiomem_table) VALUES (new.audiomem_table); END"
    )
    with pytest.raises(UnsupportedError, match=REFUSED):
        con.execute("INSERT INTO t(audiomem_table) VALUES ('checkpoint')")


def test_returning_of_a_statement_whose_trigger_writes(twins: Twins) -> None:
    define(twins)
    triggers(twins, "g", "AFTER INSERT ON {x}", "INSERT INTO {t}(s) VALUES (new.p)")
    for prefix in "na":
        statement = f"-- kept\nINSERT INTO {prefix}_x VALUES (1, 'a'), (2, 'b') RETURNING i, p"
        assert twins.connection.execute(statement).fetchall() == [(1, "a"), (2, "b")]
    twins.same("SELECT * FROM {t}")


@pytest.mark.parametrize("begin", ["", "BEGIN", "SAVEPOINT s"])
def test_conflicts_in_a_trigger(twins: Twins, begin: str) -> None:
    """The clause of the statement that sets it off holds for the trigger's own statements, too."""
    define(twins)
    triggers(twins, "i", "AFTER INSERT ON {x}", "INSERT OR IGNORE INTO {t}(s) VALUES (new.p)")
    triggers(twins, "u", "AFTER UPDATE ON {x}", "UPDATE OR REPLACE {t} SET s = new.p WHERE id = new.i")
    triggers(twins, "d", "AFTER DELETE ON {x}", "UPDATE OR IGNORE {t} SET s = old.p WHERE id = old.i + 1")
    twins.connection.execute(begin)
    assert both(twins, "INSERT INTO {x} VALUES (1, 'a'), (2, 'a'), (3, 'b'), (4, 'c'), (5, NULL)")
    assert both(twins, "UPDATE {x} SET p = 'b' WHERE i = 1")
    assert both(twins, "UPDATE {x} SET p = 'c' WHERE i IN (1, 3)")
    assert both(twins, "DELETE FROM {x} WHERE i = 3")
    assert both(twins, "UPDATE {x} SET i = 4, p = 'z'")
    assert both(twins, "INSERT OR REPLACE INTO {x} VALUES (6, 'z'), (7, 'q')")
    assert both(twins, "INSERT OR IGNORE INTO {x} VALUES (6, 'z'), (7, 'r')")
    assert not both(twins, "INSERT OR ABORT INTO {x} VALUES (6, 'new'), (6, 'z')")
    assert not both(twins, "INSERT OR FAIL INTO {x} VALUES (6, 'kept'), (6, 'z'), (6, 'never')")
    twins.connection.execute({"": "", "BEGIN": "COMMIT", "SAVEPOINT s": "RELEASE s"}[begin])
    assert both(twins, "DELETE FROM {x}")


def test_a_trigger_of_an_attached_database(con: apsw.Connection, tmp_path: Path) -> None:
    con.execute(f"ATTACH '{tmp_path}/other.sqlite' AS other")
    con.execute(
        "CREATE VIRTUAL TABLE other.t USING audiomem('o.flac', id INTEGER PRIMARY KEY, s TEXT, n INTEGER DEFAULT 7);"
        "CREATE TABLE other.y(a); CREATE TRIGGER other.g AFTER INSERT ON y BEGIN"
        "  INSERT INTO t(s, n) VALUES (new.a, NULL); END"
    )
    con.execute("INSERT INTO y VALUES ('a'); INSERT INTO other.t(s, n) VALUES ('b', NULL)")
    con.execute("INSERT INTO t(s, n) VALUES ('main', NULL)")
    assert rows(con, "other.t") == [(1, "a", 7), (2, "b", None)]
    assert rows(con) == [(1, "main", None)]
    con.execute("INSERT INTO other.t(t) VALUES ('checkpoint'); INSERT INTO t(t) VALUES ('checkpoint')")
    con.execute(
        "CREATE TRIGGER other.v AFTER DELETE ON y BEGIN INSERT INTO t(t) VALUES ('vacuum'); END;"
        "CREATE TEMP TRIGGER w AFTER DELETE ON main.x BEGIN INSERT INTO other.t(t) VALUES ('vacuum'); END;"
        "INSERT INTO x VALUES (1, 1)"
    )
    for table in ("y", "x"):
        with pytest.raises(UnsupportedError, match=REFUSED):
            con.execute(f"DELETE FROM {table}")


def test_a_trigger_that_sets_off_another(twins: Twins) -> None:
    define(twins)
    twins.define("y", "CREATE TABLE {y}(a)")
    triggers(
        twins, "g", "BEFORE INSERT ON {x}", "INSERT INTO {y} VALUES (new.p); INSERT INTO {t}(s) VALUES ('g')"
    )
    triggers(twins, "h", "AFTER INSERT ON {y}", "INSERT INTO {t}(id, s) VALUES (10 * new.a, new.a)")
    assert both(twins, "INSERT INTO {x} VALUES (1, 2)")
    twins.connection.execute("BEGIN")
    assert not both(twins, "INSERT INTO {x} VALUES (1, 3)")  # 'g' is there
    assert both(twins, "UPDATE {t} SET s = 'h' WHERE s = 'g'")
    assert both(twins, "INSERT INTO {x} VALUES (1, 4)")
    assert not both(twins, "INSERT INTO {x} VALUES (1, 'no number')")
    twins.connection.execute("COMMIT")
    twins.same("SELECT * FROM {y}")


def test_triggers_that_set_themselves_off(twins: Twins) -> None:
    define(twins)
    triggers(
        twins,
        "g",
        "AFTER INSERT ON {x} WHEN new.i < 5",
        "INSERT INTO {t}(id, s) VALUES (new.i, new.i); INSERT INTO {x} VALUES (new.i + 1, NULL)",
    )
    for on in ("ON", "OFF"):
        twins.connection.execute(f"PRAGMA recursive_triggers = {on}")
        assert both(twins, "INSERT INTO {x} VALUES (1, 1)")
        twins.connection.execute("BEGIN")
        both(twins, "DELETE FROM {t} WHERE s = '1'")
        assert not both(twins, "INSERT INTO {x} VALUES (1, 2)") or on == "OFF"
        twins.connection.execute("COMMIT")
        both(twins, "DELETE FROM {t}")


@pytest.mark.parametrize("table", ["t", "main.t"])
def test_a_command_in_triggers_of_triggers(con: apsw.Connection, table: str) -> None:
    con.create_scalar_function("run", lambda sql: con.execute(sql).get)
    con.execute(
        "CREATE TABLE y(a); CREATE TRIGGER g AFTER INSERT ON x BEGIN INSERT INTO y VALUES (1); END;"
        "CREATE TRIGGER h AFTER INSERT ON y BEGIN INSERT INTO t(t, rank) VALUES ('tag', 'a'); END"
    )
    statements = (
        "INSERT INTO x VALUES (1, 2)",
        "-- INSERT INTO t VALUES (1)\nINSERT INTO y VALUES (1)",
        "SELECT run('INSERT INTO x VALUES (1, 2)')",
        "SELECT run('INSERT INTO t(s) SELECT run(''INSERT INTO y VALUES (1)'')')",
        "WITH t AS (SELECT 1) INSERT INTO x SELECT 1, 2 FROM t",
    )
    for statement in statements:
        with pytest.raises(UnsupportedError, match=REFUSED):
            con.execute(statement).fetchall()
    assert con.execute("SELECT count(*) FROM audiomem_snapshots('t') WHERE tag = 'a'").get == 0
    con.execute(f"SELECT run('INSERT INTO {table}(t, rank) VALUES (''tag'', ''b'')')").fetchall()
    assert con.execute("SELECT count(*) FROM audiomem_snapshots('t') WHERE tag = 'b'").get == 1


class Broken(Exception):
    """What a function of the connection raises."""


@pytest.mark.parametrize("begin", ["BEGIN", "SAVEPOINT s", ""])
def test_a_function_that_raises_undoes_its_statement(con: apsw.Connection, begin: str) -> None:
    """Rows of the same statement, of its triggers, and of statements inside it go; those before it stay."""

    def checked(value: int) -> int:
        if value > 2:
            raise Broken
        return value

    def nested(value: int) -> int:
        con.execute("INSERT INTO t(s) VALUES (?)", (f"nested {value}",))
        return checked(value)

    con.create_scalar_function("checked", checked)
    con.create_scalar_function("nested", nested)
    con.execute(
        "CREATE TABLE y(a); CREATE TRIGGER g AFTER INSERT ON y BEGIN"
        "  INSERT INTO t(s) VALUES ('in a trigger ' || new.a); INSERT INTO x VALUES (1, checked(new.a)); END"
    )
    con.execute("INSERT INTO t(id, s) VALUES (1, 'before'), (5, 'five')")
    numbers = "FROM (SELECT 1 AS a UNION ALL SELECT 2 UNION ALL SELECT 3)"
    if begin:
        con.execute(begin)
    for number in (2, 3):
        for statement in (
            f"INSERT INTO t(id, s) SELECT checked(a) * 100, a {numbers}",
            f"INSERT OR FAIL INTO t(id, s) SELECT checked(a) * 100, a {numbers}",
            f"INSERT INTO t(id, s) SELECT nested(a) * 100, a {numbers}",
            f"INSERT INTO y SELECT a {numbers}",
            f"-- a comment\nINSERT INTO y SELECT a {numbers}",
            "UPDATE t SET n = checked(id), s = s || '!'",
            "DELETE FROM t WHERE checked(id)",
        ):
            with pytest.raises(Broken):
                con.execute(statement)
            con.execute("UPDATE t SET n = 7")
        con.execute("INSERT INTO t(id, s) VALUES (?, ?)", (number, f"row {number}"))
        con.execute("INSERT INTO t(id) VALUES (9)")
        with pytest.raises(apsw.ConstraintError):
            con.execute("INSERT OR FAIL INTO t(id) VALUES (50), (9), (51)")
        assert [row[0] for row in rows(con)][-2:] == [9, 50]
        con.execute("DELETE FROM t WHERE id BETWEEN 9 AND 50")
    if begin:
        con.execute({"BEGIN": "COMMIT", "SAVEPOINT s": "RELEASE s"}[begin])
    assert rows(con) == [(1, "before", 7), (2, "row 2", 7), (3, "row 3", 7), (5, "five", 7)]
    assert con.execute("SELECT count(*) FROM x").get == con.execute("SELECT count(*) FROM y").get == 0


def test_a_statement_that_fails_inside_another(con: apsw.Connection) -> None:
    """It is undone alone, or with the other one if that fails, too."""

    def tried(value: int) -> int:
        with pytest.raises(apsw.ConstraintError):
            con.execute("INSERT INTO t(id) VALUES (1000), (1)")
        con.execute("INSERT INTO t(id) VALUES (?)", (2000 + value,))
        return value

    con.create_scalar_function("tried", tried)
    con.execute("INSERT INTO t(id) VALUES (1); BEGIN; INSERT INTO t(id) VALUES (2)")
    con.execute("INSERT INTO t(id) SELECT tried(10) UNION ALL SELECT tried(11)")
    kept = [1, 2, 10, 11, 2010, 2011]
    assert [row[0] for row in rows(con)] == kept
    with pytest.raises(apsw.ConstraintError):
        con.execute("INSERT INTO t(id) SELECT tried(12) UNION ALL SELECT tried(11) + 0 * tried(13)")
    assert [row[0] for row in rows(con)] == kept
    con.execute("INSERT INTO t(id) VALUES (tried(14)); COMMIT")
    assert [row[0] for row in rows(con)] == [*kept[:4], 14, *kept[4:], 2014]


def test_a_trigger_that_fails_in_a_statement_inside_another(con: apsw.Connection) -> None:
    def tried(sql: str) -> None:
        with pytest.raises(apsw.ConstraintError):
            con.execute(sql)

    con.create_scalar_function("tried", tried)
    con.execute(
        "CREATE TRIGGER g AFTER INSERT ON x BEGIN"
        "  INSERT INTO t(id) VALUES (new.i), (new.i + 1); INSERT INTO t(id) VALUES (1); END"
    )
    con.execute("INSERT INTO t(id) VALUES (1); BEGIN; INSERT INTO t(id) VALUES (2)")
    con.execute("SELECT tried('INSERT INTO x VALUES (100, 1)')").fetchall()
    con.execute("INSERT INTO t(id, s) SELECT id + 2, tried('INSERT INTO x VALUES (200, 1)') FROM t")
    assert [row[0] for row in rows(con)] == [1, 2, 3, 4]
    con.execute("COMMIT")
    assert [row[0] for row in rows(con)] == [1, 2, 3, 4]


@pytest.mark.parametrize("start", ["-- TRIGGER x\n", "-- a row\n", "-- INSERT INTO t VALUES (1)\n", ""])
def test_the_same_statement_again(con: apsw.Connection, start: str) -> None:
    """Also one that looks as if a trigger began, or as if it were run inside another one."""
    con.execute("BEGIN")
    for _ in range(3):
        con.execute(f"{start}INSERT INTO t(n) VALUES (5)")
    with pytest.raises(apsw.ConstraintError):
        con.execute(f"{start}INSERT INTO t(id) VALUES (10), (1)")
    con.execute("COMMIT")
    assert [row[0] for row in rows(con)] == [1, 2, 3]


def test_virtual_tables_that_write_by_statements_of_their_own(con: apsw.Connection) -> None:
    """FTS5 and R*Tree run INSERTs inside the statement; those are not the ones that write here."""
    con.execute(
        "CREATE VIRTUAL TABLE words USING fts5(body); CREATE VIRTUAL TABLE boxes USING rtree(id, low, high);"
        "CREATE TRIGGER g AFTER INSERT ON x BEGIN INSERT INTO words VALUES (new.p); INSERT INTO t(s, n) VALUES (new.p, NULL);"
        "  INSERT INTO boxes VALUES (new.i, 0, 1); INSERT INTO t(id, s) VALUES (10 * new.i, new.i); END"
    )
    for begin, end in (("BEGIN", "COMMIT"), ("", "")):
        con.execute(f"DELETE FROM t; DELETE FROM x; DELETE FROM words; DELETE FROM boxes; {begin}")
        con.execute("INSERT INTO x VALUES (1, 'a'), (2, 'b')")
        with pytest.raises(apsw.ConstraintError):
            con.execute("INSERT INTO x VALUES (3, 'c'), (1, 'd')")
        con.execute("INSERT INTO t(id, s, n) VALUES (30, 'own', NULL)")
        con.execute("INSERT INTO words VALUES ('beside'); INSERT INTO t(id, s, n) VALUES (40, 'after', NULL)")
        con.execute(end)
        found = [row[1:] for row in rows(con)]
        assert sorted(found) == [("1", 7), ("2", 7), ("a", 7), ("after", None), ("b", 7), ("own", None)]
    with pytest.raises(UnsupportedError, match="RETURNING cannot be answered"):
        con.execute("INSERT INTO t(s) SELECT body FROM words RETURNING id")
