"""Versions in SQL: time travel, and the table functions that list versions and changes."""

from __future__ import annotations

import json
from pathlib import Path

import apsw
import pytest
from samples import MODULATIONS

from audiomem_sql.connections import register
from audiomem_sql.errors import (
    AudioMemError,
    DataTypeError,
    QueryError,
    UnsupportedError,
)
from audiomem_sql.scan.plan import parse_plan
from audiomem_sql.table.table import Table
from audiomem_sql.versions import snapshot

from .versioned import PLACES, ROWS, rows, settle


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
    for condition, words in (
        ("version = 3", "VERSION ?3"),
        ("version IS 3", "VERSION ?3"),
        ("as_of = '2026-01-01'", "AS OF ?3"),
        ("as_of IS '2026-01-01'", "AS OF IS ?3"),
    ):
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
        ("version IS 99", QueryError, "version 99 is not kept."),
        ("version = 2 AND as_of = '2026-01-01'", UnsupportedError, "exclude each other"),
        ("as_of = '1999-12-31 23:59:59'", QueryError, "after 1999-12-31 23:59:59. Versions 1 to 5 are kept; tags: half (3)."),
        ("as_of = 'yesterday'", DataTypeError, "'yesterday' is no timestamp"),
        ("as_of = 20260101", DataTypeError, "is no timestamp"),
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
