"""Versions in SQL: time travel, table functions, commands, and what they refuse."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from samples import MODULATIONS

from audiomem_sql.columns.timestamps import render
from audiomem_sql.connections import register
from audiomem_sql.errors import (
    AudioMemError,
    DataTypeError,
    OptionError,
    QueryError,
    StorageError,
    UnsupportedError,
)
from audiomem_sql.scan.plan import parse_plan
from audiomem_sql.storage.log.content import LOG_HEADER, LogContent
from audiomem_sql.storage.log.record import LogRecord
from audiomem_sql.storage.log.writer import LogWriter
from audiomem_sql.table.table import Table
from audiomem_sql.versions import snapshot
from audiomem_sql.vtab.apsw import table as sqlite
from audiomem_sql.vtab.apsw.table import Module

ROWS = {
    2: [(1, "one"), (2, "two")],
    3: [(1, "one"), (2, "zwei")],
    4: [(2, "zwei"), (7, "seven")],
    5: [(2, "zwei"), (7, "seven")],
}


@pytest.fixture
def module(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Module]:
    """The module, on a connection to a database in the test's folder."""
    options = MODULATIONS[getattr(request, "param", "pcm")]
    sound = "".join(f", {name}={value}" for name, value in options.items())
    connection = apsw.Connection(str(tmp_path / "t.sqlite"))
    module = sqlite.register(connection)
    sqlite.register_functions(connection, module)
    connection.execute(
        f"CREATE VIRTUAL TABLE t USING audiomem('t.flac', id INTEGER PRIMARY KEY, name TEXT UNIQUE{sound})"
    )
    yield module
    connection.close()


@pytest.fixture
def table(module: Module) -> Table:
    """Table t: version 1 is empty, 2 to 4 change rows, 5 holds the tag ``half`` of version 3.

    All are in the log.
    """
    sql = module.find("t").connection
    sql.execute("INSERT INTO t VALUES (1, 'one'), (2, 'two')")
    sql.execute("UPDATE t SET name = 'zwei' WHERE id = 2")
    sql.execute("BEGIN; DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (7, 'seven'); COMMIT")
    table = module.find("t").table
    table.tag("half", 3)
    return table


@pytest.fixture
def sql(module: Module, table: Table) -> apsw.Connection:
    """The connection with that table."""
    return module.find("t").connection


#: Where the commits are: in the log, in deltas, in one delta, in the base.
PLACES: dict[str, list[str]] = {
    "log": [],
    "delta": ["checkpoint"],
    "merged": ["checkpoint", "INSERT", "checkpoint", "INSERT", "merge"],
    "base": ["vacuum"],
}


def settle(sql: apsw.Connection, place: str) -> None:
    for step in PLACES[place]:
        if step == "INSERT":
            sql.execute("INSERT INTO t(name) VALUES (hex(randomblob(8)))")
        else:
            sql.execute("INSERT INTO t(t) VALUES (?)", (step,))


def rows(sql: apsw.Connection, where: str, *bindings: Any) -> list[Any]:
    return sql.execute(f"SELECT id, name FROM t WHERE {where} ORDER BY id", bindings).fetchall()


