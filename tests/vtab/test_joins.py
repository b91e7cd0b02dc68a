"""Joins: what reaches the planner, and how much work a ten-way join is. Work is counted, never timed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from model import ModelColumn, Twins

from audiomem_sql.indexes.keys.index import KeyIndex
from audiomem_sql.storage.segment.column_blocks import ColumnBlocks
from audiomem_sql.vtab import rows

COLUMNS = (
    ModelColumn("id", "INTEGER", ("PRIMARY KEY",)),
    ModelColumn("code", "TEXT"),
    ModelColumn("num", "INTEGER"),
    ModelColumn("word", "TEXT", (), "NOCASE"),
    ModelColumn("x", "REAL"),
)
TABLES = 10
#: On which columns table n is joined to table n - 1: keys and others, numbers and texts.
JOINS = (
    "id = num",
    "code = code",
    "num = id",
    "id = num",
    "code = code",
    "word = word",
    "id = id",
    "code = code",
    "num = id",
)


@pytest.fixture
def ten(twins: Twins) -> Twins:
    """Ten tables t0 … t9 of 200 to 1,000 rows."""
    for number in range(TABLES):
        chance = random.Random(number)
        size = 200 + number * 97 % 801
        twins.create(f"t{number}", *COLUMNS)
        rows = []
        for rowid in range(1, size + 1):
            code, num, word, x = (
                chance.randrange(size),
                chance.randrange(size),
                chance.randrange(size),
                chance.random(),
            )
            rows.append((rowid, f"code{code}", num, f"{'wW'[rowid % 2]}{word}", x))
        for prefix in "na":
            with twins.connection:
                twins.connection.executemany(f"INSERT INTO {prefix}_t{number} VALUES (?, ?, ?, ?, ?)", rows)
    return twins


class Work:
    """Counts what the cursors did."""

    def __init__(self) -> None:
        self.filters = self.scans = self.indexes = 0
        self.decoded: Counter[tuple[int, int, int]] = Counter()
        #: kept, so that no later object gets the number of a freed one
        self.readers: list[ColumnBlocks] = []


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    counted = Work()
    decode, scan, filter_, index = (
        ColumnBlocks._decode,
        rows.scan,
        rows.Rows.begin,
        KeyIndex.__init__,
    )

    def decoded(self: ColumnBlocks, column: int, number: int, *rest: Any, **options: Any) -> Any:
        counted.readers.append(self)
        counted.decoded[id(self), column, number] += 1
        return decode(self, column, number, *rest, **options)

    def scanned(*arguments: Any, **options: Any) -> Any:
        counted.scans += 1
        return scan(*arguments, **options)

    def filtered(self: rows.Rows, *arguments: Any) -> Any:
        counted.filters += 1
        return filter_(self, *arguments)

    def indexed(self: KeyIndex, *arguments: Any) -> None:
        counted.indexes += 1
        index(self, *arguments)

    monkeypatch.setattr(ColumnBlocks, "_decode", decoded)
    monkeypatch.setattr(rows, "scan", scanned)
    monkeypatch.setattr(rows.Rows, "begin", filtered)
    monkeypatch.setattr(KeyIndex, "__init__", indexed)
    return counted


def plan(twins: Twins, sql: str) -> list[str]:
    lines = twins.plan(twins.fill(sql, lambda _: "a")).splitlines()
    return [line.partition("INDEX ")[2].partition(":")[2] for line in lines if "VIRTUAL TABLE" in line]


def test_equalities_of_a_join_reach_the_planner(ten: Twins) -> None:
    first, second = plan(ten, "SELECT 1 FROM {t0} AS a JOIN {t1} AS b ON b.id = a.num")
    assert first == "SCAN READ num"
    assert second == "WHERE rowid = ?1 READ id"
    for column in ("code", "num", "word", "x"):
        _, inner = plan(ten, f"SELECT 1 FROM {{t0}} AS a JOIN {{t1}} AS b USING ({column})")
        assert inner.startswith(f"WHERE {column} = ?1")
    _, inner = plan(ten, "SELECT 1 FROM {t0} AS a JOIN {t1} AS b USING (word)")
    assert "COLLATE NOCASE" in inner


def test_several_conditions_reach_the_planner_together(ten: Twins) -> None:
    _, inner = plan(
        ten,
        "SELECT b.x FROM {t0} AS a CROSS JOIN {t1} AS b ON b.code = a.code AND b.num > a.num AND b.x < 0.5",
    )
    assert inner == "WHERE code = ?1 AND num > ?2 AND x < ?3 READ code, num, x"


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">="])
def test_ranges_of_a_join_reach_the_planner(ten: Twins, operator: str) -> None:
    _, inner = plan(ten, f"SELECT 1 FROM {{t0}} AS a CROSS JOIN {{t1}} AS b ON b.num {operator} a.num")
    assert inner == f"WHERE num {operator} ?1 READ num"


def test_between_of_a_join_reaches_the_planner(ten: Twins) -> None:
    _, inner = plan(ten, "SELECT 1 FROM {t0} AS a CROSS JOIN {t1} AS b ON b.id BETWEEN a.num AND a.num + 5")
    assert inner == "WHERE rowid >= ?1 AND rowid <= ?2 READ id"


def test_left_joins_and_correlated_subqueries_look_up(ten: Twins) -> None:
    _, inner = plan(ten, "SELECT 1 FROM {t0} AS a LEFT JOIN {t1} AS b ON b.num = a.id AND b.code = 'code1'")
    assert inner.startswith(("WHERE num = ?", "WHERE code = ?"))
    _, inner = plan(ten, "SELECT (SELECT max(b.x) FROM {t1} AS b WHERE b.num = a.id) FROM {t0} AS a")
    assert inner == "WHERE num = ?1 READ num, x"
    _, inner = plan(ten, "SELECT 1 FROM {t0} AS a WHERE EXISTS (SELECT 1 FROM {t1} AS b WHERE b.id = a.num)")
    assert inner == "WHERE rowid = ?1 READ id"


def test_a_native_table_drives_ours_and_the_other_way_round(ten: Twins) -> None:
    for sql in (
        "SELECT 1 FROM n_t0 AS a CROSS JOIN a_t1 AS b ON b.code = a.code",
        "SELECT 1 FROM a_t1 AS b, n_t0 AS a WHERE b.id = a.id",
    ):
        assert "WHERE " in ten.plan(sql) or "INTEGER PRIMARY KEY" in ten.plan(sql)
        ten.same(sql.replace("n_t0", "{t0}").replace("a_t1", "{t1}"), mixed=True)


def ten_way() -> str:
    """A join of all ten tables."""
    text = "SELECT count(*), total(t0.x ORDER BY t0.id), total(t9.x ORDER BY t9.id, t0.id) FROM {t0} AS t0"
    for number, columns in enumerate(JOINS, start=1):
        own, other = columns.split(" = ")
        text += f" JOIN {{t{number}}} AS t{number} ON t{number}.{own} = t{number - 1}.{other}"
    return text


def test_a_ten_way_join_looks_up_by_key(ten: Twins, work: Work) -> None:
    ten.reopen()
    result = ten.same(ten_way())
    assert result.rows is not None
    assert int(result.rows[0][0][1]) > 0
    lines = plan(ten, ten_way())
    assert [line.startswith("WHERE ") for line in lines] == [False] + [True] * 9
    # the outer table is scanned, once, and everything else is found by key
    assert work.scans == 1
    assert work.indexes <= 9
    assert work.filters > 500
    # nothing is decoded twice, however often it is looked at
    assert set(work.decoded.values()) == {1}


def test_the_second_join_decodes_and_indexes_nothing(ten: Twins, work: Work) -> None:
    ten.same(ten_way())
    work.decoded.clear()
    work.indexes = 0
    ten.same(ten_way())
    assert not work.decoded
    assert not work.indexes


@pytest.mark.parametrize("column", ["code", "num", "word", "x"])
def test_no_column_is_scanned_for_each_row(ten: Twins, work: Work, column: str) -> None:
    ten.same(
        f"SELECT count(*) FROM {{t0}} AS a JOIN {{t1}} AS b USING ({column}) JOIN {{t2}} AS c USING ({column})"
    )
    assert work.scans == 1


def test_rows_of_an_open_transaction_are_indexed_as_well(ten: Twins, work: Work) -> None:
    ten.connection.execute("BEGIN")
    for number in (0, 1):
        ten.write(f"INSERT INTO {{t{number}}} SELECT id + 5000, code, num, word, x FROM {{t{number}}}")
    assert work.scans
    work.scans = 0
    for column in ("code", "word"):
        ten.same(f"SELECT count(*) FROM {{t0}} AS a JOIN {{t1}} AS b USING ({column})")
    assert work.scans == 2
    ten.connection.execute("ROLLBACK")


@pytest.mark.parametrize("kind", ["RIGHT", "FULL"])
def test_like_with_escape_of_a_number_beside_an_outer_join(ten: Twins, kind: str) -> None:
    sql = (
        "SELECT w.num, b.num FROM (SELECT * FROM {t0} AS a WHERE a.num LIKE 'x%' ESCAPE '!') AS w "
        f"{kind} JOIN {{t1}} AS b ON w.num = b.num"
    )
    assert ten.same(sql, mixed=True).rows
