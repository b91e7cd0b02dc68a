"""A time is found in every spelling by the filters of tables: where=, replace=, searches, and those of DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import apsw
import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spellings import NO_TIMES, TIMES, spellings

import audiomem_sql as am
from audiomem_sql.columns.timestamps import render
from audiomem_sql.connections import load
from audiomem_sql.errors import DataTypeError
from audiomem_sql.table.table import Table

TEN = datetime(2024, 3, 1, 10)
TENS = (
    TEN,
    TEN.replace(tzinfo=UTC),
    TEN.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=-9, minutes=-30))),
    pd.Timestamp(TEN),
    pd.Timestamp(TEN, tz="Europe/Berlin").tz_convert("UTC") + pd.Timedelta(hours=1),
    np.datetime64("2024-03-01T10:00"),
    np.datetime64("2024-03-01T10", "h"),
    "2024-03-01T10:00:00Z",
    "2024-03-01 12:00+02:00",
    "2024-03-01t10:00:00.000000000",
)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    """A row for each hour of a day, and one without."""
    columns = ["id INTEGER PRIMARY KEY", "seen TIMESTAMP", "word TEXT SEMANTIC INDEXED"]
    with Table.create(tmp_path / "t.flac", columns, {"model": "hashing"}) as made:
        hours: list[Any] = [TEN.replace(hour=hour) for hour in range(24)]
        made.append([{"id": i, "seen": seen, "word": "hour"} for i, seen in enumerate([*hours, None])])
        yield made


def found(table: Table, where: str, *parameters: Any) -> list[int]:
    ids: list[int] = table.to_arrow(["id"], where=where, parameters=parameters).column(0).to_pylist()
    return ids


@pytest.mark.parametrize("ten", TENS, ids=repr)
def test_filters_take_every_spelling(table: Table, ten: Any) -> None:
    for where, expected in (
        ("seen = ?", [10]),
        ("? = seen", [10]),
        ("seen IS ?", [10]),
        ("seen <> ? AND id < 12", [*range(10), 11]),
        ("seen IS NOT ? AND id > 21", [22, 23, 24]),
        ("seen < ?", list(range(10))),
        ("seen <= ?", list(range(11))),
        ("? < seen", list(range(11, 24))),
        ("seen >= ?", list(range(10, 24))),
        ("seen BETWEEN ? AND '2024-03-01T11:00Z'", [10, 11]),
        ("seen IN (?, '2024-03-01T11:00+00:00', NULL)", [10, 11]),
        ("NOT seen IN (?, '2024-03-01T11:00+00:00') AND id > 8", [9, *range(12, 24)]),
        ("seen = ? OR id = 3", [3, 10]),
        ("(seen > ? AND id < 12) OR seen IS NULL", [11, 24]),
    ):
        assert found(table, where, ten) == expected, where
    assert [row["id"] for row in table.search("hour", where="seen >= ?", parameters=(ten,)).to_pylist()] == [
        *range(10, 20)
    ]
    assert table.top("id DESC", where="seen < ?", parameters=(ten,), k=2)["id"].to_pylist() == [9, 8]
    table.append([{"id": 100, "word": "new"}], replace="seen >= ?", parameters=(ten,))
    assert found(table, "id >= 0") == [*range(10), 24, 100]


@pytest.mark.parametrize("ten", TENS, ids=repr)
def test_what_sqlite_decides_takes_every_spelling(table: Table, ten: Any) -> None:
    """Expressions that no zone map decides: the rows go through SQLite."""
    for where, expected in (
        ("(seen = ?) + 0", [10]),
        ("(seen <> ?) * (id < 12)", [*range(10), 11]),
        ("(seen IS NOT ?) + 0 AND id > 21", [22, 23, 24]),
        ("CASE WHEN seen < ? THEN 1 END", list(range(10))),
        ("iif(seen <= ?, 1, 0)", list(range(11))),
        ("(seen > ?) - (id % 2) > 0", [12, 14, 16, 18, 20, 22]),
        ("(seen IN ('2024-03-01T11:00+00:00', ?)) + 0", [10, 11]),
        ("(seen BETWEEN ? AND '2024-03-01T11:00Z') + 0", [10, 11]),
        ("CASE seen WHEN ? THEN 1 END", [10]),
        ("seen = (SELECT max(value) FROM json_each(json_array(?)))", [10]),
    ):
        assert found(table, where, ten) == expected, where
    table.append([{"id": 100}], replace="(seen >= ?) + 0", parameters=(ten,))
    assert found(table, "id >= 0") == [*range(10), 24, 100]


def test_dates_are_midnights_and_texts_of_days(table: Table) -> None:
    assert found(table, "seen = ?", date(2024, 3, 1)) == [0]
    assert found(table, "seen > ?", date(2024, 2, 29)) == list(range(24))
    assert found(table, "seen = ?", pd.NaT) == []
    table.append([{"id": 50, "word": "2024-03-01"}, {"id": 51, "word": "10:30:00"}])
    assert found(table, "word = ?", date(2024, 3, 1)) == [50]
    assert found(table, "word = ?", time(10, 30)) == [51]


@pytest.mark.parametrize(
    "where", ["seen = ?", "seen < ?", "seen IN ('2024-03-01', ?)", "id = 3 OR seen IS NOT ?"]
)
def test_what_is_no_time_is_an_error(table: Table, where: str) -> None:
    for value in (*NO_TIMES, 5, 1.5, b"x", time(10)):
        with pytest.raises(DataTypeError, match=r"column seen: .*(timestamp|finer)"):
            found(table, where, value)
        with pytest.raises(DataTypeError, match="column seen"):
            table.append([{"id": 100}], replace=where, parameters=(value,))
        with pytest.raises(DataTypeError, match="column seen"):
            table.search("hour", where=where, parameters=(value,))
    with pytest.raises(DataTypeError, match=r"parameter 1: .*finer than a microsecond"):
        found(table, where, pd.Timestamp("2024-03-01 10:00:00.000000001"))
    assert len(table) == 25


def test_where_agrees_with_sql_and_duckdb_about_any_spelling(table: Table, tmp_path: Path) -> None:
    """Rows of random times, conditions with random spellings: the model compares integers."""
    connection = am.connect(tmp_path / "t.flac")
    duck = duckdb.connect()
    am.attach(duck, table)
    am.register_duckdb(duck)
    compare = {
        "=": int.__eq__,
        "<>": int.__ne__,
        "<": int.__lt__,
        "<=": int.__le__,
        ">": int.__gt__,
        ">=": int.__ge__,
    }

    @settings(max_examples=25, deadline=None, database=None)
    @given(st.data(), st.lists(TIMES, min_size=1, max_size=6))
    def check(data: st.DataObject, times: list[int]) -> None:
        rows = [{"id": i, "seen": data.draw(spellings(us))} for i, us in enumerate(times)]
        table.append(rows, replace="id >= 0")
        for _ in range(4):
            us, op = (
                data.draw(st.one_of(st.sampled_from(times), TIMES)),
                data.draw(st.sampled_from([*compare])),
            )
            where = f"seen {op} '{data.draw(spellings(us))}'"
            expected = [i for i, stored in enumerate(times) if compare[op](stored, us)]
            assert found(table, where) == expected
            ids = [row[0] for row in connection.execute(f"SELECT id FROM t WHERE {where} ORDER BY id")]
            assert ids == expected
            literal = where.replace("'", "''")
            scan = f"SELECT id FROM audiomem_scan('{tmp_path}/t.flac', filter := '{literal}') ORDER BY id"
            assert [row[0] for row in duck.execute(scan).fetchall()] == expected
            plain = f"seen {op} '{data.draw(spellings(us, zoned=False))}'"
            own = duck.execute(f"SELECT id FROM t WHERE {plain} ORDER BY id").fetchall()
            assert [row[0] for row in own] == expected == found(table, plain)
        ordered = sorted(range(len(times)), key=lambda i: (times[i], i))
        assert [row[0] for row in connection.execute("SELECT id FROM t ORDER BY seen, id")] == ordered
        texts = [row[0] for row in connection.execute("SELECT seen FROM t ORDER BY id")]
        assert texts == [render(us) for us in times]

    check()
    connection.close()


def test_the_extension_of_duckdb_says_what_is_no_time(table: Table, tmp_path: Path) -> None:
    duck = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    load(duck)
    scan = f"SELECT count(*) FROM audiomem_scan('{tmp_path}/t.flac', filter := 'seen >= ''{{}}''')"
    assert duck.execute(scan.format("2024-03-01T12:00:00+02:00")).fetchall() == [(14,)]
    with pytest.raises(duckdb.Error, match="column seen: 'yesterday' is no timestamp"):
        duck.execute(scan.format("yesterday")).fetchall()
    search = f"SELECT count(*) FROM audiomem_search('{tmp_path}/t.flac', 'hour', k := 99, filter := 'seen < ''{{}}''')"
    assert duck.execute(search.format("2024-03-01T12:00:00+02:00")).fetchall() == [(10,)]


def test_read_sql_and_apsw_take_datetimes(table: Table, tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    for ten in TENS:
        assert am.read_sql("SELECT id FROM t WHERE seen = ?", path, (ten,))["id"].tolist() == [10]
        assert am.read_sql("SELECT id FROM t WHERE seen = :at", path, {"at": ten})["id"].tolist() == [10]
        if not isinstance(ten, np.datetime64):  # apsw binds what has a buffer as a blob, and asks nobody
            with am.connect(path) as connection:
                assert connection.execute("SELECT id FROM t WHERE seen = ?", (ten,)).fetchall() == [(10,)]
    with pytest.raises(DataTypeError, match="finer than a microsecond"):
        am.read_sql("SELECT ?", path, (pd.Timestamp("2024-03-01 10:00:00.000000001"),))


def test_a_connection_keeps_its_own_way_to_convert(tmp_path: Path) -> None:
    connection = apsw.Connection(":memory:")
    connection.convert_binding = lambda cursor, number, value: "its own"
    am.register(connection)
    assert connection.execute("SELECT ?", (TEN,)).fetchall() == [("its own",)]
    connection.close()