@pytest.mark.parametrize("module", MODULATIONS, indirect=True)
@pytest.mark.parametrize("place", PLACES)
def test_time_travel(sql: apsw.Connection, tmp_path: Path, place: str) -> None:
    settle(sql, place)
    assert rows(sql, "version = 1") == []
    for version, expected in ROWS.items():
        assert rows(sql, f"version = {version}") == expected
        assert rows(sql, "version = ?", version) == expected
        assert rows(sql, "version = ?", float(version)) == expected
        assert rows(sql, "version = ?", str(version)) == expected
        assert rows(sql, "version = ? AND id = 2", version) == [row for row in expected if row[0] == 2]
        assert rows(sql, "version = ? AND name = 'zwei'", version) == [
            row for row in expected if row[1] == "zwei"
        ]
        assert rows(sql, "version = ? AND name LIKE '%e%' AND id < 7", version) == [
            row for row in expected if "e" in row[1] and row[0] < 7
        ]
        assert sql.execute("SELECT count(*) FROM t WHERE version = ?", (version,)).get == len(expected)
        assert sql.execute(
            "SELECT id FROM t WHERE version = ? ORDER BY id DESC LIMIT 1 OFFSET 1", (version,)
        ).fetchall() == [(expected[0][0],)]
    assert rows(sql, "version = 'half'") == ROWS[3]
    times = dict(sql.execute("SELECT snapshot_id, snapshot_time FROM audiomem_snapshots('t')").fetchall())
    for version in (2, 3, 4):
        assert rows(sql, "as_of = ?", times[version]) == ROWS[version]
    assert rows(sql, "as_of = '9999-12-31'") == rows(sql, "true")
    assert rows(sql, "version = NULL") == rows(sql, "as_of = NULL") == []
    assert sql.execute("SELECT DISTINCT version, as_of FROM t").fetchall() == [(max(times), None)]
    assert sql.execute("SELECT version FROM t WHERE version = 'half' AND id = 1").get == "half"


def test_several_versions_in_one_query(sql: apsw.Connection) -> None:
    both = """SELECT old.id, old.name, new.name FROM t old LEFT JOIN t new ON new.id = old.id AND new.version = 4
        WHERE old.version = 'half' ORDER BY old.id"""
    assert sql.execute(both).fetchall() == [(1, "one", None), (2, "zwei", "zwei")]
    lost = "SELECT name FROM t WHERE version = 2 EXCEPT SELECT name FROM t WHERE version = 4 ORDER BY 1"
    assert sql.execute(lost).fetchall() == [("one",), ("two",)]
    counts = """SELECT snapshot_id, (SELECT count(*) FROM t WHERE version = snapshot_id), count(t.id)
        FROM audiomem_snapshots('t') LEFT JOIN t ON t.version = snapshot_id GROUP BY 1"""
    assert sql.execute(counts).fetchall() == [(1, 0, 0), *((n, 2, 2) for n in (2, 3, 4, 5))]
    for either in ("version IN (2, 4)", "version = 2 OR version = 4"):
        assert sql.execute(f"SELECT version, id FROM t WHERE {either} ORDER BY 1, 2").fetchall() == [
            (2, 1), (2, 2), (4, 2), (4, 7),
        ]  # fmt: skip
    assert sql.execute("SELECT id FROM t WHERE version IN (2, 4) AND version = 4").fetchall() == [(2,), (7,)]
    assert sql.execute(
        "SELECT a.id FROM t a JOIN t b USING (id, version) WHERE a.version = 3"
    ).fetchall() == [(1,), (2,)]


