"""``bm25(t, weight, …)``: FTS5's scores with weights of columns, wherever the rows are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from audiomem_sql.connections import register
from audiomem_sql.errors import AudioMemError

WORDS = ("sound", "page", "cell", "frame", "index", "query", "row", "the")
QUERIES = (
    "sound", "page OR cell OR the", "page AND row", "frame NOT index", '"sound page"', "que*", "NEAR(page cell, 3)",
    "title : sound OR row", "body : (the OR row)", "^the", "the the", "nothing",
)  # fmt: skip
#: As SQL writes them, for the columns title, year and body.
WEIGHTS = (
    "",
    ", 10.0",
    ", 10.0, 5.0",
    ", 1, 1, 1",
    ", 0.5, 100, 7.25",
    ", 0, 0, 1",
    ", 0, 0, 0",
    ", 2, 3, 4, 5, 6",
)


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(tmp_path / "t.sqlite"))
    register(connection)
    connection.execute(
        "CREATE VIRTUAL TABLE t USING audiomem('t.flac', title TEXT INDEXED(tokenize='porter'), year INTEGER, "
        "body TEXT INDEXED(tokenize='porter'))"
    )
    connection.execute("CREATE VIRTUAL TABLE fts USING fts5(title, year UNINDEXED, body, tokenize='porter')")
    yield connection
    connection.close()


def fill(sql: apsw.Connection, rng: random.Random, first: int, count: int) -> None:
    rows = [
        (
            n,
            " ".join(rng.choices(WORDS, k=rng.randint(0, 4))),
            2000 + n % 20,
            None if rng.random() < 0.1 else " ".join(rng.choices(WORDS, k=rng.randint(1, 20))),
        )
        for n in range(first, first + count)
    ]
    for name in ("t", "fts"):
        sql.executemany(f"INSERT INTO {name}(rowid, title, year, body) VALUES (?, ?, ?, ?)", rows)


def scores(sql: apsw.Connection, name: str, query: str, weights: str) -> list[tuple[int, float]]:
    function = f"bm25({name}{weights})"
    return sql.execute(
        f"SELECT rowid, {function} FROM {name} WHERE {name} MATCH ? ORDER BY round({function}, 9), rowid",
        (query,),
    ).fetchall()


def check(sql: apsw.Connection) -> None:
    for query in QUERIES:
        for weights in WEIGHTS:
            found, wanted = scores(sql, "t", query, weights), scores(sql, "fts", query, weights)
            assert [row for row, _ in found] == [row for row, _ in wanted], (query, weights)
            assert [score for _, score in found] == pytest.approx([score for _, score in wanted], abs=1e-9)
            assert all(score <= 0 for _, score in found)


def test_the_scores_of_fts5(sql: apsw.Connection) -> None:
    """Rows in the log, in the base and in deltas."""
    rng = random.Random(3)
    fill(sql, rng, 1, 40)
    check(sql)
    sql.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    fill(sql, rng, 41, 30)
    check(sql)
    sql.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    check(sql)
    sql.execute("INSERT INTO t(t) VALUES ('vacuum')")
    check(sql)


def test_without_weights_it_is_the_rank(sql: apsw.Connection) -> None:
    fill(sql, random.Random(4), 1, 40)
    sql.execute("INSERT INTO t(t) VALUES ('vacuum')")
    assert sql.execute("SELECT bm25(t) - rank FROM t WHERE t MATCH 'sound OR page'").fetchall() == [
        (0.0,)
    ] * len(scores(sql, "t", "sound OR page", ""))


def test_a_weight_turns_the_order(sql: apsw.Connection) -> None:
    sql.executemany(
        "INSERT INTO t(rowid, title, body) VALUES (?, ?, ?)",
        [(1, "cell", "a page of a frame, and more"), (2, "page", "a cell of a frame, and more"), (3, "x", "y"), (4, "x", "y")],
    )  # fmt: skip
    asked = "SELECT rowid FROM t WHERE t MATCH 'page' AND rowid < 4 ORDER BY bm25(t, {}, 1, {}) LIMIT 1"
    assert sql.execute(asked.format(10.0, 5.0)).get == 2
    assert sql.execute(asked.format(5.0, 10.0)).get == 1


def test_filters_joins_and_transactions(sql: apsw.Connection) -> None:
    fill(sql, random.Random(5), 1, 40)
    sql.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    wanted = dict(scores(sql, "t", "sound", ", 3.0"))
    few = "SELECT rowid, bm25(t, 3.0) FROM t WHERE t MATCH 'sound' AND year > 2010"
    found = dict(sql.execute(few).fetchall())
    assert found == {row: score for row, score in wanted.items() if 2000 + row % 20 > 2010}
    both = "SELECT a.rowid, bm25(a.t, 3.0) FROM t AS a JOIN fts AS b ON b.rowid = a.rowid WHERE a.t MATCH 'sound' AND b.year < 2005"
    assert dict(sql.execute(both).fetchall()) == {
        row: score for row, score in wanted.items() if 2000 + row % 20 < 2005
    }
    sql.execute("BEGIN")
    for name in ("t", "fts"):
        sql.execute(f"INSERT INTO {name}(rowid, title, body) VALUES (99, 'sound', 'sound sound')")
    check(sql)
    sql.execute("ROLLBACK")
    assert dict(scores(sql, "t", "sound", ", 3.0")) == wanted


def test_old_versions_have_their_scores(sql: apsw.Connection) -> None:
    fill(sql, random.Random(6), 1, 30)
    sql.execute("INSERT INTO t(t, rank) VALUES ('tag', 'before')")
    wanted = scores(sql, "t", "page", ", 10.0")
    fill(sql, random.Random(7), 31, 30)
    old = "SELECT rowid, bm25(t, 10.0) FROM t WHERE t MATCH 'page' AND version = 'before' ORDER BY 2, 1"
    assert sql.execute(old).fetchall() == wanted
    assert len(scores(sql, "t", "page", ", 10.0")) > len(wanted)


def test_where_words_take_no_part(tmp_path: Path, sql: apsw.Connection) -> None:
    """By meaning alone there is no score, as little as without a search."""
    sql.execute("CREATE VIRTUAL TABLE m USING audiomem('m.flac', body TEXT SEMANTIC INDEXED, model=hashing)")
    sql.executemany(
        "INSERT INTO m(rowid, body) VALUES (?, ?)", [(1, "a page"), (2, "some cells"), (3, "frames")]
    )
    assert sql.execute("SELECT bm25(m, 2.0) FROM m").fetchall() == [(0.0,)] * 3
    assert sql.execute("SELECT bm25(m, 2.0) FROM m WHERE m MATCH 'semantic: page'").fetchall() == [(0.0,)] * 3
    by_both = dict(sql.execute("SELECT rowid, bm25(m, 2.0) FROM m WHERE m MATCH 'pages'").fetchall())
    by_words = dict(sql.execute("SELECT rowid, bm25(m, 2.0) FROM m WHERE m MATCH 'words: pages'").fetchall())
    assert list(by_words) == [1]
    assert by_words[1] < 0
    assert by_both == {1: by_words[1], 2: 0.0, 3: 0.0}


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ("SELECT bm25(1, 2.0)", "requested context"),
        ("SELECT bm25()", "requested context"),
        ("SELECT bm25(t, 2.0) FROM t WHERE t MATCH 'sound' GROUP BY year", "requested context"),
        ("SELECT bm25(t, 'much') FROM t WHERE t MATCH 'sound'", "'much' is no weight of a column"),
        ("SELECT bm25(t, 1.0, NULL) FROM t WHERE t MATCH 'sound'", "None is no weight"),
        ("SELECT bm25(t, -1.0) FROM t WHERE t MATCH 'sound'", "-1.0 is no weight"),
        ("SELECT bm25(t, 9e999) FROM t WHERE t MATCH 'sound'", "inf is no weight"),
        ("SELECT bm25(t, x'31') FROM t WHERE t MATCH 'sound'", "b'1' is no weight"),
    ],
)
def test_what_is_refused(sql: apsw.Connection, asked: str, what: str) -> None:
    fill(sql, random.Random(8), 1, 40)
    with pytest.raises((AudioMemError, apsw.Error), match=what):
        sql.execute(asked).fetchall()
    check(sql)


def test_tables_of_fts5_keep_their_own(sql: apsw.Connection) -> None:
    """The connection knows both."""
    fill(sql, random.Random(9), 1, 10)
    both = "SELECT (SELECT bm25(fts, 2.0) FROM fts WHERE fts MATCH 'the' LIMIT 1), bm25(t, 2.0) FROM t WHERE t MATCH 'the' LIMIT 1"
    theirs, ours = sql.execute(both).fetchall()[0]
    assert theirs < 0
    assert ours < 0


def test_it_is_loaded_while_statements_run(tmp_path: Path) -> None:
    """SQLite refuses to replace FTS5's function of this name then, as in a shell that loads extensions late."""
    connection = apsw.Connection(str(tmp_path / "t.sqlite"))
    connection.execute(
        "CREATE VIRTUAL TABLE own USING fts5(body); INSERT INTO own VALUES ('page page'), ('page')"
    )
    running = connection.execute("SELECT 1 UNION ALL SELECT 2")
    assert next(running) == (1,)
    register(connection)
    connection.execute("CREATE VIRTUAL TABLE t USING audiomem('t.flac', body TEXT INDEXED)")
    connection.execute("INSERT INTO t VALUES ('page page'), ('page')")
    asked = "SELECT rowid, bm25({0}, 2.0) FROM {0} WHERE {0} MATCH 'page' ORDER BY rowid"
    ours, theirs = (dict(connection.execute(asked.format(name))) for name in ("t", "own"))
    assert ours == pytest.approx(theirs)
    assert list(running) == [(2,)]
    connection.close()
