"""Views and triggers over tables: what works when the schema is trusted, and what a stranger's schema cannot do."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from audiomem_sql.connections import register
from audiomem_sql.errors import UnsupportedError
from audiomem_sql.table.table import Table

SCHEMA = """
CREATE VIRTUAL TABLE t USING audiomem('t.flac', id INTEGER PRIMARY KEY, word TEXT UNIQUE, n INTEGER, profile=embedded);
INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', 30);
CREATE TABLE base(x);
CREATE TABLE plain(y);
CREATE VIEW v AS SELECT id, word FROM t WHERE id > 1;
CREATE VIEW vv AS SELECT count(*) AS c FROM v JOIN plain ON true;
CREATE TRIGGER after_base AFTER INSERT ON base BEGIN INSERT INTO t(word, n) VALUES (new.x, length(new.x)); END;
CREATE TRIGGER of_v INSTEAD OF INSERT ON v BEGIN INSERT INTO t(id, word) VALUES (new.id, new.word); END;
CREATE TRIGGER gone INSTEAD OF DELETE ON v BEGIN DELETE FROM t WHERE id = old.id; END;
CREATE TRIGGER other INSTEAD OF UPDATE OF word ON v BEGIN UPDATE t SET word = new.word WHERE id = old.id; END;
"""
UNSAFE = 'unsafe use of virtual table "t"'


def opened(folder: Path, *, trusted: bool = True) -> apsw.Connection:
    """The database again, whose schema SQLite now reads."""
    connection = apsw.Connection(str(folder / "d.sqlite"))
    register(connection)
    connection.execute(f"PRAGMA trusted_schema = {'ON' if trusted else 'OFF'}")
    return connection


@pytest.fixture(autouse=True)
def schema(tmp_path: Path) -> None:
    made = opened(tmp_path)
    made.execute(SCHEMA)
    made.close()


def words(connection: apsw.Connection) -> list[object]:
    return [row[0] for row in connection.execute("SELECT word FROM t ORDER BY id")]


def test_a_view_is_read(tmp_path: Path) -> None:
    sql = opened(tmp_path)
    assert sql.execute("SELECT * FROM v").fetchall() == [(2, "two"), (3, "three")]
    sql.execute("INSERT INTO plain VALUES (1), (2), (3)")
    assert sql.execute("SELECT c FROM vv").get == 6
    assert sql.execute("SELECT word FROM v WHERE id = 3 AND word LIKE 'th%'").get == "three"
    sql.execute("CREATE VIEW old AS SELECT * FROM t WHERE version = 2")
    sql.execute("DELETE FROM t")
    assert sql.execute("SELECT count(*) FROM old").get == 3
    assert sql.execute("SELECT count(*) FROM v").get == 0


def test_triggers_write(tmp_path: Path) -> None:
    sql = opened(tmp_path)
    sql.execute("INSERT INTO base VALUES ('four'), ('five')")
    sql.execute(
        "INSERT INTO v VALUES (9, 'nine'); DELETE FROM v WHERE id = 2; UPDATE v SET word = 'III' WHERE id = 3"
    )
    assert sql.execute("SELECT * FROM t").fetchall() == [
        (1, "one", 10),
        (3, "III", 30),
        (4, "four", 4),
        (5, "five", 4),
        (9, "nine", None),
    ]
    sql.close()
    with Table(tmp_path / "t.flac") as table:
        assert len(table) == 5
        assert table.version == 6  # each statement is one commit


def test_a_statement_whose_trigger_fails_changes_nothing(tmp_path: Path) -> None:
    sql = opened(tmp_path)
    sql.execute(
        "CREATE VIRTUAL TABLE u USING audiomem('u.flac', a TEXT, profile=embedded);"
        "CREATE TRIGGER more AFTER INSERT ON plain BEGIN"
        "  INSERT INTO u VALUES (new.y); INSERT INTO t(word) VALUES (new.y); INSERT INTO u VALUES ('x');"
        "  INSERT INTO t(word) VALUES (new.y || '2'); END"
    )
    sql.execute("BEGIN; INSERT INTO plain VALUES ('a')")
    for statement in (
        "INSERT INTO plain VALUES ('b'), ('a')",
        "INSERT INTO plain VALUES ('one')",
        "INSERT INTO base VALUES ('c'), ('d'), ('two')",
        "INSERT OR ABORT INTO plain VALUES ('e'), ('two')",
    ):
        with pytest.raises(apsw.ConstraintError, match=r"UNIQUE constraint failed: t\.word"):
            sql.execute(statement)
    sql.execute("COMMIT")
    assert words(sql) == ["one", "two", "three", "a", "a2"]
    assert sql.execute("SELECT a FROM u").fetchall() == [("a",), ("x",)]


@pytest.mark.parametrize(
    ("raised", "kept"),
    [
        ("IGNORE", ["first", "good", "good2"]),
        ("ABORT, 'no'", ["first"]),
        ("FAIL, 'no'", ["first", "good"]),
        ("ROLLBACK, 'no'", []),
    ],
)
def test_what_raise_leaves(tmp_path: Path, raised: str, kept: list[str]) -> None:
    sql = opened(tmp_path)
    native = "CREATE TABLE r(word); CREATE TABLE rbase(x)"
    sql.execute(native)
    for base, into in (("base", "t"), ("rbase", "r")):
        sql.execute(
            f"CREATE TRIGGER stop_{base} BEFORE INSERT ON {base} WHEN new.x = 'bad' BEGIN SELECT RAISE({raised}); END"
        )
        if base == "rbase":
            sql.execute(
                "CREATE TRIGGER after_rbase AFTER INSERT ON rbase BEGIN INSERT INTO r(word) VALUES (new.x); END"
            )
        sql.execute(f"BEGIN; INSERT INTO {base} VALUES ('first')")
        try:
            sql.execute(f"INSERT INTO {base} VALUES ('good'), ('bad'), ('good2')")
        except apsw.ConstraintError:
            assert raised != "IGNORE"
        if sql.in_transaction:
            sql.execute("COMMIT")
        assert [row[0] for row in sql.execute(f"SELECT word FROM {into} WHERE word > ''")][
            -len(kept) :
        ] == kept or (not kept)
    assert words(sql)[3:] == [row[0] for row in sql.execute("SELECT word FROM r")] == kept


def test_alter_table_beside_a_view(tmp_path: Path) -> None:
    sql = opened(tmp_path)
    sql.execute("ALTER TABLE plain RENAME TO simple; ALTER TABLE simple RENAME COLUMN y TO z")
    sql.execute("ALTER TABLE t RENAME TO renamed")
    assert sql.execute("SELECT sql FROM sqlite_schema WHERE name = 'v'").get == (
        'CREATE VIEW v AS SELECT id, word FROM "renamed" WHERE id > 1'
    )
    sql.execute("INSERT INTO base VALUES ('four'); DELETE FROM v WHERE word = 'two'")
    assert [row[0] for row in sql.execute("SELECT word FROM renamed")] == ["one", "three", "four"]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM v",
        "SELECT * FROM vv",
        "INSERT INTO base VALUES ('x')",
        "INSERT INTO v VALUES (9, 'x')",
        "DELETE FROM v",
        "UPDATE v SET word = 'x'",
        "ALTER TABLE plain RENAME TO simple",
        "CREATE TEMP VIEW tv AS SELECT * FROM v; SELECT * FROM tv",
    ],
)
def test_a_schema_that_is_not_trusted_is_refused(tmp_path: Path, statement: str) -> None:
    sql = opened(tmp_path, trusted=False)
    with pytest.raises(apsw.SQLError, match=UNSAFE):
        sql.execute(statement).fetchall()
    assert words(sql) == ["one", "two", "three"]  # a statement of one's own reads it


def test_a_temp_view_is_the_connection_s_own(tmp_path: Path) -> None:
    sql = opened(tmp_path, trusted=False)
    sql.execute("CREATE TEMP VIEW mine AS SELECT word FROM t WHERE n > 15")
    assert sql.execute("SELECT * FROM mine").fetchall() == [("two",), ("three",)]
    sql.execute(
        "CREATE TEMP TRIGGER writes AFTER INSERT ON plain BEGIN INSERT INTO t(word) VALUES (new.y); END"
    )
    with pytest.raises(apsw.SQLError, match=UNSAFE):  # SQLite asks for trust of any trigger that writes
        sql.execute("INSERT INTO plain VALUES ('x')")
    sql.execute("PRAGMA trusted_schema = ON; INSERT INTO plain VALUES ('x')")
    assert words(sql)[3:] == ["x"]


COMMANDS = (
    ("vacuum", "NULL"),
    ("merge", "NULL"),
    ("checkpoint", "NULL"),
    ("tag", "'x'"),
    ("restore", "1"),
    ("backup", "'BACKUP'"),
    ("repair", "NULL"),
    ("drop column", "'n'"),
)


@pytest.mark.parametrize(("command", "argument"), COMMANDS)
def test_a_trigger_cannot_run_a_command(tmp_path: Path, command: str, argument: str) -> None:
    sql = opened(tmp_path)
    copy = tmp_path / "copy.flac"
    argument = argument.replace("BACKUP", str(copy))
    before = (tmp_path / "t.flac").read_bytes()
    sql.execute(
        f"CREATE TRIGGER evil AFTER INSERT ON plain BEGIN INSERT INTO t(t, rank) VALUES ('{command}', {argument}); END;"
        f"CREATE TRIGGER worse INSTEAD OF UPDATE ON vv BEGIN"
        f"  INSERT OR IGNORE INTO t(t, rank) SELECT '{command}', {argument}; END"
    )
    for statement in (
        "INSERT INTO plain VALUES ('t')",
        "REPLACE INTO plain SELECT word FROM t",
        "WITH t(t) AS (SELECT 1) INSERT INTO plain SELECT t FROM t",
        "/* INSERT INTO t */ INSERT INTO main.plain VALUES (1)",
        "UPDATE vv SET c = 1",
    ):
        with pytest.raises(UnsupportedError, match="a trigger cannot run a command"):
            sql.execute(statement)
    assert not copy.exists()
    assert (tmp_path / "t.flac").read_bytes() == before
    assert sql.execute("SELECT count(*) FROM plain").get == 0
    assert sql.execute("SELECT max(snapshot_id) FROM audiomem_snapshots('t')").get == 2


def test_a_trigger_that_writes_to_a_table_with_statements_of_its_own(tmp_path: Path) -> None:
    sql = opened(tmp_path)
    sql.execute(
        "CREATE VIRTUAL TABLE f USING fts5(x);"
        "CREATE TRIGGER evil AFTER INSERT ON plain BEGIN"
        "  INSERT INTO f VALUES (new.y); INSERT INTO t(word) VALUES (new.y); INSERT INTO f VALUES (new.y);"
        "  INSERT INTO t(t, rank) SELECT 'tag', new.y FROM f WHERE f MATCH 'tagged'; END"
    )
    for _ in range(2):  # the first statement of the connection, and the second
        sql.execute("BEGIN; INSERT INTO base VALUES ('kept')")
        with pytest.raises(UnsupportedError, match="a trigger cannot run a command"):
            sql.execute("INSERT INTO plain VALUES ('tagged')")
        assert words(sql) == ["one", "two", "three", "kept"]
        sql.execute("ROLLBACK")
    with pytest.raises(UnsupportedError):
        sql.execute("INSERT INTO plain VALUES ('tagged')")
    assert words(sql) == ["one", "two", "three"]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t(t, rank) VALUES ('tag', 'x')",
        "INSERT INTO main.t(t, rank) VALUES ('tag', 'x')",
        "insert into T(T, rank) select 'tag', 'x' where (select count(*) from v) = 3",
        "REPLACE INTO \"t\"(t, rank) VALUES ('tag', 'x')",
        "INSERT OR REPLACE INTO [main].[t](t, rank) VALUES ('tag', 'x')",
        "WITH w(a) AS (SELECT 'INSERT INTO u') INSERT OR ABORT INTO `t`(t, rank) SELECT 'tag', 'x' FROM w",
        "-- INSERT INTO u\nINSERT /* INTO u */ INTO 't' (t, rank) VALUES ('tag', 'x')",
        "INSERT INTO t(t, rank) VALUES ('tag', replace('xINTO u', 'INTO u', ''))",
    ],
)
def test_a_statement_runs_a_command(tmp_path: Path, statement: str) -> None:
    sql = opened(tmp_path)
    sql.execute("INSERT INTO base VALUES ('before')")  # a trigger was there, but is no more
    sql.execute(statement)
    assert sql.execute("SELECT snapshot_id FROM audiomem_snapshots('t') WHERE tag = 'x'").get == 3


def test_a_renamed_table_takes_commands(tmp_path: Path) -> None:
    sql = opened(tmp_path)
    sql.execute("ALTER TABLE t RENAME TO Übung")
    sql.execute("INSERT INTO Übung(Übung, rank) VALUES ('tag', 'x')")
    assert sql.execute("SELECT max(snapshot_id) FROM audiomem_snapshots('Übung') WHERE tag = 'x'").get == 2


def test_a_statement_that_fails_is_over(tmp_path: Path) -> None:
    sql = opened(tmp_path)
    sql.execute("BEGIN")
    for start in ("", "-- a comment\n", "-- TRIGGER x\n", "/* another */"):
        sql.execute(f"{start}INSERT INTO base VALUES ('fine {start}')")
        for _ in range(2):
            with pytest.raises(apsw.ConstraintError):
                sql.execute(f"{start}INSERT INTO base VALUES ('{start}'), ('one')")
        sql.execute(f"{start}INSERT INTO t(word) VALUES ('also {start}')")
    sql.execute("COMMIT")
    assert len(words(sql)) == 3 + 4 * 2
    sql.execute("-- a comment\nINSERT INTO t(t, rank) VALUES ('tag', 'x')")


def test_statements_in_statements(tmp_path: Path) -> None:
    """A function of the connection may run statements: what came before in the trigger is still taken back."""
    sql = opened(tmp_path)
    sql.create_scalar_function("asked", lambda: sql.execute("SELECT count(*) FROM plain").get)
    sql.execute(
        "CREATE TRIGGER nested AFTER INSERT ON plain BEGIN"
        "  INSERT INTO t(word, n) VALUES (new.y, asked()); INSERT INTO t(word, n) VALUES ('one', asked()); END"
    )
    sql.execute("BEGIN; INSERT INTO base VALUES ('kept')")
    with pytest.raises(apsw.ConstraintError):
        sql.execute("INSERT INTO plain VALUES ('gone')")
    sql.execute("COMMIT")
    assert words(sql) == ["one", "two", "three", "kept"]


def test_a_view_of_a_search(tmp_path: Path) -> None:
    sql = opened(tmp_path)
    sql.execute(
        "CREATE VIRTUAL TABLE faq USING audiomem('faq.flac', body TEXT SEMANTIC INDEXED, model=hashing);"
        "INSERT INTO faq VALUES ('reset the password'), ('cats and dogs');"
        "CREATE VIEW found AS SELECT highlight(faq, 0, '<', '>') AS shown, distance FROM faq"
        " WHERE faq MATCH 'keyword: password' ORDER BY rank"
    )
    assert sql.execute("SELECT shown FROM found").fetchall() == [("reset the <password>",)]


def test_a_view_of_columns_that_are_gone(tmp_path: Path) -> None:
    sql = opened(tmp_path)
    sql.execute("INSERT INTO t(t, rank) VALUES ('rename column', 'word TO name')")
    with pytest.raises(apsw.SQLError, match="no such column: word"):
        sql.execute("SELECT * FROM v")
    assert sql.execute("SELECT name FROM t WHERE id = 1").get == "one"