def test_a_join_makes_each_version_once(sql: apsw.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    real = snapshot.replay
    monkeypatch.setattr(
        snapshot, "replay", lambda commits, version: made.append(version) or real(commits, version)
    )
    sql.execute("SELECT * FROM t a JOIN t b ON b.id = a.id WHERE a.version = 3 AND b.version = 2").fetchall()
    assert sorted(made) == [2, 3]


def test_the_plan_names_the_version(sql: apsw.Connection, table: Table) -> None:
    query = "EXPLAIN QUERY PLAN SELECT name FROM t WHERE id > 1 AND {} ORDER BY id LIMIT 3 OFFSET 1"
    for condition, words in (("version = 3", "VERSION ?3"), ("as_of = '2026-01-01'", "AS OF ?3")):
        plan = sql.execute(query.format(condition)).fetchall()[0][3]
        text = plan.partition(":")[2]
        assert text == f"WHERE rowid > ?1 READ id, name ORDER rowid OFFSET ?2 {words}"
        assert parse_plan(text, table.schema).text(table.schema) == text


@pytest.mark.parametrize(
    ("where", "error", "words"),
    [
        ("version = 99", QueryError, "version 99 is not kept. Versions 1 to 5 are kept; tags: half (3)."),
        ("version = 0", QueryError, "version 0 is not kept. Versions 1 to 5"),
        ("version = -3", QueryError, "version -3 is not kept."),
        ("version = 'whole'", QueryError, "there is no tag 'whole'. Versions 1 to 5 are kept; tags: half (3)."),
        ("version = '²'", QueryError, "there is no tag"),
        ("version = ''", QueryError, "there is no tag"),
        ("version = 2.5", QueryError, "2.5 is no version"),
        ("version = x'02'", QueryError, "is no version"),
        ("version > 2", UnsupportedError, "version = 3"),
        ("version IS NULL", UnsupportedError, "version = 3"),
        ("version = 2 AND as_of = '2026-01-01'", UnsupportedError, "exclude each other"),
        ("as_of = '1999-12-31 23:59:59'", QueryError, "after 1999-12-31 23:59:59. Versions 1 to 5 are kept; tags: half (3)."),
        ("as_of = 'yesterday'", DataTypeError, "'yesterday' is no timestamp"),
        ("as_of = 20260101", DataTypeError, "is no timestamp"),
        ("k = 3", QueryError, "there is no MATCH. Add one, or use LIMIT."),
        ("k < 3", UnsupportedError, "hidden column k is not understood. Write k = 10, beside a MATCH."),
    ],
)  # fmt: skip
def test_versions_that_are_not_there(
    sql: apsw.Connection, where: str, error: type[AudioMemError], words: str
) -> None:
    with pytest.raises(error) as caught:
        rows(sql, where)
    assert words in str(caught.value)


def test_a_version_that_was_vacuumed_away(sql: apsw.Connection) -> None:
    sql.execute("INSERT INTO t(t, rank) VALUES ('vacuum', 1)")
    with pytest.raises(
        QueryError, match=r"t\.flac: version 2 is not kept\. Versions 3 to 5 are kept; tags: half \(3\)"
    ):
        rows(sql, "version = 2")
    assert rows(sql, "version = 'half'") == ROWS[3]
    assert rows(sql, "version = 4") == ROWS[4]


# -- table functions
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULATIONS, indirect=True)
@pytest.mark.parametrize("place", PLACES)
def test_snapshots_and_changes(sql: apsw.Connection, place: str) -> None:
    settle(sql, place)
    found = sql.execute(
        "SELECT snapshot_id, inserted, deleted, tag, commit_message FROM audiomem_snapshots('t') LIMIT 5"
    )
    assert found.fetchall() == [
        (1, 0, 0, None, None), (2, 2, 0, None, None), (3, 1, 1, "half", None), (4, 1, 1, None, None),
        (5, 0, 0, None, "tag half"),
    ]  # fmt: skip
    changes = "SELECT snapshot_id, row_id, change_type, row ->> 'name' FROM audiomem_changes('t', ?, ?)"
    expected = [
        (2, 1, "insert", "one"), (2, 2, "insert", "two"),
        (3, 2, "update_preimage", "two"), (3, 2, "update_postimage", "zwei"),
        (4, 1, "delete", "one"), (4, 7, "insert", "seven"),
    ]  # fmt: skip
    assert sql.execute(changes, (1, 5)).fetchall() == expected
    assert sql.execute(changes, (3, 3)).fetchall() == expected[2:4]
    assert sql.execute(changes, ("half", 5)).fetchall() == expected[2:]
    assert sql.execute(changes, (4, 3)).fetchall() == []
    assert sql.execute("SELECT count(*) FROM audiomem_changes('t', 4) WHERE snapshot_id = 4").get == 2


