"""MATCH by words and by both: FTS5's answers on the same rows, through every place where rows can be."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from samples import MODULATIONS

from audiomem_sql.connections import register
from audiomem_sql.errors import AudioMemError, QueryError, SchemaError
from audiomem_sql.frames.read_write import write_flac
from audiomem_sql.table.table import Table

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
def sql(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(tmp_path / "t.sqlite"))
    register(connection)
    options = MODULATIONS[getattr(request, "param", "pcm")]
    sound = "".join(f", {name}={value}" for name, value in options.items())
    connection.execute(
        "CREATE VIRTUAL TABLE t USING audiomem('t.flac', id INTEGER PRIMARY KEY, title TEXT INDEXED, "
        f"body TEXT SEMANTIC INDEXED, year INTEGER, model=hashing, profile=embedded{sound})"
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


@pytest.mark.parametrize("sql", MODULATIONS, indirect=True)
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


@pytest.mark.parametrize("sql", MODULATIONS, indirect=True)
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


def test_both_give_as_many_rows_as_are_asked_for(tmp_path: Path) -> None:
    """Beyond the rows that are fused: those with a vector first, then those that only hold the words."""
    columns = ["id INTEGER PRIMARY KEY", "title TEXT INDEXED", "body TEXT SEMANTIC"]
    with Table.create(tmp_path / "t.flac", columns, {"model": "hashing", "profile": "embedded"}) as table:
        for first in (1, 1801):  # one segment and the log
            table.append(
                [
                    {"id": n, "title": "frame" if n % 5 else "page", "body": None if n % 2 else f"row {n}"}
                    for n in range(first, first + 1800)
                ]
            )
            if first == 1:
                table.vacuum()
        near = {n for n in range(1, 3601) if n % 2 == 0}
        worded = {n for n in range(1, 3601) if n % 5}
        for k in (10, 1000, 1001, 1500, 3000, len(near | worded), 10**6):
            found = table.search("frame", k=k)["id"].to_pylist()
            assert len(found) == min(k, len(near | worded))
            assert len(set(found)) == len(found)
        assert set(found) == near | worded
        assert table.search("frame", k=1500, where="id > 3400").num_rows == sum(
            n > 3400 for n in near | worded
        )
    sql = apsw.Connection(str(tmp_path / "t.sqlite"))
    register(sql)
    sql.execute("CREATE VIRTUAL TABLE t USING audiomem('t.flac')")
    rows = sql.execute("SELECT id, rank FROM t WHERE t MATCH 'frame' ORDER BY rank").fetchall()
    assert len(rows) == len(near | worded)
    assert {row[0] for row in rows} == near | worded
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)
    assert len(ids(sql, "SELECT id FROM t WHERE t MATCH 'frame' LIMIT 2900")) == 2900
    sql.close()


def test_a_query_may_be_very_long(sql: apsw.Connection) -> None:
    fill(sql, random.Random(4), 1, 40)
    long = " ".join(f"word{n}" for n in range(20_000))
    assert len(ids(sql, "SELECT id FROM t WHERE t MATCH ? LIMIT 5", f"sound {long}")) == 5
    huge = ids(sql, "SELECT id FROM t WHERE t MATCH ? AND k = 1000000", "sound")
    assert set(huge) == set(ids(sql, "SELECT id FROM t WHERE t MATCH ?", "sound"))
    with pytest.raises(QueryError, match="k = 9223372036854775807 is over the limit of 1,000,000 rows"):
        sql.execute("SELECT id FROM t WHERE t MATCH 'sound' AND k = 9223372036854775807").fetchall()
    with pytest.raises(QueryError, match="over the limit of 1,048,576"):
        sql.execute("SELECT id FROM t WHERE t MATCH ?", ("word " * 300_000,)).fetchall()


def test_words_alone(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", ["id INTEGER PRIMARY KEY", "body TEXT INDEXED"]) as table:
        table.append([{"body": "cats and dogs"}, {"body": "birds"}, {"body": None}])
        assert table.search("dogs, birds?")["id"].to_pylist() == [2, 1]
        assert table.search("a AND")["id"].to_pylist() == [1]
        assert table.search("keyword: dogs AND birds").num_rows == 0
        assert table.search("words: dogs AND birds")["id"].to_pylist() == [2, 1]
        assert table.search("dogs", where="id > 1").num_rows == 0
        for query, what in (
            ("semantic: x", "searched by meaning"),
            ([1.0], "words are searched"),
            ("keyword: a AND", "syntax error"),
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


SHOWN = [
    "highlight({t}, 0, '[', ']')", "highlight({t}, 1, '<', '>')", "snippet({t}, 1, '[', ']', '…', 4)",
    "snippet({t}, 0, '[', ']', '…', 2)", "snippet({t}, -1, '[', ']', '…', 5)", "snippet({t}, -1, '', '', '', 64)",
]  # fmt: skip


def test_functions_of_the_table_show_what_those_of_fts5_show(tmp_path: Path) -> None:
    sql = apsw.Connection(str(tmp_path / "t.sqlite"))
    register(sql)
    sql.execute("CREATE VIRTUAL TABLE t USING audiomem('t.flac', title TEXT INDEXED, body TEXT INDEXED)")
    sql.execute("CREATE VIRTUAL TABLE fts USING fts5(title, body)")
    rng = random.Random(7)
    rows = [(text(rng, 5) or "sound", text(rng, 30) or "sound") for _ in range(60)]
    rows += [("same words", "same words"), ("The page. Of a cell", "no, the cell. A page: of the sound")]
    for table in ("t", "fts"):
        sql.executemany(f"INSERT INTO {table}(title, body) VALUES (?, ?)", rows[:40])
    for command in ("checkpoint", None):
        for query in [*QUERIES, "words", "title : same"]:
            if "NOT" in query or "NEAR" in query:
                continue  # FTS5 highlights phrases that take no part
            shown = ", ".join(SHOWN)
            asked = "SELECT rowid, {0} FROM {1} WHERE {1} MATCH ? ORDER BY rowid"
            mine = sql.execute(asked.format(shown.format(t="t"), "t"), (query,)).fetchall()
            theirs = sql.execute(asked.format(shown.format(t="fts"), "fts"), (query,)).fetchall()
            assert mine == theirs, query
        if command is not None:
            sql.execute("INSERT INTO t(t) VALUES (?)", (command,))
            for table in ("t", "fts"):
                sql.executemany(f"INSERT INTO {table}(title, body) VALUES (?, ?)", rows[40:])
    asked = (
        "SELECT highlight(a, 1, '[', ']') FROM {0} AS a WHERE {0} MATCH 'sound' ORDER BY rank, rowid LIMIT 5"
    )
    own = asked.replace("highlight(a", "highlight(a.{0}")
    assert sql.execute(own.format("t")).fetchall() == sql.execute(own.format("fts")).fetchall()
    plain = "SELECT highlight({0}, 1, '[', ']') FROM {0} WHERE rowid < 5"
    assert sql.execute(plain.format("t")).fetchall() == sql.execute(plain.format("fts")).fetchall()
    sql.close()


def test_functions_of_the_table_beside_meaning(sql: apsw.Connection) -> None:
    sql.execute("INSERT INTO t VALUES (1, 'Passwords', 'How do I reset a password?', 2020)")
    sql.execute("INSERT INTO t VALUES (2, NULL, NULL, 2021)")
    show = (
        "SELECT highlight(t, 2, '[', ']'), highlight(t, 3, '[', ']'), snippet(t, -1, '[', ']', '…', 3) FROM t"
    )
    assert sql.execute(show + " WHERE t MATCH 'reset it'").fetchall() == [
        ("How do I [reset] a password?", "2020", "…I [reset] a…")
    ]
    assert sql.execute(show + " WHERE t MATCH 'semantic: reset it'").fetchall() == [
        ("How do I reset a password?", "2020", "Passwords")
    ]
    assert sql.execute(show + " WHERE id = 2").fetchall() == [
        (None, "2021", "2")
    ]  # the first column, as in FTS5
    sql.execute("UPDATE t SET year = 2022 WHERE t MATCH 'keyword: reset'")
    seen = "SELECT typeof(t), t IS NULL, year FROM t WHERE t MATCH 'keyword: reset'"
    assert sql.execute(seen).fetchall() == [("null", 1, 2022)]
    old = "SELECT highlight(t, 2, '[', ']'), year FROM t WHERE t MATCH 'keyword: reset' AND version = 2"
    assert sql.execute(old).fetchall() == [("How do I [reset] a password?", 2020)]
    for query, what in (
        ("SELECT highlight(t, 9, '[', ']') FROM t", "no column 9"),
        ("SELECT highlight(NULL, 'a', '[', ']'), highlight(1.5, 1, '[', ']')", "requested context"),
        ("SELECT snippet(t, 2, '[', ']', '…', 99) FROM t WHERE t MATCH 'reset'", "1 to 64"),
        ("SELECT highlight(t, 2, 5, ']') FROM t WHERE t MATCH 'reset'", "take texts"),
    ):
        with pytest.raises(AudioMemError, match=what):
            sql.execute(query).fetchall()
