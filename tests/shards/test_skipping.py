"""A key opens one shard, and conditions leave out the shards that have no such rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from audiomem_sql.connections import connect
from audiomem_sql.errors import OptionError
from audiomem_sql.shards import ShardedSnapshot
from audiomem_sql.table.table import Table
from shards.sharded import create, opened, row


def test_a_key_opens_one_shard(tmp_path: Path) -> None:
    create(tmp_path / "t.shards", 300, 8).close()
    for where, most in (
        ("code = 'c5'", 1),
        ("code IN ('c5', 'c7')", 2),
        ("code = 'c5' AND year = 5", 1),
        ("code = 'nobody'", 1),
        ("code = 'c5' AND code = 'c5'", 1),
        ("year = 7", 8),
        ("code > 'c5'", 8),
    ):
        with Table(tmp_path / "t.shards") as table:
            assert len(table) == 300
            assert opened(table) == []
            found = table.to_arrow(["code"], where)["code"].to_pylist()
            assert len(opened(table)) == most, where
            everything = table.to_arrow()
            assert sorted(found) == sorted(
                each["code"]
                for each in everything.to_pylist()
                if {
                    "code = 'nobody'": False,
                    "year = 7": each["year"] == 7,
                    "code > 'c5'": each["code"] > "c5",
                    "code IN ('c5', 'c7')": each["code"] in ("c5", "c7"),
                }.get(where, each["code"] == "c5")
            )


@pytest.mark.parametrize("extension", ["on", "off"])
def test_sql_opens_one_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str) -> None:
    monkeypatch.setenv("AUDIOMEM_EXTENSION", extension)
    create(tmp_path / "t.shards", 300, 8).close()
    made: list[Table] = []
    begin = Table.__init__

    def noted(table: Table, *given: object, **named: object) -> None:
        begin(table, *given, **named)  # type: ignore[arg-type]
        made.append(table)

    monkeypatch.setattr(Table, "__init__", noted)
    connection = connect(tmp_path / "t.shards")
    (table,) = made
    assert connection.execute("SELECT year FROM t WHERE code = 'c5'").fetchall() == [(5,)]
    assert len(opened(table)) == 1
    connection.execute("UPDATE t SET year = 500 WHERE code = 'c5'")
    assert connection.execute("SELECT year FROM t WHERE code = 'c5'").fetchall() == [(500,)]
    assert len(opened(table)) == 1
    connection.execute("INSERT INTO t VALUES ('new', 1, NULL)")
    assert len(opened(table)) <= 2
    assert connection.execute("SELECT count(*) FROM t WHERE year = 500").fetchall() == [(1,)]
    assert len(opened(table)) <= 3  # the zone maps know where it is
    connection.close()


def test_ranges_skip_shards(tmp_path: Path) -> None:
    """Where rows come by a key that has to do with the condition, zone maps leave shards out."""
    columns = ("area TEXT", "year INTEGER", "x REAL", "seen TIMESTAMP")
    options = {"shard_key": "area", "shard_zones": "year,x,seen,area"}
    with create(tmp_path / "t.shards", 0, 8, columns, **options) as table:
        for number in range(6):
            rows = [
                {
                    "area": f"area {number}",
                    "year": 100 * number + each,
                    "x": number + each / 100,
                    "seen": f"20{10 + number}-01-01",
                }
                for each in range(20)
            ]
            table.append(rows)
    counts = {}
    for where, rows_found in (
        ("year BETWEEN 200 AND 219", 20),
        ("year > 490", 20),
        ("x < 0.5", 20),
        ("seen >= '2015-01-01'", 20),
        ("area = 'area 3'", 20),
        ("area > 'area 4'", 20),
        ("year IS NULL", 0),
        ("year = 1000", 0),
        ("year <> 1000", 120),
    ):
        with Table(tmp_path / "t.shards") as reader:
            assert reader.to_arrow(where=where).num_rows == rows_found, where
            counts[where] = len(opened(reader))
    assert counts["year IS NULL"] == counts["year = 1000"] == 0
    whole = counts.pop("year <> 1000")
    assert max(counts.values()) < whole


def test_searches_skip_shards(tmp_path: Path) -> None:
    """Of vectors, in a transaction too: with a condition they open the shards that may have such rows."""
    columns = ("area TEXT", "year INTEGER", "vec FLOAT[2]")
    options = {"shard_key": "area", "shard_zones": "year"}
    with create(tmp_path / "t.shards", 0, 8, columns, **options) as table:
        for number in range(6):
            rows = [{"area": f"area {number}", "year": 100 * number + n, "vec": [n, 1]} for n in range(20)]
            table.append(rows)
    with Table(tmp_path / "t.shards") as reader:
        found = reader.search([1, 0.5], 3, column="vec", columns=["year"], where="year BETWEEN 200 AND 219")
        assert found["year"].to_pylist() == [202, 203, 204]
        assert len(opened(reader)) == 2  # one has two areas
        assert not reader.search([1, 0], 3, column="vec", where="year > 1000").num_rows
        assert len(opened(reader)) == 2
        transaction = reader.begin()
        transaction.insert(1000, ("area 9", 219, np.array([1, 0.5], "<f4").tobytes()))
        found = reader.search([1, 0.5], 2, column="vec", columns=["year"], where="year BETWEEN 200 AND 219")
        assert sorted(found["year"].to_pylist()) == [202, 219]
        reader.rollback()
    with connect(tmp_path / "t.shards") as connection:
        joined = connection.execute(
            "WITH p(n) AS (VALUES (1), (2), (3)) SELECT t.year FROM p JOIN t "
            "ON t.vec MATCH '[' || p.n || ', 1]' AND k = 1 AND t.year BETWEEN 200 AND 219"
        ).fetchall()
        assert sorted(joined) == [(201,), (202,), (203,)]


def test_zone_maps_hold_after_an_update(tmp_path: Path) -> None:
    with create(tmp_path / "t.shards", 50) as table:
        version = table.version
        transaction = table.begin()
        (rowid,) = (number for number in range(1, 51) if table.get(number) == row(5))
        transaction.update(rowid, rowid, ("c5", 9000, None))
        table.commit()
        assert table.to_arrow(["code"], "year = 9000")["code"].to_pylist() == ["c5"]
        old = table.pinned(version)
        assert old.to_arrow(where="year = 9000").num_rows == 0
        assert old.to_arrow(where="code = 'c5'").to_pylist() == [row(5)]


@pytest.mark.parametrize("collation", ["NOCASE", "RTRIM"])
def test_keys_of_a_collation(tmp_path: Path, collation: str) -> None:
    """Keys that a collation takes for equal are in one shard, and none is there twice."""
    columns = (f"code TEXT PRIMARY KEY COLLATE {collation}", "n INTEGER")
    with create(tmp_path / "t.shards", 0, 8, columns) as table:
        table.append([{"code": f"Key{number}", "n": number} for number in range(100)])
    connection = connect(tmp_path / "t.shards")
    same = "KEY7" if collation == "NOCASE" else "Key7  "
    assert connection.execute("SELECT n FROM t WHERE code = ?", (same,)).fetchall() == [(7,)]
    assert connection.execute("SELECT n FROM t WHERE code IN (?, 'x')", (same,)).fetchall() == [(7,)]
    with Table(tmp_path / "t.shards") as table:
        for number in range(30):  # Arrow compares texts by their bytes
            found = table.dataset().to_table(filter=pc.field("code") == f"Key{number}")
            assert found["n"].to_pylist() == [number]
    connection.execute("INSERT OR REPLACE INTO t VALUES (?, 700)", (same,))
    assert connection.execute("SELECT code, n FROM t WHERE code = 'Key7'").fetchall() == [(same, 700)]
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(100,)]
    connection.close()


def test_what_cannot_place_rows_is_refused(tmp_path: Path) -> None:
    columns = ("a TEXT", "v FLOAT[4]")
    for options, message in (
        ({"shard_key": "b"}, "there is no column b"),
        ({"shard_key": "v"}, "vectors"),
        ({"shard_key": "a,a"}, "twice"),
        ({"shard_zones": "v"}, "least"),
        ({"shards": 0}, "from 1 to 1,024"),
        ({"shards": "many"}, "from 1 to 1,024"),
    ):
        with pytest.raises(OptionError, match=message):
            create(tmp_path / "t.shards", columns=columns, **options)
    with pytest.raises(OptionError, match="shards=16"):
        Table.create(tmp_path / "t.flac", columns, {"shard_key": "a"})
    assert list(tmp_path.iterdir()) == []


def test_a_key_of_two_columns(tmp_path: Path) -> None:
    columns = ("a INTEGER NOT NULL", "b TEXT NOT NULL", "n INTEGER", "PRIMARY KEY (a, b)")
    with create(tmp_path / "t.shards", 0, 8, columns) as table:
        table.append([{"a": n % 10, "b": str(n // 10), "n": n} for n in range(100)])
        assert isinstance(table.snapshot, ShardedSnapshot)
        assert len(table.snapshot.placement.columns) == 2
    with Table(tmp_path / "t.shards") as table:
        assert table.to_arrow(["n"], "a = 3 AND b = '4'")["n"].to_pylist() == [43]
        assert len(opened(table)) == 1
        assert sorted(table.to_arrow(["n"], "a IN (3, 5) AND b = '4'")["n"].to_pylist()) == [43, 45]
        assert table.to_arrow(["n"], "a = 3").num_rows == 10