def test_changes_hold_every_type(sql: apsw.Connection) -> None:
    sql.execute(
        "CREATE VIRTUAL TABLE u USING audiomem('u.flac', x REAL, raw BLOB, ok BOOLEAN, seen TIMESTAMP, vec FLOAT[1])"
    )
    sql.execute(
        "INSERT INTO u VALUES (9e999, x'00ff', 1, '2024-03-01', x'0000803f'), (NULL, NULL, NULL, NULL, NULL)"
    )
    found = [row[0] for row in sql.execute("SELECT row FROM audiomem_changes('u', 2)")]
    assert json.loads(found[0]) == {
        "x": float("inf"), "raw": "00ff", "ok": 1, "seen": "2024-03-01 00:00:00", "vec": "0000803f",
    }  # fmt: skip
    assert set(json.loads(found[1]).values()) == {None}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("audiomem_changes('t', 2, 99)", "version 99 is not kept. Versions 1 to 5"),
        ("audiomem_changes('t', 0, 2)", "version 0 is not kept"),
        ("audiomem_changes('t', 'whole')", "there is no tag 'whole'"),
        ("audiomem_changes('t', NULL, 2)", "None is no version"),
        ("audiomem_changes('t')", "None is no version"),
        ("audiomem_changes('t', x'00', 2)", "is no version"),
        ("audiomem_changes('u', 1, 2)", "there is no audiomem table u. Tables in use: t."),
        ("audiomem_snapshots('u')", "there is no audiomem table u"),
        ("audiomem_snapshots(17)", "17 is no table"),
        ("audiomem_snapshots(NULL)", "None is no table"),
        ("audiomem_snapshots", "None is no table"),
        ("audiomem_verify", "None is no table"),
    ],
)
def test_table_functions_refuse(sql: apsw.Connection, call: str, words: str) -> None:
    with pytest.raises(QueryError) as caught:
        sql.execute(f"SELECT * FROM {call}").fetchall()
    assert words in str(caught.value)


def test_a_database_that_was_opened_again_knows_its_tables(sql: apsw.Connection, tmp_path: Path) -> None:
    sql.close()
    again = apsw.Connection(str(tmp_path / "t.sqlite"))
    register(again)
    assert again.execute("SELECT count(*) FROM audiomem_snapshots('t')").get == 5
    again.close()


def test_functions_see_commits_of_others_and_running_statements_do_not(
    sql: apsw.Connection, tmp_path: Path
) -> None:
    running = sql.execute("SELECT id, (SELECT count(*) FROM audiomem_snapshots('t')) FROM t")
    assert running.fetchone() == (2, 5)
    with Table(tmp_path / "t.flac") as other:
        other.append([{"id": 8, "name": "eight"}])
    assert running.fetchall() == [(7, 5)]
    assert sql.execute("SELECT count(*) FROM audiomem_snapshots('t')").get == 6


# -- commands
# ---------------------------------------------------------------------------------------------------------


def test_commands(sql: apsw.Connection, tmp_path: Path) -> None:
    before = [sql.execute("SELECT * FROM t WHERE version = ?", (n,)).fetchall() for n in range(1, 6)]
    sql.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    assert not (tmp_path / "t.flac-wal").exists()
    sql.execute("INSERT INTO t(name) VALUES ('new')")
    sql.execute("INSERT INTO t(t, rank) VALUES ('tag', 'with new')")
    sql.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    sql.execute("INSERT INTO t(name) VALUES ('newer')")
    sql.execute("INSERT INTO t(t) VALUES ('merge')")
    assert len(os.listdir(tmp_path / "t.flac.d")) == 1
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
@pytest.mark.parametrize("large", [False, True], ids=["log", "delta"])
def test_a_commit_that_one_table_refuses_is_taken_back_in_the_other(
    sql: apsw.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, large: bool
) -> None:
    sql.execute("CREATE VIRTUAL TABLE u USING audiomem('u.flac', id INTEGER PRIMARY KEY, name TEXT)")
    sql.execute("INSERT INTO u VALUES (1, 'one')")
    append = LogWriter.append

    def refuse(self: LogWriter, content: LogContent | None, record: LogRecord, after: int) -> LogContent:
        if os.path.basename(self.path) == failing + "-wal":
            raise StorageError("no space left", file=self.path)
        return append(self, content, record, after)

    big = "hex(zeroblob(200000))" if large else "'big'"
    other = "u" if failing == "t.flac" else "t"
    with monkeypatch.context() as patched:
        patched.setattr(LogWriter, "append", refuse)
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
