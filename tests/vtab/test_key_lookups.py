"""A key that many rows have: they are read as SQLite asks for them, and all of them are right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pyarrow as pa
import pytest

from audiomem_sql.connections import connect
from audiomem_sql.scan import lookup
from audiomem_sql.storage.segment.column_blocks import ColumnBlocks
from audiomem_sql.table.table import Table

COUNT = 30_000
CITIES = ("Paris", "Rome", "Oslo", "paris")
ROWS = {
    number: (CITIES[number % 4], number % 10, f"{number:06d} " + "x" * (number % 90))
    for number in range(COUNT)
}
#: More statements than are needed for an index of the column.
OFTEN = 6


@pytest.fixture
def sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[apsw.Connection]:
    monkeypatch.setattr(lookup, "_FEW_OF", COUNT)  # an index also of these few cities
    path = tmp_path / "orders.flac"
    columns = ["id INTEGER PRIMARY KEY", "city TEXT", "size INTEGER", "note TEXT"]
    with Table.create(path, columns, {"profile": "embedded"}) as made:
        rows = [(number, *row) for number, row in ROWS.items()]
        names = ("id", "city", "size", "note")
        made.append(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))))
    connection = connect(path)
    for city in (*CITIES, *CITIES)[:OFTEN]:
        connection.execute("SELECT id FROM orders WHERE city = ? LIMIT 1", (city,)).fetchall()
    yield connection
    connection.close()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How many blocks of each column are decoded from now on."""
    counted: Counter[int] = Counter()
    decode: Any = ColumnBlocks._decode

    def counting(self: ColumnBlocks, column: int, *rest: Any, **options: Any) -> Any:
        counted[column] += 1
        return decode(self, column, *rest, **options)

    monkeypatch.setattr(ColumnBlocks, "_decode", counting)
    return counted


def expected(keep: Any) -> list[int]:
    return [number for number, row in ROWS.items() if keep(number, *row)]


def ids(sql: apsw.Connection, condition: str, *bindings: object) -> list[int]:
    return [row[0] for row in sql.execute(f"SELECT id FROM orders WHERE {condition}", bindings)]


def test_limit_reads_what_it_needs(sql: apsw.Connection, decoded: Counter[int]) -> None:
    assert sql.execute("SELECT id, note FROM orders WHERE city = 'Rome' LIMIT 3").fetchall() == [
        (number, ROWS[number][2]) for number in (1, 5, 9)
    ]
    assert decoded[3] == 1
    # no column of the answer is decoded before its rows are asked for, also behind a filter that fails often
    decoded.clear()
    (found,) = ids(sql, "city = 'Oslo' AND note LIKE '000___ %' AND size = 2 LIMIT 1")
    assert found == 2
    assert decoded[3] <= 1


def test_all_rows_of_a_key(sql: apsw.Connection) -> None:
    for city in CITIES:
        assert ids(sql, "city = ?", city) == expected(lambda n, c, s, t, city=city: c == city)
    assert ids(sql, "city = 'Nice'") == []
    assert ids(sql, "city = 'Rome' AND size > 4") == expected(lambda n, c, s, t: c == "Rome" and s > 4)
    assert ids(sql, "city = 'Rome' AND size > 9") == []
    assert sorted(ids(sql, "city IN ('Rome', 'Oslo')")) == expected(lambda n, c, s, t: c in ("Rome", "Oslo"))
    assert ids(sql, "city = 'PARIS' COLLATE NOCASE") == expected(lambda n, c, s, t: c.lower() == "paris")
    assert sql.execute("SELECT id, note FROM orders WHERE city = 'Oslo'").fetchall() == [
        (number, row[2]) for number, row in ROWS.items() if row[0] == "Oslo"
    ]


def test_deleted_rows_and_those_of_a_transaction(sql: apsw.Connection) -> None:
    gone = set(range(0, COUNT, 3))
    sql.execute("DELETE FROM orders WHERE id % 3 = 0")
    left = [number for number in expected(lambda n, c, s, t: c == "Rome") if number not in gone]
    assert ids(sql, "city = 'Rome'") == left
    sql.execute("BEGIN")
    sql.execute("INSERT INTO orders VALUES (99999, 'Rome', 3, 'new'), (99998, 'Oslo', 3, 'new')")
    sql.execute("UPDATE orders SET city = 'Rome', note = 'moved' WHERE id = 2")
    assert sorted(ids(sql, "city = 'Rome'")) == sorted([*left, 2, 99999])
    assert sorted(ids(sql, "city = 'Rome' AND size = 3")) == [
        *(n for n in left if ROWS[n][1] == 3), 99999
    ]  # fmt: skip
    assert sql.execute("SELECT note FROM orders WHERE city = 'Rome' AND id = 2").fetchall() == [("moved",)]
    sql.execute("ROLLBACK")
    assert ids(sql, "city = 'Rome'") == left


def test_a_cursor_that_is_left_early(sql: apsw.Connection) -> None:
    first = sql.execute("SELECT id FROM orders WHERE city = 'Rome'")
    assert [next(first)[0] for _ in range(70)] == expected(lambda n, c, s, t: c == "Rome")[:70]
    first.close()
    join = "SELECT count(*) FROM orders a JOIN orders b ON b.city = a.city AND b.size = a.size WHERE a.id < 8"
    same = sum(1 for a in range(8) for row in ROWS.values() if row[0] == ROWS[a][0] and row[1] == ROWS[a][1])
    assert sql.execute(join).fetchall() == [(same,)]
