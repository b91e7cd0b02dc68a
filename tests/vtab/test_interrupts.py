"""sqlite3_interrupt() and progress handlers end every statement, and leave the table as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pyarrow as pa
import pytest

import audiomem_sql as am
from audiomem_sql.connections import register
from audiomem_sql.errors import InterruptError
from audiomem_sql.machine import interrupts
from audiomem_sql.table.table import Table

COUNT = 4000
COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC INDEXED", "kind TEXT", "vec FLOAT[2]"]
#: Steps of SQLite's machine between two calls of the handler: no statement of these tests takes as many by
#: itself before the table has worked.
STEPS = 2000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A table of two segments with a history, so that every kind of upkeep has something to do."""
    path = tmp_path_factory.mktemp("made") / "t.flac"
    options = {"profile": "embedded", "model": "hashing", "protection": "standard"}
    with Table.create(path, COLUMNS, options) as table:
        for start in (0, COUNT // 2):
            numbers = range(start, start + COUNT // 2)
            table.append(
                pa.table(
                    {
                        "id": list(numbers),
                        "body": [f"word{number % 50} text" for number in numbers],
                        "kind": [f"kind {number % 3}" for number in numbers],
                        "vec": [[1.0, float(number)] for number in numbers],
                    }
                )
            )
            table.checkpoint()
    return path.read_bytes()


@pytest.fixture
def sql(made: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[apsw.Connection]:
    monkeypatch.setattr(interrupts, "INTERVAL", 0)
    (tmp_path / "t.flac").write_bytes(made)
    connection = apsw.Connection(str(tmp_path / "t.sqlite"))
    register(connection)
    connection.execute("CREATE VIRTUAL TABLE t USING audiomem('t.flac')")
    yield connection
    connection.set_progress_handler(None)
    connection.close()


READ = [
    "SELECT count(*) FROM t WHERE body LIKE '%nothing%'",
    "SELECT count(*) FROM t WHERE kind = 'no kind'",
    "SELECT id FROM t WHERE t MATCH 'word7' LIMIT 1",
    "SELECT id FROM t WHERE t MATCH 'semantic: word7' LIMIT 1",
    "SELECT id FROM t WHERE t MATCH 'keyword: word7' LIMIT 1",
    "SELECT id FROM t WHERE vec MATCH '[1, 2]' LIMIT 1",
    "SELECT id FROM t WHERE t MATCH 'word7' AND filter = 'body || kind = ''x''' LIMIT 1",
    "SELECT * FROM audiomem_verify('t')",
    "PRAGMA integrity_check",
]
WRITE = [
    "INSERT INTO t(t) VALUES ('vacuum')",
    "INSERT INTO t(t) VALUES ('repair')",
    "INSERT INTO t(body) VALUES (hex(randomblob(8)))",  # models remember texts
    "UPDATE t SET body = 'changed' WHERE body = 'word7 text'",
]


@pytest.mark.parametrize("statement", READ + WRITE)
def test_a_progress_handler_ends_it(sql: apsw.Connection, tmp_path: Path, statement: str) -> None:
    before = (tmp_path / "t.flac").read_bytes()
    sql.set_progress_handler(lambda: True, STEPS)
    if statement.startswith("PRAGMA"):  # which says what went wrong in a row, if SQLite goes on at all
        with pytest.raises((apsw.InterruptError, InterruptError, apsw.SQLError)):
            sql.execute(statement).fetchall()
    else:
        with pytest.raises(apsw.InterruptError):
            sql.execute(statement).fetchall()
    sql.set_progress_handler(None)
    assert sql.execute("SELECT count(*), max(version) FROM t").fetchall() == [(COUNT, 3)]
    assert (tmp_path / "t.flac").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} <= {"t.flac", "t.sqlite", "t.flac-wal"}
    sql.execute(statement).fetchall()
    assert sql.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_wherever_a_filter_is(sql: apsw.Connection) -> None:
    """While its names are looked up, too, which SQLite does in a few hundred steps."""
    sql.execute("CREATE TABLE chosen AS SELECT 7 AS id")
    query = "SELECT id FROM t WHERE filter = 'abs(id) IN (SELECT id FROM chosen)'"
    assert sql.execute(query).get == 7
    ended = 0
    for number in range(1, 400):
        left = iter(range(number))
        sql.set_progress_handler(lambda left=left: next(left, None) is None, 40)
        try:
            assert sql.execute(query).get == 7
            break
        except apsw.InterruptError:
            ended += 1
    assert ended > 20


@pytest.mark.parametrize("statement", [READ[0], WRITE[0]])
def test_an_interrupt_ends_it(sql: apsw.Connection, statement: str) -> None:
    calls: list[int] = []

    def interrupt() -> bool:
        calls.append(1)
        sql.interrupt()
        return False

    sql.set_progress_handler(interrupt, STEPS)
    with pytest.raises(apsw.InterruptError):
        sql.execute(statement).fetchall()
    assert calls
    sql.set_progress_handler(None)
    assert sql.execute("SELECT count(*) FROM t").fetchall() == [(COUNT,)]


@pytest.mark.parametrize("statement", [READ[0], READ[2], WRITE[0]])
def test_a_handler_that_lets_it_go_on(sql: apsw.Connection, statement: str) -> None:
    expected = sql.execute(statement).fetchall()
    calls: list[int] = []
    sql.set_progress_handler(lambda: bool(calls.append(1)), STEPS)
    assert sql.execute(statement).fetchall() == expected
    assert calls


@pytest.mark.parametrize("statement", [READ[0], WRITE[0]])
def test_an_exception_of_the_handler(sql: apsw.Connection, statement: str) -> None:
    """Ctrl-C is one where Python runs: it comes up wherever Python is."""

    def stop() -> bool:
        raise KeyboardInterrupt

    sql.set_progress_handler(stop, STEPS)
    with pytest.raises(KeyboardInterrupt):
        sql.execute(statement).fetchall()
    sql.set_progress_handler(None)
    assert sql.execute("SELECT count(*), max(version) FROM t").fetchall() == [(COUNT, 3)]


def test_waiting_for_another_writer(sql: apsw.Connection, tmp_path: Path) -> None:
    with Table(tmp_path / "t.flac") as other:
        other.begin()
        sql.set_progress_handler(lambda: True, STEPS)
        with pytest.raises(apsw.InterruptError):
            sql.execute("DELETE FROM t WHERE id = 1")
        other.rollback()
    sql.set_progress_handler(None)
    sql.execute("DELETE FROM t WHERE id = 1")


def test_a_commit_that_is_interrupted(sql: apsw.Connection) -> None:
    """The vectors of a transaction are made when it ends."""
    sql.execute("BEGIN")
    sql.execute("INSERT INTO t(body) VALUES (hex(randomblob(8))), (hex(randomblob(8)))")
    sql.set_progress_handler(lambda: True, STEPS)
    with pytest.raises(apsw.InterruptError):
        sql.execute("COMMIT")
    sql.set_progress_handler(None)
    assert sql.execute("SELECT count(*) FROM t WHERE id >= 0").fetchall() in ([(COUNT,)], [(COUNT + 2,)])
    if sql.in_transaction:
        sql.execute("ROLLBACK")
    assert sql.execute("SELECT count(*) FROM t").fetchall() == [(COUNT,)]


def test_pythons_own_sqlite(made: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "INTERVAL", 0)
    (tmp_path / "t.flac").write_bytes(made)
    connection = sqlite3.connect(":memory:")
    if not hasattr(connection, "enable_load_extension"):
        import pysqlite3

        connection = pysqlite3.connect(":memory:")
    am.load(connection)
    connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}')")
    stop: Callable[[], int] = lambda: 1  # noqa: E731
    for statement in (READ[0], READ[2], WRITE[0]):
        connection.set_progress_handler(stop, STEPS)
        with pytest.raises(Exception, match="interrupted"):
            connection.execute(statement).fetchall()
        connection.set_progress_handler(None, STEPS)
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(COUNT,)]
    connection.close()


def test_nobody_is_asked_outside_a_statement(sql: apsw.Connection, tmp_path: Path) -> None:
    sql.set_progress_handler(lambda: True, STEPS)
    with pytest.raises(apsw.InterruptError):
        sql.execute(READ[0]).fetchall()
    with Table(tmp_path / "t.flac") as table:
        assert table.search("word7", k=3).num_rows == 3
        assert table.to_arrow(["id"], "body LIKE '%nothing%'").num_rows == 0
