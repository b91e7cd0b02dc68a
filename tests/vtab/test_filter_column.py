"""The hidden column ``filter``: any condition of the connection, before the ranking. And what ``k`` means."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

import audiomem_sql as am
from audiomem_sql.connections import register
from audiomem_sql.errors import AudioMemError, QueryError

COUNT = 400
COLUMNS = "id INTEGER PRIMARY KEY, body TEXT SEMANTIC, meta JSON, year INTEGER, model=hashing"
ROWS = [
    (
        number,
        f"apple number {number}",
        f'{{"lang": "{"de" if number % 10 == 0 else "en"}"}}',
        2000 + number % 7,
    )
    for number in range(COUNT)
]
GERMAN = "meta ->> 'lang' = 'de'"


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(tmp_path / "t.sqlite"))
    register(connection)
    connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('t.flac', {COLUMNS})")
    with connection:
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", ROWS)
    connection.create_scalar_function("third", lambda number: number % 3 == 0)
    connection.execute("CREATE TABLE chosen(id, condition)")
    connection.execute("INSERT INTO chosen VALUES (5, 'id > 390'), (50, 'id < 4'), (500, NULL)")
    yield connection
    connection.close()


def ids(sql: apsw.Connection, query: str, *bindings: object) -> list[int]:
    return [row[0] for row in sql.execute(query, bindings)]


FOUND = "SELECT id FROM t WHERE t MATCH 'apple' AND filter = ?"

CONDITIONS = [
    GERMAN,
    "id % 10 = 0",
    "lower(meta) LIKE '%\"de\"%'",
    "third(id) AND year > 2003",
    "id IN (SELECT id FROM chosen)",
    "id IN (SELECT id FROM chosen WHERE condition IS NOT NULL)",
    "EXISTS (SELECT 1 FROM chosen c WHERE c.id = t.id) OR id = 7",
    "year = (SELECT max(year) FROM t) AND t.id < 100",
    "EXISTS (SELECT 1 FROM json_each(t.meta) WHERE value = 'de') -- a comment",
    "id > 9999",
]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_it_comes_before_the_ranking(sql: apsw.Connection, condition: str) -> None:
    expected = ids(sql, f"SELECT id FROM t WHERE {condition}\n ORDER BY id")
    assert sorted(ids(sql, FOUND, condition)) == expected
    assert sorted(ids(sql, "SELECT id FROM t WHERE filter = ?", condition)) == expected
    some = min(10, len(expected))
    for ending in (" AND k = 10", " LIMIT 10", " ORDER BY distance LIMIT 10", " ORDER BY rank LIMIT 10"):
        found = ids(sql, FOUND + ending, condition)
        assert len(found) == some
        assert set(found) <= set(expected)
    late = [number for number in expected if number >= COUNT - 50]
    assert sorted(ids(sql, FOUND + f" AND id >= {COUNT - 50} AND year + 0 > 0", condition)) == late


def test_the_nearest_of_those_that_pass(sql: apsw.Connection) -> None:
    ranked = ids(sql, "SELECT id FROM t WHERE t MATCH 'apple number 7' ORDER BY distance")
    german = [number for number in ranked if number % 10 == 0]
    for condition in (GERMAN, "id % 10 = 0"):
        asked = "SELECT id FROM t WHERE t MATCH 'apple number 7' AND filter = ? AND k = 5 ORDER BY distance"
        assert ids(sql, asked, condition) == german[:5]
        assert ids(sql, asked.replace("filter", "audiomem_filter"), condition) == german[:5]


def test_versions_transactions_and_other_databases(sql: apsw.Connection, tmp_path: Path) -> None:
    sql.execute("INSERT INTO t(t, rank) VALUES ('tag', 'full')")
    sql.execute("DELETE FROM t WHERE id >= 20")
    assert sorted(ids(sql, FOUND, GERMAN)) == [0, 10]
    for moment in ("version = 'full'", "as_of = '9999-12-31'"):
        found = ids(sql, FOUND + f" AND {moment} AND id > 300", GERMAN)
        assert sorted(found) == ([] if "9999" in moment else list(range(310, COUNT, 10)))
    sql.execute("BEGIN")
    sql.execute("INSERT INTO t VALUES (77, 'apple', '{\"lang\": \"de\"}', 1)")
    sql.execute("UPDATE t SET meta = '{}' WHERE id = 10")
    assert sorted(ids(sql, FOUND, GERMAN)) == [0, 77]
    sql.execute("ROLLBACK")
    sql.execute(f"ATTACH '{tmp_path / 'o.sqlite'}' AS \"o'ther\"")
    sql.execute("CREATE VIRTUAL TABLE \"o'ther\".t USING audiomem('o.flac', id INTEGER, body TEXT INDEXED)")
    sql.execute("INSERT INTO \"o'ther\".t VALUES (1, 'apple'), (2, 'apple pie')")
    assert ids(
        sql, "SELECT id FROM \"o'ther\".t AS o WHERE o.t MATCH 'apple' AND filter = 'abs(id) = 2'"
    ) == [2]
    sql.execute('ALTER TABLE "o\'ther".t RENAME TO u')
    assert ids(sql, "SELECT id FROM u WHERE u.audiomem_table MATCH 'apple' AND filter = 'u.id + 0 = 1'") == [
        1
    ]


def test_the_text_may_come_from_a_column(sql: apsw.Connection) -> None:
    join = (
        "SELECT c.id, t.id FROM chosen c JOIN t ON t.t MATCH 'apple' AND t.filter = c.condition ORDER BY 1, 2"
    )
    assert sql.execute(join).fetchall() == [
        *((5, number) for number in range(391, COUNT)), *((50, number) for number in range(4))
    ]  # fmt: skip
    assert ids(sql, FOUND, None) == []
    assert len(ids(sql, "SELECT id FROM t WHERE t MATCH 'apple' AND filter IS NULL")) == COUNT
    assert sql.execute("SELECT DISTINCT filter FROM t WHERE filter = 'id < 3'").fetchall() == [("id < 3",)]
    inner = "filter = 'id IN (SELECT id FROM chosen)'"
    assert sorted(ids(sql, FOUND, inner)) == [5, 50]


def test_changes_of_the_rows_that_pass(sql: apsw.Connection) -> None:
    sql.execute("UPDATE t SET year = 1 WHERE t MATCH 'apple' AND filter = 'id % 100 = 3'")
    assert ids(sql, "SELECT id FROM t WHERE year = 1") == [3, 103, 203, 303]
    sql.execute("DELETE FROM t WHERE filter = 'id % 100 > 0'")
    assert ids(sql, "SELECT id FROM t") == [0, 100, 200, 300]


@pytest.mark.parametrize(
    ("condition", "what"),
    [
        ("foo(id)", "no such function: foo"),
        ("titel = 'a'", "no such column: titel"),
        ("abs(id) = ", "syntax error|incomplete"),
        ("count(*) > 1", "misuse of aggregate"),
        ("json(body) = 1", "malformed JSON"),
        ("id = ?", "a filter has no parameters"),
        ("id = :name", "a filter has no parameters"),
        ("1) OR (1", "none"),
        ("1; DROP TABLE chosen", "none"),
        ("", "none"),
        (5, "none"),
        (b"1", "none"),
        ("load_extension('x')", "may not use load_extension"),
        ("LOAD_EXTENSION /* */ ('x')", "may not use load_extension"),
        ("\"load_extension\"('x')", "may not use load_extension"),
        ("[load_extension](id)", "may not use load_extension"),
        ("embed('a', 'hashing') IS NULL", "may not use embed"),
        ("id IN (SELECT seq FROM audiomem_verify('t'))", "may not use audiomem_verify"),
        ("id IN audiomem_verify", "may not use audiomem_verify"),
    ],
)
def test_what_is_refused(sql: apsw.Connection, condition: object, what: str) -> None:
    for query in (FOUND, "SELECT id FROM t WHERE filter = ?"):
        with pytest.raises(AudioMemError, match=what) as caught:
            ids(sql, query, condition)
        assert str(condition) in str(caught.value) or "may not use" in what or "parameters" in what
    assert ids(sql, "SELECT count(*) FROM chosen") == [3]


def test_a_filter_that_evaluates_itself(sql: apsw.Connection) -> None:
    itself = "id IN (SELECT id FROM t WHERE filter = (SELECT condition FROM chosen WHERE id = 1))"
    sql.execute("INSERT INTO chosen VALUES (1, ?)", (itself,))
    with pytest.raises(QueryError, match="a filter evaluates itself"):
        ids(sql, FOUND, itself)
    assert ids(sql, FOUND, "id = 3") == [3]


def test_two_filters(sql: apsw.Connection) -> None:
    assert ids(sql, "SELECT id FROM t WHERE filter = 'id < 2' AND filter = 'id < 2'") == [0, 1]
    with pytest.raises(QueryError, match="two filters"):
        ids(sql, "SELECT id FROM t WHERE filter = 'id < 5' AND filter = 'id > 3'")


def test_the_authorizer_of_the_connection_counts(sql: apsw.Connection) -> None:
    def authorize(action: int, first: str | None, *rest: object) -> int:
        return apsw.SQLITE_DENY if action == apsw.SQLITE_READ and first == "chosen" else apsw.SQLITE_OK

    sql.authorizer = authorize
    with pytest.raises(QueryError, match=r"access to chosen\.id is prohibited"):
        ids(sql, FOUND, "id IN (SELECT id FROM chosen)")
    assert ids(sql, FOUND, "id = 3") == [3]
    sql.authorizer = None


def test_functions_that_no_view_may_use(sql: apsw.Connection) -> None:
    sql.create_scalar_function("secret", lambda: 1, flags=apsw.SQLITE_DIRECTONLY)
    with pytest.raises(QueryError, match="may not use secret"):
        ids(sql, FOUND, "secret() = 1")
    sql.create_scalar_function("regexp", lambda pattern, text: 1, 2, flags=apsw.SQLITE_DIRECTONLY)
    with pytest.raises(QueryError, match="may not use regexp"):
        ids(sql, FOUND, "body REGEXP 'a'")


def test_what_k_means(sql: apsw.Connection) -> None:
    """It counts before conditions that SQLite checks by itself; LIMIT counts behind all of them."""
    rest = "SELECT id FROM t WHERE t MATCH 'apple' AND +year = 2003 AND meta ->> 'lang' = 'de'"
    both = [number for number in range(0, COUNT, 10) if number % 7 == 3]
    for ending in (" ORDER BY distance LIMIT 3", " LIMIT 3", " ORDER BY rank LIMIT 3"):
        assert set(ids(sql, rest + ending)) <= set(both)
        assert len(ids(sql, rest + ending)) == 3
    assert sorted(ids(sql, rest + " ORDER BY distance LIMIT 100")) == both
    assert len(ids(sql, rest + " AND k = 3")) <= 3
    assert len(ids(sql, "SELECT id FROM t WHERE t MATCH 'apple' AND filter = ? AND k = 3", GERMAN)) == 3
    plan = (
        "EXPLAIN QUERY PLAN SELECT id FROM t WHERE t MATCH 'a' AND k = 3 AND filter = 'id' ORDER BY distance"
    )
    assert [row[3] for row in sql.execute(plan)] == [
        "SCAN t VIRTUAL TABLE INDEX 0:SCAN READ id FILTER ?3 MATCH * ?1 K ?2 BEFORE OTHER CONDITIONS"
    ]


def test_pythons_own_sqlite(tmp_path: Path) -> None:
    connection = sqlite3.connect(":memory:")
    if not hasattr(connection, "enable_load_extension"):
        import pysqlite3

        connection = pysqlite3.connect(":memory:")
    am.load(connection)
    connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}', {COLUMNS})")
    connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", ROWS[:40])
    connection.create_function("fourth", 1, lambda number: number % 4 == 0)
    found = connection.execute(FOUND + " ORDER BY distance LIMIT 3", ("fourth(id) AND id > 30",)).fetchall()
    assert sorted(found) == [(32,), (36,)]
    with pytest.raises(Exception, match="no such function: foo"):
        connection.execute(FOUND, ("foo(id)",)).fetchall()
    connection.close()
