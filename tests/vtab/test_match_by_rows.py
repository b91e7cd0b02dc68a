"""MATCH beside OR and inside expressions: no plan answers it, so SQLite asks it row by row."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from audiomem_sql.connections import register
from audiomem_sql.errors import DataTypeError, QueryError

#: A condition, and what it says of (id, title, year).
SIDES: dict[str, Callable[[int, str, int], bool]] = {
    "id = 3": lambda id, title, year: id == 3,
    "id IN (1, 2)": lambda id, title, year: id in (1, 2),
    "id IN (SELECT x FROM some)": lambda id, title, year: id in (3, 5),
    "year = 3": lambda id, title, year: year == 3,
    "year > 5": lambda id, title, year: year > 5,
    "(id = 3 AND year = 3)": lambda id, title, year: id == 3 and year == 3,
    "title LIKE 'p%'": lambda id, title, year: title.startswith("p"),
    "year + 0 = 3": lambda id, title, year: year == 3,
}


def rows_of(count: int) -> list[tuple[int, str, int]]:
    return [(i, f"apple {i}" if i % 3 else "pear", i % 7) for i in range(count)]


def filled(path: Path, count: int, columns: str = "title TEXT INDEXED") -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    register(connection)
    connection.execute(
        f"CREATE VIRTUAL TABLE t USING audiomem('{path}', id INTEGER PRIMARY KEY, {columns}, year INTEGER, model=hashing)"
    )
    with connection:
        connection.executemany("INSERT INTO t(id, title, year) VALUES (?, ?, ?)", rows_of(count))
    connection.execute("CREATE TABLE some(x); INSERT INTO some VALUES (3), (5)")
    return connection


@pytest.fixture
def t(tmp_path: Path, door: str) -> Iterator[apsw.Connection]:
    connection = filled(tmp_path / "t.flac", 20)
    yield connection
    connection.close()


def ids(connection: apsw.Connection, where: str, *values: Any) -> list[int]:
    return sorted(row[0] for row in connection.execute(f"SELECT id FROM t WHERE {where}", values))


@pytest.mark.parametrize("count", [0, 1, 3, 200])
def test_match_joins_with_any_condition(tmp_path: Path, door: str, count: int) -> None:
    connection = filled(tmp_path / "t.flac", count)
    rows = rows_of(count)
    found = {row[0] for row in rows if "apple" in row[1]}
    passing = {side: {row[0] for row in rows if passes(*row)} for side, passes in SIDES.items()}
    for one, other in itertools.combinations(SIDES, 2):
        first, second = passing[one], passing[other]
        both, either, apart = found & (first | second), found | first | second, (found & first) | second
        assert ids(connection, f"t MATCH 'apple' AND ({one} OR {other})") == sorted(both), (one, other)
        assert ids(connection, f"{one} OR {other} OR audiomem_table MATCH 'apple'") == sorted(either)
        assert ids(connection, f"(t MATCH 'apple' AND {one}) OR {other}") == sorted(apart), (one, other)
        assert ids(connection, f"t = 'apple' AND ({one} OR {other})") == sorted(both), (one, other)
        if "+" not in other:  # SQLite then compares the column, as it does that of FTS5
            assert ids(connection, f"t = 'apple' OR {one} OR {other}") == sorted(either), (one, other)
            assert ids(connection, f"(t = 'apple' AND {one}) OR {other}") == sorted(apart), (one, other)
    connection.close()


def test_match_is_a_value(t: apsw.Connection) -> None:
    assert t.execute("SELECT id, t MATCH 'pear' FROM t WHERE id < 4").fetchall() == [
        (0, 1),
        (1, 0),
        (2, 0),
        (3, 1),
    ]
    assert ids(t, "NOT t MATCH 'apple'") == [0, 3, 6, 9, 12, 15, 18]
    assert ids(t, "CASE WHEN id < 5 THEN t MATCH 'pear' ELSE id = 7 END") == [0, 3, 7]
    assert ids(t, "(t MATCH ?) + 0", "pear") == [0, 3, 6, 9, 12, 15, 18]
    assert ids(t, "t MATCH 'pear' OR t MATCH '\"apple 7\"'") == [0, 3, 6, 7, 9, 12, 15, 18]
    assert ids(t, "(t MATCH NULL) IS NULL AND id < 2") == [0, 1]
    words = "SELECT w.column1, (SELECT count(*) FROM t WHERE t MATCH w.column1 OR id = 1) FROM (VALUES ('pear'), ('apple')) w"
    assert t.execute(words).fetchall() == [("pear", 8), ("apple", 13)]
    outer = "SELECT some.x, t MATCH 'pear' FROM some LEFT JOIN t ON id = x + 16 ORDER BY x"
    assert t.execute(outer).fetchall() == [(3, 0), (5, None)]


def test_it_sees_what_the_statement_reads(t: apsw.Connection) -> None:
    t.execute("BEGIN; INSERT INTO t VALUES (50, 'new pear', 1); UPDATE t SET title = 'none' WHERE id = 0")
    assert ids(t, "t MATCH 'pear' OR id + 0 = 1") == [1, 3, 6, 9, 12, 15, 18, 50]
    t.execute("COMMIT")
    assert ids(t, "t MATCH 'pear' OR id + 0 = 1") == [1, 3, 6, 9, 12, 15, 18, 50]
    assert ids(t, "version = 2 AND (t MATCH 'pear' OR id + 0 = 1)") == [0, 1, 3, 6, 9, 12, 15, 18]
    t.execute("UPDATE t SET year = 100 WHERE t MATCH 'pear' OR id = 2")
    assert ids(t, "year = 100") == [2, 3, 6, 9, 12, 15, 18, 50]
    t.execute("UPDATE t SET year = 101 WHERE t = 'pear' AND (id = 6 OR id > 14)")
    assert ids(t, "year = 101") == [6, 15, 18, 50]
    t.execute("DELETE FROM t WHERE t MATCH 'pear' OR id + 0 > 4")
    assert ids(t, "1") == [0, 1, 2, 4]


def test_what_cannot_be_asked_by_rows_is_refused(t: apsw.Connection, door: str) -> None:
    with pytest.raises(QueryError, match=r"t\.flac: MATCH of one column .*keyword: title"):
        t.execute("SELECT id FROM t WHERE (title MATCH 'pear') + 0").fetchall()
    with pytest.raises(QueryError, match="unterminated string"):
        t.execute("SELECT id FROM t WHERE t MATCH 'bad \"' OR id + 0 = 3").fetchall()
    refused = DataTypeError if door == "extension" else UnicodeDecodeError  # apsw's own
    with pytest.raises(refused, match=r"UTF-8|utf-8"):
        t.execute("SELECT id FROM t WHERE t MATCH CAST(x'ff' AS TEXT) OR id + 0 = 3").fetchall()


def test_every_row_has_a_meaning(tmp_path: Path, door: str) -> None:
    connection = filled(tmp_path / "t.flac", 10, "title TEXT SEMANTIC")
    connection.execute("INSERT INTO t(id, title) VALUES (20, NULL)")
    assert ids(connection, "t MATCH 'pear' OR id + 0 = 20") == [*range(10), 20]
    assert ids(connection, "(t MATCH 'pear') + 0") == [*range(10)]
    connection.close()
