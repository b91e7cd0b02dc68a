"""MATCH by words and by both: FTS5's answers on the same rows, through every place where rows can be."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from audiomem_sql.connections import register
from audiomem_sql.errors import QueryError, SchemaError
from audiomem_sql.frames import write_flac
from audiomem_sql.table import Table

WORDS = [
    "sound",
    "table",
    "page",
    "cell",
    "frame",
    "sample",
    "segment",
    "version",
    "audio",
    "index",
    "query",
    "row",
    "café",
    "naïve",
    "the",
    "of",
]
QUERIES = [
    "sound", "sound AND table", "page OR cell", "frame NOT audio", '"sample segment"', "ver*", "(page OR cell) AND row",
    "title : sound", "NEAR(page cell, 3)", "^the", "cafe", '"of the"', "nothing", "body : (sound OR query)",
]  # fmt: skip


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(tmp_path / "t.sqlite"))
    register(connection)
    connection.execute(
        "CREATE VIRTUAL TABLE t USING audiomem('t.flac', id INTEGER PRIMARY KEY, title TEXT INDEXED, "
        "body TEXT SEMANTIC INDEXED, year INTEGER, model=hashing, profile=embedded)"
    )
    connection.execute("CREATE VIRTUAL TABLE fts USING fts5(title, body, content='')")
    yield connection
    connection.close()


def text(rng: random.Random, most: int) -> str | None:
    return None if rng.random() < 0.05 else " ".join(rng.choices(WORDS, k=rng.randint(1, most)))


def fill(sql: apsw.Connection, rng: random.Random, first: int, count: int) -> list[tuple[object, ...]]:
    rows = [(n, text(rng, 4), text(rng, 20), 2000 + n % 20) for n in range(first, first + count)]
    sql.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
    sql.executemany("INSERT INTO fts(rowid, title, body) VALUES (?, ?, ?)", [row[:3] for row in rows])
    return rows


def ids(sql: apsw.Connection, query: str, *bindings: object) -> list[int]:
    return [row[0] for row in sql.execute(query, bindings)]


def check(sql: apsw.Connection) -> None:
    for query in QUERIES:
        wanted = sql.execute(
            "SELECT rowid, rank FROM fts WHERE fts MATCH ? ORDER BY rank, rowid", (query,)
        ).fetchall()
        found = sql.execute(
            "SELECT id, rank FROM t WHERE t MATCH ? ORDER BY rank, id", (f"keyword: {query}",)
        ).fetchall()
        assert [row[0] for row in found] == [row[0] for row in wanted], query
        for (_, mine), (_, theirs) in zip(found, wanted, strict=True):
            assert abs(mine - theirs) < 1e-9, query


def test_the_same_as_fts5(sql: apsw.Connection) -> None:
    """Rows in the log, in the base, in deltas, and merged; the statistics are those of all of them."""
    rng = random.Random(1)
    fill(sql, rng, 1, 40)
    check(sql)
    sql.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    check(sql)
    fill(sql, rng, 41, 60)
    sql.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    fill(sql, rng, 101, 30)
    check(sql)
    sql.execute("INSERT INTO t(t) VALUES ('merge')")
    check(sql)
    sql.execute("INSERT INTO t(t) VALUES ('vacuum')")
    check(sql)
    assert sql.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_filters_and_versions(sql: apsw.Connection) -> None:
    rows = fill(sql, random.Random(2), 1, 80)
    there = {row[0] for row in rows if "sound" in f"{row[1]} {row[2]}".split()}
    recent = {row[0] for row in rows if int(str(row[3])) > 2010}
    assert set(ids(sql, "SELECT id FROM t WHERE t MATCH 'keyword: sound'")) == there
    assert set(ids(sql, "SELECT id FROM t WHERE t MATCH 'keyword: sound' AND year > 2010")) == there & recent
    assert len(ids(sql, "SELECT id FROM t WHERE t MATCH 'keyword: sound' AND year > 2010 AND k = 3")) == 3
    sql.execute("INSERT INTO t(t, rank) VALUES ('tag', 'all')")
    sql.execute("DELETE FROM t WHERE t MATCH 'keyword: sound'")
    assert ids(sql, "SELECT id FROM t WHERE t MATCH 'keyword: sound'") == []
    assert set(ids(sql, "SELECT id FROM t WHERE t MATCH 'keyword: sound' AND version = 'all'")) == there
    sql.execute("INSERT INTO t(t) VALUES ('vacuum')")
    assert set(ids(sql, "SELECT id FROM t WHERE t MATCH 'keyword: sound' AND version = 'all'")) == there


def test_both(sql: apsw.Connection) -> None:
    rows = [
        (1, "Passwords", "How do I reset a password?", 2020), (2, "Animals", "cats and dogs", 2021),
        (3, "Error", "the code is E1234", 2022), (4, "Mail", "a password is reset by mail", 2023),
    ]  # fmt: skip
    sql.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
    assert ids(sql, "SELECT id FROM t WHERE t MATCH 'E1234' LIMIT 1") == [3]
    assert set(ids(sql, "SELECT id FROM t WHERE t MATCH 'reset a password' LIMIT 2")) == {1, 4}
    ranks = [row[0] for row in sql.execute("SELECT rank FROM t WHERE t MATCH 'reset a password'")]
    assert ranks == sorted(ranks)
    assert ranks[0] < 0
    by_distance = sql.execute(
        "SELECT id, distance FROM t WHERE t MATCH 'password reset' ORDER BY distance"
    ).fetchall()
    assert [row[1] for row in by_distance] == sorted(row[1] for row in by_distance)
    assert ids(sql, "SELECT id FROM t WHERE title MATCH 'animals'") == [2]
    assert ids(sql, "SELECT id FROM t WHERE body MATCH 'keyword: dogs'") == [2]
    assert len(ids(sql, "SELECT id FROM t WHERE t MATCH 'semantic: dogs'")) == 4
    assert sql.execute("SELECT distance FROM t WHERE t MATCH 'keyword: dogs'").fetchall() == [(None,)]
    shown = "SELECT highlight(body, 'password', '<b>', '</b>'), snippet(body, 'password', '[', ']', '…', 2) FROM t WHERE id = 4"
    assert sql.execute(shown).fetchall()[0][0] == "a <b>password</b> is reset by mail"
    assert "[password]" in str(sql.execute(shown).fetchall()[0][1])


def test_words_alone(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", ["id INTEGER PRIMARY KEY", "body TEXT INDEXED"]) as table:
        table.append([{"body": "cats and dogs"}, {"body": "birds"}, {"body": None}])
        assert table.search("dogs OR birds")["id"].to_pylist() == [2, 1]
        assert table.search("dogs", where="id > 1").num_rows == 0
        for query, what in (
            ("semantic: x", "searched by meaning"),
            ([1.0], "words are searched"),
            ("a AND", "syntax error"),
        ):
            with pytest.raises(QueryError, match=what):
                table.search(query)
        table.alter("add column title TEXT INDEXED DEFAULT 'untitled'")
        table.append([{"body": "fish", "title": "water"}])
        assert set(table.search("untitled")["id"].to_pylist()) == {1, 2, 3}
        assert table.search("title : water")["id"].to_pylist() == [4]
        table.vacuum()
        assert set(table.search("untitled")["id"].to_pylist()) == {1, 2, 3}
    with pytest.raises(SchemaError, match="INDEXED"):
        Table.create(tmp_path / "n.flac", ["n INTEGER INDEXED"])
    rows = [{"body": f"{WORDS[n % 16]} {n}"} for n in range(3000)]
    with write_flac(rows, tmp_path / "many.flac") as table:
        assert "INDEXED" not in table.schema.sql()
