"""ON CONFLICT in constraints, OR … in statements, and what changes() counts, as in a STRICT table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest
from model import ModelColumn, Twins

from audiomem_sql.connections import register
from audiomem_sql.errors import ConstraintError, SchemaError
from audiomem_sql.table.table import Table

COLUMNS = (
    ModelColumn("id", "INTEGER", ("PRIMARY KEY ON CONFLICT REPLACE",)),
    ModelColumn("u", "TEXT", ("UNIQUE ON CONFLICT IGNORE",)),
    ModelColumn("n", "TEXT", ("NOT NULL ON CONFLICT REPLACE", "DEFAULT 'n'")),
    ModelColumn("m", "TEXT", ("NOT NULL ON CONFLICT IGNORE", "DEFAULT 'm'")),
    ModelColumn("r", "TEXT", ("NOT NULL ON CONFLICT REPLACE",)),
)


def write(twins: Twins, statement: str, *, counted: bool = True) -> bool:
    """Whether a statement succeeded; it changes as many rows in both tables."""
    return twins.counted(statement, "t", counted=counted)


def test_each_constraint_has_its_own(twins: Twins) -> None:
    twins.create("t", *COLUMNS)
    assert write(twins, "INSERT INTO {t} VALUES (1, 'a', 'x', 'y', 'z'), (2, 'b', 'x', 'y', 'z')")
    assert write(twins, "INSERT INTO {t} VALUES (1, 'c', 'replaced', 'y', 'z')")
    assert write(twins, "INSERT INTO {t} VALUES (3, 'b', 'ignored', 'y', 'z')", counted=False)
    assert write(twins, "INSERT INTO {t} VALUES (1, 'b', 'ignored', 'y', 'z')", counted=False)
    assert write(twins, "INSERT INTO {t} VALUES (4, 'd', NULL, 'y', 'z')")
    assert write(twins, "INSERT INTO {t} VALUES (5, 'e', 'x', NULL, 'z')", counted=False)
    assert not write(twins, "INSERT INTO {t} VALUES (6, 'f', 'x', 'y', NULL)")
    assert write(twins, "INSERT INTO {t} VALUES (6, 'f', 'x', NULL, NULL)", counted=False)
    assert write(twins, "UPDATE {t} SET u = 'b'", counted=False)
    assert write(twins, "UPDATE {t} SET n = NULL")
    assert write(twins, "UPDATE {t} SET m = NULL", counted=False)
    assert not write(twins, "UPDATE {t} SET r = NULL")
    assert write(twins, "UPDATE {t} SET id = 4 WHERE id = 1")
    twins.same("SELECT count(*) FROM {t}")


def test_the_statement_overrides_them(twins: Twins) -> None:
    twins.create("t", *COLUMNS)
    assert write(twins, "INSERT INTO {t} VALUES (1, 'a', 'x', 'y', 'z'), (2, 'b', 'x', 'y', 'z')")
    for clause in ("ABORT", "FAIL", "ROLLBACK"):
        for values in ("(1, 'q', 'x', 'y', 'z')", "(7, 'b', 'x', 'y', 'z')", "(7, 'q', NULL, 'y', 'z')"):
            assert not write(twins, f"INSERT OR {clause} INTO {{t}} VALUES {values}")
        assert not write(twins, f"UPDATE OR {clause} {{t}} SET m = NULL")
        assert not write(twins, f"UPDATE OR {clause} {{t}} SET u = 'b' WHERE id = 1")
    assert write(twins, "INSERT OR REPLACE INTO {t} VALUES (3, 'b', 'x', NULL, 'z')")
    assert not write(twins, "INSERT OR REPLACE INTO {t} VALUES (3, 'b', 'x', NULL, NULL)")


def test_keys_of_several_columns(twins: Twins) -> None:
    twins.create(
        "t",
        ModelColumn("a", "TEXT"),
        ModelColumn("b", "INTEGER"),
        ModelColumn("c", "INTEGER"),
        constraints=(
            "UNIQUE (a, b) ON CONFLICT REPLACE",
            "UNIQUE (b, c)",
            "PRIMARY KEY (c, a) ON CONFLICT IGNORE",
        ),
    )
    for values in ("('a', 1, 1)", "('b', 2, 2)", "('c', 3, 3)"):
        write(twins, f"INSERT INTO {{t}} VALUES {values}")
    assert write(twins, "INSERT INTO {t} VALUES ('a', 1, 9)")
    assert not write(twins, "INSERT INTO {t} VALUES ('q', 2, 2)")
    assert write(twins, "INSERT INTO {t} VALUES ('b', 5, 2)", counted=False)
    assert not write(twins, "INSERT INTO {t} VALUES ('a', 2, 2)")  # an abort comes before a replacement
    assert write(twins, "INSERT INTO {t} VALUES ('b', 1, 2)", counted=False)
    assert write(twins, "UPDATE {t} SET a = 'b', b = 2 WHERE c = 3")
    assert not write(twins, "INSERT OR ABORT INTO {t} VALUES ('b', 2, 7)")


@pytest.mark.parametrize(
    ("definitions", "constraints", "expected"),
    [
        (("a", "b UNIQUE", "c UNIQUE"), (), "c"),
        (("a UNIQUE", "b UNIQUE", "c"), ("UNIQUE (c)", "UNIQUE (a, b)"), "a, b"),
        (
            ("a UNIQUE", "b UNIQUE ON CONFLICT REPLACE", "c UNIQUE"),
            ("UNIQUE (a, c) ON CONFLICT REPLACE",),
            "c",
        ),
        (("a UNIQUE ON CONFLICT REPLACE", "b UNIQUE ON CONFLICT REPLACE", "c"), (), "b"),
        (("a PRIMARY KEY", "b UNIQUE", "c UNIQUE ON CONFLICT REPLACE"), (), "a"),
        (("a PRIMARY KEY ON CONFLICT REPLACE", "b UNIQUE", "c"), (), "a"),
    ],
)
def test_the_message_names_the_key_that_sqlite_asks_first(
    twins: Twins, definitions: tuple[str, ...], constraints: tuple[str, ...], expected: str
) -> None:
    """The rowid, then the key that was declared last, and last of all those that replace."""
    columns = [
        ModelColumn(name, "INTEGER", (clause,) if clause else ())
        for name, _, clause in (definition.partition(" ") for definition in definitions)
    ]
    twins.create("t", *columns, constraints=constraints)
    assert write(twins, "INSERT INTO {t} VALUES (1, 1, 1), (2, 2, 2)")
    message = "UNIQUE constraint failed: " + ", ".join(f"n_t.{name}" for name in expected.split(", "))
    for clause in (" OR ABORT", " OR FAIL"):
        assert twins.run(f"INSERT{clause} INTO n_t VALUES (1, 1, 1)").message == message
        assert not write(twins, f"INSERT{clause} INTO {{t}} VALUES (1, 1, 1)")
        assert not write(twins, f"INSERT{clause} INTO {{t}} VALUES (1, 2, 2)")
        assert not write(twins, f"UPDATE{clause} {{t}} SET a = 2, b = 2, c = 2 WHERE a = 1")
    write(twins, "INSERT INTO {t} VALUES (1, 1, 1)", counted=False)


@pytest.mark.parametrize("own", ["", " ON CONFLICT IGNORE", " ON CONFLICT REPLACE"])
@pytest.mark.parametrize("of_rowid", ["", " ON CONFLICT IGNORE", " ON CONFLICT REPLACE"])
def test_a_key_that_contains_the_rowid_has_a_say(twins: Twins, own: str, of_rowid: str) -> None:
    """Where the rowid replaces, SQLite asks it last."""
    columns = (
        ModelColumn("id", "INTEGER", (f"PRIMARY KEY{of_rowid}",)),
        ModelColumn("s", "TEXT", (), "NOCASE"),
        ModelColumn("n", "INTEGER"),
    )
    twins.create("t", *columns, constraints=(f"UNIQUE (s, id){own}", "UNIQUE (n, s)"))
    for begin, end in (("SELECT 1", "SELECT 2"), ("BEGIN", "COMMIT")):
        twins.connection.execute(begin)
        write(twins, "INSERT OR REPLACE INTO {t} VALUES (1, 'a', 1), (2, 'b', 2), (3, NULL, 3)")
        for values in ("(1, 'A', 5)", "(1, 'c', 5)", "(2, 'B', 1)", "(3, NULL, 6)", "(2, 'c', 5)"):
            for clause in ("", " OR ABORT", " OR IGNORE", " OR REPLACE"):
                write(twins, f"INSERT{clause} INTO {{t}} VALUES {values}", counted=False)
        write(twins, "UPDATE {t} SET id = 1, s = 'a' WHERE id = 2", counted=False)
        write(twins, "UPDATE {t} SET id = 2 WHERE id = 1", counted=False)
        twins.connection.execute(end)


def test_the_clauses_stay_with_the_file(twins: Twins, tmp_path: Path) -> None:
    twins.create("t", *COLUMNS, constraints=("UNIQUE (n, m) ON CONFLICT REPLACE",))
    twins.reopen()
    assert write(twins, "INSERT INTO {t} VALUES (1, 'a', 'x', 'y', 'z')")
    assert write(twins, "INSERT INTO {t} VALUES (3, 'c', 'x', 'y', 'z')")
    twins.connection.execute("INSERT INTO a_t(a_t, rank) VALUES ('rename column', 'n TO p')")
    twins.connection.execute("ALTER TABLE n_t RENAME COLUMN n TO p")
    assert write(twins, "INSERT INTO {t} VALUES (4, 'd', 'x', 'y', 'z')")
    assert write(twins, "INSERT INTO {t} VALUES (4, 'e', NULL, 'y', 'z')")
    with Table(tmp_path / "t.flac") as table:
        assert table.schema.sql() == (
            "id INTEGER PRIMARY KEY ON CONFLICT REPLACE, u TEXT UNIQUE ON CONFLICT IGNORE, "
            "p TEXT NOT NULL ON CONFLICT REPLACE DEFAULT 'n', m TEXT NOT NULL ON CONFLICT IGNORE DEFAULT 'm', "
            "r TEXT NOT NULL ON CONFLICT REPLACE, UNIQUE (p, m) ON CONFLICT REPLACE"
        )


def test_in_python_rows_that_violate_are_refused(twins: Twins, tmp_path: Path) -> None:
    """As documented: an append has no clause."""
    twins.create("t", *COLUMNS)
    write(twins, "INSERT INTO {t} VALUES (1, 'a', 'x', 'y', 'z')")
    with Table(tmp_path / "t.flac") as table:
        for row in ({"id": 1, "u": "b"}, {"id": 2, "u": "a"}, {"id": 2, "m": None}):
            with pytest.raises(ConstraintError, match="constraint failed"):
                table.append([{"r": "z"} | row])


def test_or_ignore_is_not_counted(twins: Twins, door: str) -> None:
    twins.create(
        "t", ModelColumn("a", "INTEGER", ("PRIMARY KEY",)), ModelColumn("b", "INTEGER", ("NOT NULL",))
    )
    counted = door == "extension"  # apsw has no way to tell it
    write(twins, "INSERT INTO {t} VALUES (1, 1), (2, 2)")
    write(twins, "INSERT OR IGNORE INTO {t} VALUES (1, 5)", counted=counted)
    write(twins, "INSERT OR IGNORE INTO {t} VALUES (1, 5), (3, 3), (4, NULL)", counted=counted)
    write(twins, "UPDATE OR IGNORE {t} SET b = NULL WHERE a > 1", counted=counted)
    write(twins, "UPDATE OR IGNORE {t} SET a = 2 WHERE a < 3", counted=counted)
    write(twins, "UPDATE OR IGNORE {t} SET b = 7")


def test_or_ignore_leaves_the_last_rowid(twins: Twins) -> None:
    twins.create("t", ModelColumn("a", "INTEGER", ("PRIMARY KEY",)), ModelColumn("b", "TEXT", ("UNIQUE",)))
    for prefix in "na":
        twins.connection.execute(f"INSERT INTO {prefix}_t VALUES (7, 'x')")
        twins.connection.execute(f"INSERT OR IGNORE INTO {prefix}_t(b) VALUES ('x')")
        assert twins.connection.last_insert_rowid() == 7
        twins.connection.execute(f"INSERT INTO {prefix}_t(b) VALUES ('y')")
        assert twins.connection.last_insert_rowid() == 8


def test_update_or_replace_brings_no_row_back(twins: Twins) -> None:
    twins.create("t", ModelColumn("id", "INTEGER", ("PRIMARY KEY",)), ModelColumn("u", "TEXT", ("UNIQUE",)))
    for begin, end in (("", ""), ("BEGIN", "COMMIT"), ("SAVEPOINT s", "RELEASE s")):
        if begin:
            twins.connection.execute(begin)
        write(twins, "INSERT OR REPLACE INTO {t} VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")
        swap = "CASE id WHEN 1 THEN 'b' WHEN 2 THEN 'z' WHEN 3 THEN 'd' ELSE u END"
        write(twins, f"UPDATE OR REPLACE {{t}} SET u = {swap}", counted=False)
        twins.same("SELECT group_concat(id || u) FROM {t}")
        write(twins, "UPDATE OR REPLACE {t} SET u = 'same'", counted=False)
        write(twins, "UPDATE {t} SET u = 'again'")
        if end:
            twins.connection.execute(end)
    assert twins.connection.execute("SELECT count(*) FROM a_t").get == 1


def test_a_row_that_moved_away_is_changed_once(tmp_path: Path) -> None:
    """SQLite would move the first row on and on; that none comes back holds for both."""
    connection = apsw.Connection(":memory:")
    register(connection)
    connection.execute(
        f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path}/t.flac', id INTEGER PRIMARY KEY, u TEXT, profile=embedded)"
    )
    connection.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    connection.execute("UPDATE OR REPLACE t SET id = id + 1")
    assert connection.execute("SELECT * FROM t").fetchall() == [(2, "a"), (4, "c")]
    connection.execute("UPDATE t SET u = 'later' WHERE id = 2")
    connection.execute(
        "BEGIN; UPDATE OR REPLACE t SET id = 4 WHERE id = 2; UPDATE t SET u = 'still' WHERE id = 4"
    )
    assert connection.execute("SELECT * FROM t").fetchall() == [(4, "still")]
    connection.execute("ROLLBACK; UPDATE t SET u = upper(u)")
    assert connection.execute("SELECT * FROM t").fetchall() == [(2, "LATER"), (4, "C")]
    connection.close()


def test_a_statement_that_fails_takes_its_replacements_back(twins: Twins) -> None:
    twins.create(
        "t",
        ModelColumn("id", "INTEGER", ("PRIMARY KEY",)),
        ModelColumn("u", "TEXT", ("UNIQUE",)),
        ModelColumn("n", "TEXT", ("NOT NULL",)),
    )
    with twins.connection:
        write(twins, "INSERT INTO {t} VALUES (1, 'a', 'x'), (2, 'b', 'y'), (3, 'c', 'z')")
        broken = "UPDATE OR REPLACE {t} SET u = 'b', n = CASE id WHEN 3 THEN NULL ELSE n END WHERE id <> 2"
        assert not write(twins, broken)
        write(twins, "UPDATE {t} SET n = n || u")
    twins.same("SELECT * FROM {t}")


@pytest.mark.parametrize("committed", [False, True])
def test_rows_that_came_back_are_changed_by_the_next_statement(tmp_path: Path, committed: bool) -> None:
    connection = apsw.Connection(":memory:")
    register(connection)
    columns = "id INTEGER PRIMARY KEY, u TEXT UNIQUE, n TEXT NOT NULL"
    connection.execute(
        f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path}/t.flac', {columns}, profile=embedded)"
    )
    connection.execute("BEGIN; INSERT INTO t VALUES (1, 'a', 'x'), (2, 'b', 'y'), (3, 'c', 'z')")
    if committed:
        connection.execute("COMMIT; BEGIN")
    with pytest.raises(apsw.ConstraintError):
        connection.execute(
            "UPDATE OR REPLACE t SET u = 'b', n = CASE id WHEN 3 THEN NULL ELSE n END WHERE id <> 2"
        )
    connection.execute("UPDATE t SET n = n || u")
    assert connection.execute("SELECT n FROM t").fetchall() == [("xa",), ("yb",), ("zc",)]
    connection.close()


@pytest.mark.parametrize("clause", ["FAIL", "ROLLBACK"])
def test_what_sqlite_decides_itself_is_refused_by_name(tmp_path: Path, clause: str) -> None:
    connection = apsw.Connection(":memory:")
    register(connection)
    columns: Any
    for columns in (
        f"a TEXT UNIQUE ON CONFLICT {clause}",
        f"a TEXT, b TEXT, UNIQUE (a, b) ON CONFLICT {clause}",
    ):
        with pytest.raises(SchemaError, match=f"ON CONFLICT {clause} is not supported.*INSERT OR FAIL"):
            connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path}/t.flac', {columns})")
    assert not list(tmp_path.iterdir())
    connection.close()
