"""Text that is not UTF-8, as old databases have it: refused by column and row, and never a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest

import audiomem_sql as am
from audiomem_sql.errors import AudioMemError, DataTypeError, SchemaError, StorageError
from audiomem_sql.vtab.codes import SchemaChangedError, explained

#: apsw itself refuses such text before the table in Python sees it, with a UnicodeDecodeError.
DOORS = ("extension",)
LATIN = "CAST(x'636166e9' AS TEXT)"
WORDS = r"b'caf\\xe9'\. Convert it to UTF-8 first"


@pytest.fixture
def sql(tmp_path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(tmp_path / "d.sqlite"))
    am.register(connection)
    connection.execute(
        "CREATE VIRTUAL TABLE t USING audiomem('t.flac', id INTEGER PRIMARY KEY, body TEXT, extra JSON, n INTEGER);"
        "CREATE VIRTUAL TABLE u USING audiomem('u.flac', body TEXT);"
        "INSERT INTO t VALUES (1, 'one', NULL, NULL);"
        f"CREATE TABLE old(body); INSERT INTO old VALUES ('fine'), ({LATIN})"
    )
    return connection


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            "INSERT INTO t(body) SELECT body FROM old",
            r"t\.flac: a new row: the text for column body is not UTF-8: ",
        ),
        ("INSERT OR IGNORE INTO t(body) SELECT body FROM old", "a new row: the text for column body"),
        (
            "INSERT INTO u(rowid, body) SELECT 12, body FROM old WHERE rowid = 2",
            r"u\.flac: row 12: the text for",
        ),
        (
            f"INSERT INTO t(id, extra) VALUES (7, {LATIN})",
            r"t\.flac: row 7: the text for column extra is not UTF-8",
        ),
        (f"UPDATE t SET n = {LATIN}", r"t\.flac: row 1: the text for column n is not UTF-8"),
        (f"INSERT INTO t(t, rank) VALUES ('tag', {LATIN})", "the text for column rank is not UTF-8"),
        (
            f"SELECT * FROM t WHERE body = {LATIN}",
            r"t\.flac: column body is compared with text that is not UTF-8",
        ),
        ("SELECT * FROM t WHERE body IN (SELECT body FROM old)", "column body is compared with text"),
        (f"SELECT * FROM t WHERE id = {LATIN}", "column id is compared with text"),
        (f"SELECT * FROM u WHERE rowid > {LATIN}", "column rowid is compared with text"),
        (f"SELECT * FROM t WHERE version = {LATIN}", "a condition has text that is not UTF-8"),
        (f"DELETE FROM t WHERE body LIKE {LATIN}", "column body is compared with text"),
        (f"SELECT vec_from_json({LATIN})", "a function was given text that is not UTF-8"),
        (f"SELECT * FROM audiomem_snapshots({LATIN})", "audiomem_snapshots was given text that is not UTF-8"),
    ],
)
def test_it_is_refused(sql: apsw.Connection, statement: str, words: str) -> None:
    with pytest.raises(DataTypeError, match=f"{words}.*{WORDS}"):
        sql.execute(statement).fetchall()
    assert sql.execute("SELECT body FROM t").fetchall() == [("one",)]
    assert sql.execute("SELECT count(*) FROM u").get == 0
    sql.execute("INSERT INTO t(body) VALUES ('café')")  # nothing is left of it
    assert sql.execute("SELECT count(*) FROM t WHERE body = 'café'").get == 1


def test_as_a_blob_it_is_kept(sql: apsw.Connection) -> None:
    sql.execute("CREATE VIRTUAL TABLE b USING audiomem('b.flac', body BLOB)")
    sql.execute("INSERT INTO b SELECT CAST(body AS BLOB) FROM old")
    assert sql.execute("SELECT body FROM b").fetchall() == [(b"fine",), (b"caf\xe9",)]


def test_a_path_may_be_any_bytes(sql: apsw.Connection, tmp_path: Path) -> None:
    path = x_literal(os.fsencode(tmp_path) + b"/caf\xe9.flac")
    sql.execute(f"CREATE VIRTUAL TABLE c USING audiomem({path}, a TEXT); INSERT INTO c VALUES ('x')")
    assert b"caf\xe9.flac" in os.listdir(os.fsencode(tmp_path))
    with pytest.raises(AudioMemError) as caught:  # a message in SQL is UTF-8
        sql.execute("INSERT INTO c(c) VALUES ('dance')")
    assert os.fsencode(str(caught.value)).startswith(
        os.fsencode(tmp_path) + b"/caf\xe9.flac: there is no command"
    )
    sql.close()
    again = apsw.Connection(str(tmp_path / "d.sqlite"))
    am.register(again)
    assert again.execute("SELECT a FROM c").get == "x"
    with am.open(os.fsencode(tmp_path) + b"/caf\xe9.flac") as table:  # type: ignore[arg-type]
        assert len(table) == 1


def x_literal(path: bytes) -> str:
    return f"x'{path.hex()}'"


def test_what_sqlite_is_told_is_utf8() -> None:
    assert explained(StorageError("it is gone", file="caf\udce9.flac")) == (1, "caf\\udce9.flac: it is gone")
    changed = SchemaChangedError("other columns", file="caf\udce9.flac")
    assert explained(changed) == (17, "caf\\udce9.flac: other columns")


def test_names_must_be_utf8(tmp_path: Path) -> None:
    """From a host that is no Python: bytes that it wrote into the schema."""
    path = tmp_path / "d.sqlite"
    made = apsw.Connection(str(path))
    made.execute("PRAGMA writable_schema = ON")
    made.execute(
        "INSERT INTO sqlite_schema VALUES ('table', 't', 't', 0, "
        "CAST(CAST('CREATE VIRTUAL TABLE t USING audiomem(''t.flac'', ' AS BLOB) || x'e9' || ' TEXT)' AS TEXT))"
    )
    made.close()
    am.write_flac([{"a": "x"}], tmp_path / "t.flac").close()
    connection = apsw.Connection(str(path))
    am.register(connection)
    with pytest.raises(
        SchemaError, match=r"t\.flac: b'\\xe9 TEXT' is not UTF-8\. Write names and options in UTF-8"
    ):
        connection.execute("SELECT * FROM t")
