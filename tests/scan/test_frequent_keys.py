"""A key that many rows have needs no index; any other gets one when it was looked up often."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import audiomem_sql
from audiomem_sql.indexes.keys.index import LOOKUPS_BEFORE_INDEX, KeyIndex
from audiomem_sql.scan.lookup import find_by_key
from audiomem_sql.table.table import Table

ROWS = 40_000
CITIES = ("Paris", "London", "Rome", None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "t.flac"
    with Table.create(path, ["id INTEGER PRIMARY KEY", "city TEXT", "n INTEGER", "name TEXT"]) as table:
        numbers = range(ROWS)
        columns = {
            "city": [CITIES[number % 4] if number % 5000 else "Oslo" for number in numbers],
            "n": [number % 7 for number in numbers],
            "name": [f"name {number}" for number in numbers],
        }
        table.append(pa.table(columns))
    return path


@pytest.mark.parametrize(
    ("column", "key", "expected", "indexed"),
    [
        ("city", "Paris", None, False),
        ("n", 3, None, False),
        ("city", "Oslo", ROWS // 5000, True),
        ("city", "Bergen", 0, True),
        ("name", "name 17", 1, True),
    ],
)
def test_which_keys_are_indexed(
    path: Path, column: str, key: object, expected: int | None, indexed: bool
) -> None:
    with Table(path) as table:
        place = table.schema.index(column)
        (view,) = table.snapshot.views
        for _ in range(LOOKUPS_BEFORE_INDEX + 3):
            found = find_by_key(table.snapshot, place, "BINARY", [key])
        assert isinstance(view.segment.indexes[place, "BINARY"], KeyIndex) == indexed
        assert (None if found is None else len(found)) == expected  # type: ignore[arg-type]


def test_an_index_that_is_there_is_used(path: Path) -> None:
    with Table(path) as table:
        place = table.schema.index("city")
        for _ in range(LOOKUPS_BEFORE_INDEX):
            find_by_key(table.snapshot, place, "BINARY", ["Bergen"])
        assert find_by_key(table.snapshot, place, "BINARY", ["Paris"]) is not None


def test_the_same_answers_again_and_again(path: Path) -> None:
    connection = audiomem_sql.connect(path)
    for _ in range(2 * LOOKUPS_BEFORE_INDEX):
        assert connection.execute("SELECT id FROM t WHERE city = 'Paris' LIMIT 2").fetchall() == [(5,), (9,)]
        assert connection.execute("SELECT count(*) FROM t WHERE city = 'London'").get == ROWS // 4
        joined = connection.execute(
            "SELECT c, count(*) FROM (SELECT 'Rome' AS c UNION SELECT 'Oslo') JOIN t ON city = c GROUP BY c"
        )
        assert joined.fetchall() == [("Oslo", ROWS // 5000), ("Rome", ROWS // 4)]
    connection.close()
