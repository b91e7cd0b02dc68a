"""MATCH in SQL: conditions come before the ranking, rows come nearest first, and LIMIT ends it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from samples import MODULATIONS

from audiomem_sql.connections import register
from audiomem_sql.errors import AudioMemError, DataTypeError, QueryError

ROWS = [
    (1, "how do I reset a password", 2020, (1, 0, 0)),
    (2, "cats and dogs", 2021, (0, 1, 0)),
    (3, None, 2022, None),
    (4, "reset my password please", 2022, (1, 1, 0)),
    (5, "dogs chase cats", 2023, (0, 0, 1)),
]


@pytest.fixture(params=MODULATIONS)
def sql(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(tmp_path / "t.sqlite"))
    register(connection)
    sound = "".join(f", {name}={value}" for name, value in MODULATIONS[request.param].items())
    connection.execute(
        "CREATE VIRTUAL TABLE t USING audiomem('t.flac', id INTEGER PRIMARY KEY, body TEXT SEMANTIC, year INTEGER, "
        f"vec FLOAT[3], model=hashing, profile=embedded{sound})"
    )
    connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", map(bound, ROWS))
    yield connection
    connection.close()


def bound(row: tuple[int, str | None, int, tuple[float, ...] | None]) -> tuple[object, ...]:
    return (*row[:3], None if row[3] is None else struct.pack("<3f", *row[3]))


def ids(sql: apsw.Connection, query: str, *bindings: object) -> list[int]:
    return [row[0] for row in sql.execute(query, bindings)]


def test_nearest_first(sql: apsw.Connection) -> None:
    assert ids(sql, "SELECT id FROM t WHERE t MATCH 'reset password' LIMIT 2") == [4, 1]
    assert ids(sql, "SELECT id FROM t WHERE body MATCH 'dogs and cats' AND k = 2") == [2, 5]
    rows = sql.execute("SELECT id, distance, rank FROM t WHERE t MATCH 'cats and dogs'").fetchall()
    assert rows[0][:1] == (2,)
    assert abs(rows[0][1]) < 1e-6
    assert [row[1] for row in rows] == sorted(row[1] for row in rows) == [row[2] for row in rows]
    assert {row[0] for row in rows} == {1, 2, 4, 5}  # a row without a text is not found


def test_conditions_come_first(sql: apsw.Connection) -> None:
    for condition, expected in (
        ("year > 2021", {4, 5}), ("year IN (2020, 2021)", {1, 2}), ("id BETWEEN 2 AND 4", {2, 4}),
        ("body LIKE '%dogs%'", {2, 5}), ("vec IS NULL", set()), ("id = 5", {5}), ("year % 2 = 1", {2, 5}),
        ("length(body) > 20", {1, 4}), ("year = 2020 OR id = 5", {1, 5}),
    ):  # fmt: skip
        for ending in ("", " ORDER BY distance", " ORDER BY distance LIMIT 3", " ORDER BY id DESC"):
            found = ids(sql, f"SELECT id FROM t WHERE t MATCH 'password' AND ({condition}){ending}")
            assert set(found) == expected, condition + ending
    assert ids(sql, "SELECT id FROM t WHERE t MATCH 'password' AND year % 2 = 1 LIMIT 1") in ([2], [5])


def test_vectors_of_the_user(sql: apsw.Connection) -> None:
    assert ids(sql, "SELECT id FROM t WHERE vec MATCH '[1, 0.1, 0]'") == [1, 4, 2, 5]
    assert ids(sql, "SELECT id FROM t WHERE vec MATCH ? LIMIT 1", struct.pack("<3f", 0, 0, 2)) == [5]
    ((distance,),) = sql.execute("SELECT distance FROM t WHERE vec MATCH '[2, 2, 0]' AND id = 1").fetchall()
    assert abs(distance - (1 - 0.5**0.5)) < 1e-6
    query = sql.execute("SELECT embed('cats and dogs', 'hashing')").fetchone()
    assert query is not None
    assert ids(sql, "SELECT id FROM t WHERE t MATCH ? LIMIT 1", query[0]) == [2]


def test_the_plan(sql: apsw.Connection) -> None:
    def plan(query: str) -> list[str]:
        return [str(row[3]) for row in sql.execute("EXPLAIN QUERY PLAN " + query)]

    assert plan("SELECT id FROM t WHERE t MATCH 'a' AND year = 5 AND k = 3 ORDER BY distance") == [
        "SCAN t VIRTUAL TABLE INDEX 1:WHERE year = ?1 READ id, year MATCH * ?2 K ?3 BEFORE OTHER CONDITIONS"
    ]
    assert plan("SELECT id FROM t WHERE vec MATCH '[1,2,3]' ORDER BY distance DESC")[1:] == [
        "USE TEMP B-TREE FOR ORDER BY"
    ]


def test_joins_and_subqueries(sql: apsw.Connection) -> None:
    pairs = "SELECT a.id, b.id FROM t a JOIN t b ON b.t MATCH a.body AND b.k = 2 WHERE a.id IN (2, 4)"
    assert sorted(sql.execute(pairs.replace("b.t MATCH", "b.body MATCH"))) == [(2, 2), (2, 5), (4, 1), (4, 4)]
    nearest = (
        "SELECT (SELECT group_concat(id) FROM (SELECT id FROM t WHERE body MATCH o.body LIMIT 2)) FROM t o"
    )
    assert ids(sql, nearest) == ["1,4", "2,5", None, "4,1", "5,2"]
    sql.execute("CREATE TABLE questions(q)")
    sql.execute("INSERT INTO questions VALUES ('password'), ('dogs')")
    asked = "SELECT t.id FROM questions JOIN t ON t.body MATCH q AND t.k = 1 ORDER BY q DESC"
    assert ids(sql, asked)[0] in (1, 4)


def test_versions_and_transactions(sql: apsw.Connection) -> None:
    sql.execute("BEGIN")
    sql.execute("INSERT INTO t(id, body) VALUES (9, 'password reset')")
    sql.execute("UPDATE t SET body = 'birds' WHERE id = 4")
    assert ids(sql, "SELECT id FROM t WHERE t MATCH 'password reset' LIMIT 2") == [9, 1]
    sql.execute("ROLLBACK")
    assert ids(sql, "SELECT id FROM t WHERE t MATCH 'password reset' LIMIT 2") == [4, 1]
    sql.execute("INSERT INTO t(t, rank) VALUES ('tag', 'five')")
    sql.execute("DELETE FROM t WHERE t MATCH 'reset password' AND k = 1")
    assert ids(sql, "SELECT id FROM t WHERE t MATCH 'reset password' LIMIT 1") == [1]
    assert ids(sql, "SELECT id FROM t WHERE t MATCH 'reset password' AND version = 'five' LIMIT 1") == [4]
    sql.execute("INSERT INTO t(t) VALUES ('vacuum')")
    assert ids(sql, "SELECT id FROM t WHERE t MATCH 'reset password' AND version = 'five' LIMIT 1") == [4]
    assert sql.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize(
    ("condition", "error", "what"),
    [
        ("t MATCH ''", QueryError, "empty"),
        ("t MATCH 'a' AND k = 0", QueryError, "k = 0"),
        ("t MATCH 'a' AND k = 'x'", QueryError, "no number of rows"),
        ("year MATCH 'a'", QueryError, "not searched by meaning"),
        ("rank MATCH 'a'", QueryError, "nothing to MATCH"),
        ("vec MATCH '[1, 2]'", DataTypeError, "2 numbers"),
        ("vec MATCH x'00'", DataTypeError, "float32"),
        ("vec MATCH '[1, 2, 1e99]'", DataTypeError, "finite"),
        ("vec MATCH 'words'", DataTypeError, "no JSON"),
        ("t MATCH 5", DataTypeError, "no vector"),
        ("t MATCH 'a' AND body MATCH 'b'", QueryError, "two MATCH"),
    ],
)
def test_what_is_refused(sql: apsw.Connection, condition: str, error: type[AudioMemError], what: str) -> None:
    with pytest.raises(error, match=what):
        sql.execute(f"SELECT id FROM t WHERE {condition}").fetchall()


def test_nothing_matches_null(sql: apsw.Connection) -> None:
    assert ids(sql, "SELECT id FROM t WHERE t MATCH NULL") == []
    assert ids(sql, "SELECT id FROM t WHERE vec MATCH ? AND k = 3", None) == []
