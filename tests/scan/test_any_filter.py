"""A filter may be any expression of SQL on a row: it means what SQLite means, and comes before the top-k."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw
import pytest

from audiomem_sql.errors import QueryError
from audiomem_sql.storage.segment.column_blocks import ColumnBlocks
from audiomem_sql.table.table import Table

COUNT = 1200
COLUMNS = [
    "id INTEGER PRIMARY KEY",
    "body TEXT INDEXED",
    "meta JSON",
    "year INTEGER",
    "seen TIMESTAMP",
    "price REAL",
    "tag TEXT COLLATE NOCASE",
    "raw BLOB",
    '"end" INTEGER',
]
NATIVE = (
    "id INTEGER PRIMARY KEY, body TEXT, meta TEXT, year INTEGER, seen TEXT, price REAL, "
    'tag TEXT COLLATE NOCASE, raw BLOB, "end" INTEGER'
)


def row(number: int) -> tuple[Any, ...]:
    rng = random.Random(number)
    language = "de" if number % 10 == 0 else "en"
    return (
        number + 5,
        None if number % 17 == 0 else f"apple number {number}",
        None
        if number % 13 == 0
        else f'{{"lang": "{language}", "tags": ["a{number % 3}", "b"], "n": {number}}}',
        None if number % 11 == 0 else 2000 + number % 30,
        f"20{number % 30:02d}-03-02 11:30:00",
        None if number % 7 == 0 else round(rng.random() * 100, 3),
        rng.choice(["Red", "red", "BLUE", "ä", None]),
        None if number % 5 else bytes([number % 256, 0]),
        number % 4,
    )


ROWS = [row(number) for number in range(COUNT)]

CONDITIONS = [
    "meta ->> 'lang' = 'de'",
    "meta ->> '$.tags[0]' = 'a1' AND year > 2010",
    "id % 10 = 0",
    "lower(meta) LIKE '%\"de\"%'",
    "substr(body, -1) = '0'",
    "price > year / 50",
    "year + 1 BETWEEN 2010 AND 2012 AND NOT id % 2",
    "NOT (meta ->> 'lang' = 'de' OR year > 2010)",
    "meta ->> 'lang' = 'de' OR seen > '2020-06-01' AND price < 10",
    "tag = 'RED' COLLATE BINARY",
    "tag || '' = 'RED'",
    "tag IN ('red', lower('BLUE'))",
    "CASE WHEN year > 2015 AND price > 50 THEN 1 WHEN price < 1 THEN 0 END",
    "EXISTS (SELECT 1 FROM json_each(meta, '$.tags') WHERE value = 'a2')",
    "(SELECT count(*) FROM json_each(meta, '$.tags') WHERE value LIKE 'a%' AND value > 'a0') = 1",
    "(year, id % 3) = (2010, 1)",
    "(year) > 2010 AND ((body) LIKE '%7' ESCAPE '!')",
    "coalesce(price, -1) < 0",
    "NOT price",
    "NOT (price + year)",
    "year IS NOT DISTINCT FROM 2005",
    "hex(raw) LIKE '00%'",
    "rowid + 0 = 17 OR id - 5 = 18",
    "length(body) = 14 -- a comment\n AND year = 2004",
    "/* AND */ 'AND' <> body || 'OR'",
    "end + 0 > 2 AND year > 2010",
    '"end" > 2 AND year + 0 > 2010',
    "typeof(price) = 'null' AND typeof(seen) = 'text'",
    "date(seen) = '2004-03-02'",
    "max(year, 2020) > 2020",
    "0 OR 1 + 1",
    "(WITH RECURSIVE c(x) AS (VALUES (1) UNION SELECT x + 1 FROM c WHERE x < 3) SELECT sum(x) FROM c) = id",
    "(WITH RECURSIVE c(x) AS (VALUES (1) UNION SELECT x + 1 FROM c WHERE x < 3) SELECT count(*) FROM c) = id",
    "id < (SELECT count(*) FROM (VALUES (1), (2), (3)))",
    "EXISTS (WITH c(x) AS (VALUES (7)) SELECT 1 FROM c) AND id = 2",
    "id IN (WITH c(x) AS (VALUES (7), (9)) SELECT x + 1 FROM c)",
]


@pytest.fixture(scope="module")
def native() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute(f"CREATE TABLE t({NATIVE})")
    connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", ROWS)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    path = tmp_path_factory.mktemp("filter") / "t.flac"
    with Table.create(path, COLUMNS, {"profile": "embedded"}) as made:
        names = made.schema.names
        made.append([dict(zip(names, each, strict=True)) for each in ROWS[:1100]])
        made.checkpoint()
        made.append([dict(zip(names, each, strict=True)) for each in ROWS[1100:]])
        yield made


def ids(native: apsw.Connection, condition: str, *bindings: Any) -> list[int]:
    return [each for (each,) in native.execute(f"SELECT id FROM t WHERE {condition}\n ORDER BY id", bindings)]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_it_means_what_sqlite_means(table: Table, native: apsw.Connection, condition: str) -> None:
    expected = ids(native, condition)
    assert table.to_arrow(["id"], condition)["id"].to_pylist() == expected
    # and its opposite, which NULL is not
    opposite = f"NOT ({condition}\n)"
    assert table.to_arrow(["id"], opposite)["id"].to_pylist() == ids(native, opposite)


def test_it_comes_before_the_ranking(table: Table, native: apsw.Connection) -> None:
    for condition in ("meta ->> 'lang' = 'de'", "id % 10 = 0", "id % 500 = 7 OR price * 2 = -1"):
        expected = set(ids(native, f"({condition}) AND body IS NOT NULL"))
        for k in (10, COUNT):
            found = table.search("apple OR number", k=k, where=condition, columns=["id"])["id"].to_pylist()
            assert len(found) == min(k, len(expected))
            assert set(found) <= expected
        assert table.top("id DESC", 3, condition)["id"].to_pylist() == ids(native, condition)[:-4:-1]


def test_parameters(table: Table, native: apsw.Connection) -> None:
    condition = "meta ->> ? = ? AND (year > ? OR price * 2 < ?) AND seen >= ?"
    values = ("lang", "en", 2025, 4.5, datetime(2010, 1, 1))
    expected = ids(native, condition, *values[:4], "2010-01-01 00:00:00")
    assert table.to_arrow(["id"], condition, values)["id"].to_pylist() == expected
    assert 0 < len(expected) < COUNT
    assert table.to_arrow(["id"], "abs(?) = 1 AND id = ?", (-1, 7))["id"].to_pylist() == [7]
    assert table.to_arrow(["id"], "id = ? AND '?' <> ? || ''", (7, "a"))["id"].to_pylist() == [7]


def test_the_part_that_prunes_still_does(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: Counter[int] = Counter()
    decode: Any = ColumnBlocks._decode

    def counting(self: ColumnBlocks, column: int, *rest: Any, **options: Any) -> Any:
        decoded[column] += 1
        return decode(self, column, *rest, **options)

    with Table(table.path) as reader:
        monkeypatch.setattr(ColumnBlocks, "_decode", counting)
        assert reader.to_arrow(["id"], "meta ->> 'n' = 40 AND id = 45")["id"].to_pylist() == [45]
        assert reader.to_arrow(["id"], "meta ->> 'n' = 40 AND id = 45 AND price = -1")["id"].to_pylist() == []
        assert reader.to_arrow(["id"], "id < 0 AND upper(tag) = 'RED'")["id"].to_pylist() == []
    names = table.schema.names
    assert decoded[names.index("meta")] <= 1
    assert decoded[names.index("tag")] == 0


def test_many_threads(table: Table, native: apsw.Connection) -> None:
    condition = "meta ->> 'lang' = 'de' OR substr(body, -2) = '77'"
    expected = ids(native, condition)
    found: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda: found.append(table.to_arrow(["id"], condition)["id"].to_pylist()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_rows_of_a_transaction_and_replace(tmp_path: Path) -> None:
    with Table.create(tmp_path / "r.flac", ["id INTEGER PRIMARY KEY", "meta JSON"]) as made:
        made.append([{"id": number, "meta": f'{{"v": {number}}}'} for number in range(6)])
        transaction = made.begin()
        transaction.insert(9, (9, '{"v": 40}'))
        assert made.to_arrow(["id"], "meta ->> 'v' > 3")["id"].to_pylist() == [4, 5, 9]
        made.rollback()
        made.append([{"id": 7, "meta": None}], replace="meta ->> 'v' % 2 = ?", parameters=[0])
        assert made.to_arrow(["id"])["id"].to_pylist() == [1, 3, 5, 7]


@pytest.mark.parametrize(
    ("condition", "place", "what"),
    [
        ("year > 2020 AND lower(titel) = 'a'", 22, "there is no column 'titel'; there are id, body"),
        ("year > 2020 AND foo(year) = 3", 16, "no such function: foo"),
        ("lower(body) = ", 13, "ends where a column or a value"),
        ("lower(body) = 'a' AND", 21, "a condition is missing"),
        ("'ä' <> lower(body) + + * 3", 23, 'near "*": syntax error'),
        ("max(year) = 3", 0, "misuse of aggregate"),
        ("year = (SELECT max(year) FROM t)", 0, "no such table: t; sub-selects of tables need a connection"),
        ("lower(body) = :name", 14, "a parameter is a question mark alone"),
        ("abs(id) = ?1", 11, "a parameter is a question mark alone"),
        ("abs(id) = 1) OR (1", 0, "no expression of SQL"),
        ("abs(id) = 1; DROP TABLE t", 0, "no expression of SQL"),
        ("(SELECT seq FROM pragma_database_list) = 1", 0, "prohibited"),
        ("load_extension('x') = 1", 0, "not authorized"),
        ('abs(id) = "a"', 10, "there is no column 'a'; there are"),
    ],
)
def test_errors_point_at_the_place(table: Table, condition: str, place: int, what: str) -> None:
    for call in (table.scan, lambda columns, where: table.search("a", where=where, columns=columns)):
        with pytest.raises(QueryError) as caught:
            call(["id"], condition)
        _, line, caret = str(caught.value).splitlines()
        assert line == f"  {condition}"
        assert what in caret
        assert caret.index("^") - 2 == place


def test_other_errors(table: Table) -> None:
    for parameters in ((), (1, 2)):
        with pytest.raises(QueryError, match="1 question marks, and there are"):
            table.scan(["id"], "abs(id) = ?", parameters)
    with pytest.raises(QueryError, match="parameter 1: a value of type complex"):
        table.scan(["id"], "abs(id) = ?", (1j,))
    with pytest.raises(QueryError, match="beyond 64 bits"):
        table.scan(["id"], "abs(id) = ?", (1 << 63,))
    with pytest.raises(QueryError, match=r"row 9: the filter .* fails: malformed JSON") as caught:
        list(table.scan(["id"], "json(iif(id = 9, 'x', '1')) = '1'"))
    assert "json_valid" in str(caught.value)
    deep = "(" * 3000 + "abs(id)" + ")" * 3000
    with pytest.raises(QueryError, match="cannot be understood"):
        table.scan(["id"], deep)
    flat = " OR ".join(["abs(id) = 8"] * 200)
    assert table.to_arrow(["id"], flat)["id"].to_pylist() == [8]
