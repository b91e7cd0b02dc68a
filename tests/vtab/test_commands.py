"""Commands, and transactions around versions: what they do, and what they refuse."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest

from audiomem_sql.columns.timestamps import render
from audiomem_sql.errors import (
    OptionError,
    QueryError,
    StorageError,
    UnsupportedError,
)
from audiomem_sql.storage.log.content import LOG_HEADER, LogContent
from audiomem_sql.storage.log.record import LogRecord
from audiomem_sql.storage.log.writer import LogWriter
from audiomem_sql.table.table import Table

from .versioned import ROWS, rows


def test_commands(sql: apsw.Connection, tmp_path: Path) -> None:
    before = [sql.execute("SELECT * FROM t WHERE version = ?", (n,)).fetchall() for n in range(1, 6)]
    sql.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    assert not (tmp_path / "t.flac-wal").exists()
    sql.execute("INSERT INTO t(name) VALUES ('new')")
    sql.execute("INSERT INTO t(t, rank) VALUES ('tag', 'with new')")
    sql.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    sql.execute("INSERT INTO t(name) VALUES ('newer')")
    sql.execute("INSERT INTO t(t) VALUES ('merge')")
    assert sorted(os.listdir(tmp_path)) == ["t.flac", "t.sqlite"]
    with Table(tmp_path / "t.flac") as seen:
        assert [segment.catalog.last_version for segment in seen.snapshot.segments] == [8]
    sql.execute("INSERT INTO t(t, rank) VALUES ('restore', 'half')")
    assert rows(sql, "true") == ROWS[3]
    assert (
        sql.execute("SELECT commit_message FROM audiomem_snapshots('t') WHERE snapshot_id = 9").get
        == "restore version 3"
    )
    sql.execute("INSERT INTO t(t, rank) VALUES ('restore', 4)")
    assert rows(sql, "true") == ROWS[4]
    sql.execute("INSERT INTO t(t, rank) VALUES ('vacuum', '30d')")
    assert sorted(os.listdir(tmp_path)) == ["t.flac", "t.sqlite"]
    assert before == [sql.execute("SELECT * FROM t WHERE version = ?", (n,)).fetchall() for n in range(1, 6)]
    assert [row[1] for row in rows(sql, "version = 'with new'")] == ["zwei", "seven", "new"]
    sql.execute("INSERT INTO t(t, rank) VALUES ('vacuum', 2)")
    assert sql.execute("SELECT min(snapshot_id) FROM audiomem_snapshots('t')").get == 3  # it is tagged
    assert sql.execute("PRAGMA integrity_check").get == "ok"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            "(t) VALUES ('dance')",
            "there is no command 'dance' with the argument None. Commands are vacuum, merge",
        ),
        ("(t) VALUES ('')", "there is no command ''"),
        ("(t) VALUES (17)", "there is no command 17"),
        ("(t) VALUES (x'00')", "there is no command"),
        ("(t, rank) VALUES ('merge', 'all')", "there is no command 'merge' with the argument 'all'"),
        ("(t, rank) VALUES ('checkpoint', 1)", "there is no command 'checkpoint'"),
        ("(t) VALUES ('tag')", "there is no command 'tag' with the argument None"),
        ("(t, rank) VALUES ('tag', 7)", "there is no command 'tag' with the argument 7"),
        ("(t, rank) VALUES ('tag', '7')", "'7' is no name for a version"),
        ("(t, rank) VALUES ('tag', '')", "'' is no name for a version"),
        ("(t) VALUES ('restore')", "there is no command 'restore'"),
        ("(t, rank) VALUES ('restore', 1.5)", "there is no command 'restore'"),
        ("(t, rank) VALUES ('restore', 99)", "version 99 is not kept. Versions 1 to 5"),
        ("(t, rank) VALUES ('restore', 'whole')", "there is no tag 'whole'"),
        ("(t, rank) VALUES ('vacuum', 'often')", "'often' says nothing about versions"),
        ("(t, rank) VALUES ('vacuum', -1)", "'-1' says nothing about versions"),
        ("(t, rank) VALUES ('vacuum', 0)", "keeps at least the newest version"),
        ("(t, rank, version) VALUES ('tag', 'x', 2)", "there is no command 'tag'"),
        ("(id, rank) VALUES (9, 'x')", "a hidden column cannot be written to"),
        ("(id, version) VALUES (9, 2)", "a hidden column cannot be written to"),
    ],
)
def test_what_is_no_command(sql: apsw.Connection, values: str, words: str) -> None:
    for verb in ("INSERT", "INSERT OR REPLACE"):
        with pytest.raises((OptionError, QueryError)) as caught:
            sql.execute(f"{verb} INTO t{values}")
        assert words in str(caught.value)
    assert rows(sql, "true") == ROWS[5]
    assert sql.execute("SELECT max(snapshot_id) FROM audiomem_snapshots('t')").get == 5
    sql.execute("INSERT INTO t VALUES (8, 'eight')")
    assert len(rows(sql, "true")) == 3


def test_a_command_wants_a_transaction_without_changes(sql: apsw.Connection) -> None:
    sql.execute("BEGIN; INSERT INTO t VALUES (8, 'eight')")
    for command in ("vacuum", "merge", "checkpoint"):
        with pytest.raises(OptionError, match="a command needs a transaction of its own"):
            sql.execute("INSERT INTO t(t) VALUES (?)", (command,))
    sql.execute("COMMIT")
    assert rows(sql, "id = 8") == [(8, "eight")]
    sql.execute("BEGIN; INSERT INTO t(t) VALUES ('checkpoint'); INSERT INTO t VALUES (9, 'nine'); COMMIT")
    assert rows(sql, "id > 7") == [(8, "eight"), (9, "nine")]
    sql.execute(
        "BEGIN; INSERT INTO t(t, rank) VALUES ('tag', 'nine'); INSERT INTO t VALUES (10, 'ten'); ROLLBACK"
    )
    assert rows(sql, "id > 8") == rows(sql, "version = 'nine' AND id > 8") == [(9, "nine")]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE t SET name = 'x' WHERE version = 2 AND id = 2",
        "UPDATE t SET name = 'x' WHERE as_of = '9999-01-01' AND id = 2",
        "UPDATE t SET version = 2",
        "UPDATE t SET rank = 'x' WHERE id = 2",
        "UPDATE t SET t = 'vacuum'",
    ],
)
def test_an_old_version_cannot_be_changed(sql: apsw.Connection, statement: str) -> None:
    with pytest.raises(UnsupportedError, match="UPDATE changes the newest version only"):
        sql.execute(statement)
    assert rows(sql, "true") == ROWS[5]
    sql.execute("UPDATE t SET name = 'x' WHERE version = 5 AND id = 2")
    assert rows(sql, "id = 2") == [(2, "x")]


# -- transactions
# -----------------------------------------------------------------------------------------------------


def test_versions_inside_a_transaction_are_committed_ones(sql: apsw.Connection) -> None:
    sql.execute(
        "BEGIN; INSERT INTO t VALUES (8, 'eight'); DELETE FROM t WHERE id = 2; UPDATE t SET name = 'x' WHERE id = 7"
    )
    assert rows(sql, "true") == [(7, "x"), (8, "eight")]
    for version, expected in ROWS.items():
        assert rows(sql, "version = ?", version) == expected
    compared = "SELECT old.id, new.name FROM t old LEFT JOIN t new ON new.id = old.id WHERE old.version = 5 ORDER BY 1"
    assert sql.execute(compared).fetchall() == [(2, None), (7, "x")]
    with pytest.raises(QueryError, match="version 6 is not kept"):
        rows(sql, "version = 6")
    sql.execute("ROLLBACK")
    assert rows(sql, "true") == ROWS[5]


def test_savepoints_over_rows_of_the_log(sql: apsw.Connection) -> None:
    sql.execute("INSERT INTO t VALUES (20, 'logged'), (21, 'logged too')")
    before = rows(sql, "true")
    sql.execute("BEGIN; DELETE FROM t WHERE id = 20; SAVEPOINT a; UPDATE t SET name = 'again' WHERE id = 21")
    sql.execute("INSERT INTO t VALUES (20, 'logged too'); SAVEPOINT b; DELETE FROM t")
    assert rows(sql, "true") == []
    sql.execute("ROLLBACK TO b")
    assert rows(sql, "id >= 20") == [(20, "logged too"), (21, "again")]
    sql.execute("ROLLBACK TO a")
    assert rows(sql, "id >= 20") == rows(sql, "name LIKE 'logged%'") == [(21, "logged too")]
    with pytest.raises(apsw.ConstraintError):
        sql.execute("INSERT INTO t VALUES (22, 'logged too')")
    sql.execute("INSERT INTO t VALUES (22, 'logged')")
    sql.execute("ROLLBACK")
    assert rows(sql, "true") == before
    assert rows(sql, "name = 'logged'") == [(20, "logged")]


def test_many_new_rows_beside_rows_of_the_log(sql: apsw.Connection) -> None:
    """A lookup by a column that is no key finds each row once, wherever it is."""
    sql.execute("CREATE VIRTUAL TABLE u USING audiomem('u.flac', word TEXT)")
    sql.execute("INSERT INTO u VALUES ('a'), ('b'), ('a')")
    sql.execute("BEGIN")
    sql.executemany("INSERT INTO u VALUES (?)", [("ab"[n % 2],) for n in range(100)])
    assert sql.execute("SELECT count(*), count(DISTINCT rowid) FROM u WHERE word = 'a'").fetchall() == [
        (52, 52)
    ]
    sql.execute("DELETE FROM u WHERE rowid = 1")
    assert sql.execute("SELECT count(*) FROM u WHERE word = 'a'").get == 51
    sql.execute("COMMIT")
    assert sql.execute("SELECT count(*) FROM u WHERE word = 'a'").get == 51


@pytest.mark.parametrize("failing", ["t.flac", "u.flac"])
@pytest.mark.parametrize("large", [False, True], ids=["log", "segment"])
def test_a_commit_that_one_table_refuses_is_taken_back_in_the_other(
    sql: apsw.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, large: bool
) -> None:
    sql.execute("CREATE VIRTUAL TABLE u USING audiomem('u.flac', id INTEGER PRIMARY KEY, name TEXT)")
    sql.execute("INSERT INTO u VALUES (1, 'one')")
    append = LogWriter.append_group

    def refuse(
        self: LogWriter, content: LogContent, commits: Sequence[LogRecord], *, accepted: bool = True
    ) -> LogContent:
        if os.path.basename(self.path) == failing + "-wal":
            raise StorageError("no space left", file=self.path)
        return append(self, content, commits, accepted=accepted)

    big = "hex(zeroblob(200000))" if large else "'big'"
    other = "u" if failing == "t.flac" else "t"
    with monkeypatch.context() as patched:
        patched.setattr(LogWriter, "append_group", refuse)
        small = failing.partition(".")[0]
        sql.execute(
            f"BEGIN; INSERT INTO {other} VALUES (50, {big}); INSERT INTO {small} VALUES (50, 'fifty')"
        )
        with pytest.raises(StorageError, match="no space left"):
            sql.execute("COMMIT")
        if sql.in_transaction:
            sql.execute("ROLLBACK")
    for name in ("t", "u"):
        assert sql.execute(f"SELECT count(*) FROM {name} WHERE id = 50").get == 0
        with Table(tmp_path / f"{name}.flac") as seen:
            assert seen.get(50) is None
            assert seen.version == {"t": 5, "u": 2}[name]
    sql.execute("BEGIN; INSERT INTO t VALUES (51, 'x'); INSERT INTO u VALUES (51, 'x'); COMMIT")
    for name in ("t", "u"):
        with Table(tmp_path / f"{name}.flac") as seen:
            assert seen.version == {"t": 6, "u": 3}[name]
    assert sql.execute("PRAGMA integrity_check").get == "ok"


# -- the log
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["DROP TABLE t", "close"])
def test_dropping_and_closing_leave_no_log(sql: apsw.Connection, tmp_path: Path, end: str) -> None:
    assert (tmp_path / "t.flac-wal").stat().st_size > LOG_HEADER.size
    if end == "close":
        sql.close()
    else:
        sql.execute(end)
    assert not (tmp_path / "t.flac-wal").exists()
    with Table(tmp_path / "t.flac") as table:
        assert [tuple(row.values()) for row in table.to_arrow().to_pylist()] == ROWS[5]
        assert [version.number for version in table.versions] == [1, 2, 3, 4, 5]


@pytest.mark.damages
def test_a_torn_end_of_the_log_is_told(sql: apsw.Connection, tmp_path: Path) -> None:
    log = tmp_path / "t.flac-wal"
    data = bytearray(log.read_bytes())
    end = len(bytes(data).rstrip(b"\0"))
    data[end + 20 : end + 24] = b"torn"
    log.write_bytes(data)
    told = f"{log}: byte "
    (row,) = sql.execute("SELECT file, page, problem FROM audiomem_verify('t')").fetchall()
    assert row[:2] == (str(log), None)
    assert "behind version 5" in row[2]
    assert told in sql.execute("PRAGMA integrity_check").get
    assert rows(sql, "true") == ROWS[5]
    sql.execute("INSERT INTO t VALUES (8, 'eight')")
    assert sql.execute("PRAGMA integrity_check").get == "ok"
    assert rows(sql, "id = 8") == [(8, "eight")]


def test_times_are_as_they_are_shown(sql: apsw.Connection, table: Table) -> None:
    shown = [row[0] for row in sql.execute("SELECT snapshot_time FROM audiomem_snapshots('t')")]
    assert shown == [render(version.time) for version in table.versions]
