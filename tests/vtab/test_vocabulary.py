"""The vocabulary of a table is that of fts5vocab, and misspelt words lead to those that are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import duckdb
import pytest

import audiomem_sql
from audiomem_sql.connections import register
from audiomem_sql.errors import QueryError
from audiomem_sql.table.table import Table

ROWS = [("one two", "two three"), ("two Éte", None), ("three three", "one"), ("x", "two two x"), ("", "nine")]


@pytest.fixture
def con(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(tmp_path / "base.sqlite"))
    register(connection)
    columns = ", ".join(f"{name} TEXT INDEXED(tokenize='porter')" for name in "ab")
    connection.execute(f"CREATE VIRTUAL TABLE ours USING audiomem('ours.flac', {columns}, n INTEGER)")
    connection.execute("CREATE VIRTUAL TABLE fts USING fts5(a, b, tokenize='porter')")
    connection.execute("CREATE VIRTUAL TABLE by_row USING fts5vocab(fts, row)")
    connection.execute("CREATE VIRTUAL TABLE by_col USING fts5vocab(fts, col)")
    connection.execute("CREATE VIRTUAL TABLE by_place USING fts5vocab(fts, instance)")
    yield connection
    connection.close()


def check(con: apsw.Connection) -> None:
    found = con.execute("SELECT term, doc, cnt FROM audiomem_vocabulary('ours')").fetchall()
    assert found == con.execute("SELECT term, doc, cnt FROM by_row ORDER BY term").fetchall()
    found = con.execute("SELECT term, col, doc, cnt FROM audiomem_vocabulary('ours', 'col')").fetchall()
    assert found == con.execute("SELECT term, col, doc, cnt FROM by_col ORDER BY term, col").fetchall()
    found = con.execute(
        "SELECT term, doc, col, offset FROM audiomem_vocabulary('ours', 'instance')"
    ).fetchall()
    assert found == con.execute("SELECT term, doc, col, offset FROM by_place").fetchall()


def test_in_log_and_deltas_and_without_deleted_rows(con: apsw.Connection) -> None:
    check(con)
    for name in ("ours", "fts"):
        con.executemany(f"INSERT INTO {name}(a, b) VALUES (?, ?)", ROWS)
    check(con)
    con.execute("INSERT INTO ours(ours) VALUES ('checkpoint')")
    check(con)
    for name in ("ours", "fts"):
        con.execute(f"INSERT INTO {name}(a, b) VALUES ('twos again', 'four')")
        con.execute(f"DELETE FROM {name} WHERE rowid = 3")
        con.execute(f"UPDATE {name} SET b = 'eleven' WHERE rowid = 4")
    check(con)
    con.execute("INSERT INTO ours(ours) VALUES ('vacuum')")
    check(con)


def test_instances_of_columns_in_another_order_than_their_names(con: apsw.Connection) -> None:
    con.execute(
        "CREATE VIRTUAL TABLE placed USING audiomem('placed.flac', z TEXT INDEXED(tokenize='porter'), "
        "a TEXT INDEXED(tokenize='porter'))"
    )
    con.execute("CREATE VIRTUAL TABLE theirs USING fts5(z, a, tokenize='porter')")
    con.execute("CREATE VIRTUAL TABLE at USING fts5vocab(theirs, instance)")
    for name in ("placed", "theirs"):
        con.executemany(f"INSERT INTO {name}(z, a) VALUES (?, ?)", ROWS * 2)
    asked = "SELECT term, doc, col, offset FROM audiomem_vocabulary('placed', 'instance')"
    for command in ("checkpoint", "vacuum"):
        con.execute("INSERT INTO placed(placed) VALUES (?)", (command,))
        assert (
            con.execute(asked).fetchall() == con.execute("SELECT term, doc, col, offset FROM at").fetchall()
        )
    assert con.execute(f"SELECT count(*) FROM ({asked}) WHERE term = 'two' AND col = 'a'").get == 6
    assert con.execute("SELECT sum(cnt), sum(doc) FROM audiomem_vocabulary('placed')").fetchall() == [
        (28, 20)
    ]


def test_suggestions(con: apsw.Connection, tmp_path: Path) -> None:
    con.execute(
        "INSERT INTO ours(a, b) VALUES ('Happiness', 'Password'), ('passwords', 'passward'), ('cat', 'car')"
    )

    def suggested(word: str, k: int = 5) -> list[tuple[str, int, int]]:
        return con.execute("SELECT * FROM audiomem_suggest('ours', ?, ?)", (word, k)).fetchall()

    for command in ("checkpoint", "vacuum"):
        assert suggested("pasword") == [("password", 1, 2), ("passward", 2, 1)]
        assert suggested("password") == [("password", 0, 2), ("passward", 1, 1)]
        assert suggested("apssword", 1) == [("password", 1, 2)]
        assert suggested("hapiness") == [("happiness", 1, 1)]
        assert suggested("cap") == [("car", 1, 1), ("cat", 1, 1)]
        assert suggested("cab xyz") == suggested("") == suggested("zebra") == suggested("x" * 100_000) == []
        con.execute("INSERT INTO ours(ours) VALUES (?)", (command,))
    with Table(tmp_path / "ours.flac") as table:
        assert table.suggest("pasword", 1) == ["password"]
        assert table.suggest("pasword", column="b") == ["password", "passward"]
        with pytest.raises(QueryError, match="column n"):
            table.suggest("pasword", column="n")
        with pytest.raises(QueryError, match="k = 0"):
            table.suggest("pasword", 0)
    duck = duckdb.connect()
    audiomem_sql.register_duckdb(duck)
    path = tmp_path / "ours.flac"
    assert duck.execute(f"FROM audiomem_suggest('{path}', 'pasword', k := 1)").fetchall() == [
        ("password", 1, 2)
    ]
    terms = duck.execute(f"SELECT term, col FROM audiomem_vocabulary('{path}', kind := 'col')").fetchall()
    assert terms[:2] == [("car", "b"), ("cat", "a")]
    places = duck.execute(f"FROM audiomem_vocabulary('{path}', kind := 'instance')").fetchall()
    assert places[:3] == [("car", "b", 3, None, 0), ("cat", "a", 3, None, 0), ("happi", "a", 1, None, 0)]
    with pytest.raises(duckdb.Error, match="kind 'place'"):
        duck.execute(f"FROM audiomem_vocabulary('{path}', kind := 'place')")


@pytest.mark.parametrize(
    ("call", "what"),
    [
        ("audiomem_vocabulary('ours', 'place')", "no vocabulary of kind 'place'"),
        ("audiomem_vocabulary('ours', 5)", "no vocabulary of kind 5"),
        ("audiomem_vocabulary('none')", "none"),
        ("audiomem_suggest('ours', 5)", "5 is no word"),
        ("audiomem_suggest('ours')", "None is no word"),
        ("audiomem_suggest('ours', 'x', 0)", "k = 0"),
        ("audiomem_suggest('bare', 'x')", "no column is searched by its words"),
    ],
)
def test_what_is_refused(con: apsw.Connection, call: str, what: str) -> None:
    con.execute("CREATE VIRTUAL TABLE bare USING audiomem('bare.flac', a TEXT)")
    with pytest.raises((QueryError, apsw.Error), match=what):
        con.execute(f"SELECT * FROM {call}").fetchall()


def test_what_is_no_word_in_python(con: apsw.Connection, tmp_path: Path) -> None:
    for word in (5, None, b"car"):
        with Table(tmp_path / "ours.flac") as table, pytest.raises(QueryError, match=r"ours.*is no word"):
            table.suggest(word)  # type: ignore[arg-type]
