"""The first look at a table: head, tail, sample, columns, dtypes, iteration."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from samples import COLUMNS, arrow, create, rows

import audiomem_sql as am
from audiomem_sql.errors import QueryError, SchemaError, StorageError

_NUMBERS = count()


@pytest.fixture(params=["file", "log", "shards", "store"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[am.Table]:
    """90 rows in several segments; some of the first are updated, so they come last."""
    place = {"shards": tmp_path / "t.shards", "store": f"memory://browsed/t{next(_NUMBERS)}.flac"}
    options = {"shards": 3} if request.param == "shards" else {}
    path = place.get(request.param, tmp_path / "t.flac")
    with am.Table.create(path, COLUMNS, {"profile": "embedded", **options}) as made:
        for first in (1, 31, 61):
            made.append(arrow(rows(30, 0, first)))
            if request.param != "log":
                made.checkpoint()
        made.update("id IN (2, 5)", {"title": "changed"})
        yield made


def test_first_and_last_rows(table: am.Table) -> None:
    whole = table.to_arrow()
    assert len(whole) == 90
    for n in (0, 1, 5, 40, 89, 90, 91, 5000):
        assert table.head(n).equals(whole.slice(0, n))
        assert table.tail(n).equals(whole.slice(max(0, 90 - n)))
    assert table.head().equals(whole.slice(0, 5))
    assert table.tail().equals(whole.slice(85))
    assert table.head(np.int64(2), ["title", "ID"]).equals(whole.select(["title", "id"]).slice(0, 2))
    assert table.tail(2, ["title"]).equals(whole.select(["title"]).slice(88))
    with table.checkout(1) as empty:
        assert empty.head().num_rows == empty.tail().num_rows == empty.sample(3).num_rows == 0
        assert empty.head().schema.equals(empty.tail().schema)
        assert list(empty) == []


def test_a_sample(table: am.Table) -> None:
    whole = table.to_arrow()["id"].to_pylist()
    chosen = table.sample(20, seed=7)
    ids = chosen["id"].to_pylist()
    assert len(set(ids)) == 20
    assert ids == [each for each in whole if each in ids]  # in the order of the table
    assert chosen.equals(table.sample(20, seed=7))
    assert table.sample(20, seed=8)["id"].to_pylist() != ids
    assert table.sample(20, seed=7 + (1 << 64))["id"].to_pylist() == ids
    assert set(table.sample(5, seed=7)["id"].to_pylist()) < set(ids)
    assert table.sample(5000)["id"].to_pylist() == whole
    assert table.sample(0).num_rows == 0
    assert table.sample(fraction=0.5).num_rows == 45
    assert table.sample(fraction=1).num_rows == 90
    assert table.sample(fraction=0).num_rows == 0
    assert table.sample(4, columns=["title"]).column_names == ["title"]
    assert table.sample(4).num_rows == 4
    some = table.sample(fraction=0.25, where="id > ?", parameters=[50], seed=1)["id"].to_pylist()
    assert len(some) == 10
    assert min(some) > 50
    assert table.sample(100, where="id <= 7", seed=1).num_rows == 7
    if not table.path.startswith("memory:"):
        table.vacuum()
        assert sorted(table.sample(20, seed=7)["id"].to_pylist()) == sorted(ids)


def test_a_sample_is_fair(tmp_path: Path) -> None:
    with create(tmp_path / "t.flac", 40) as table:
        found = Counter(each for seed in range(2000) for each in table.sample(4, seed=seed)["id"].to_pylist())
    assert set(found) == set(range(1, 41))
    assert sum((times - 200) ** 2 / 200 for times in found.values()) < 80  # chi-square: 1 in 10,000


def test_a_sample_of_many_rows(tmp_path: Path) -> None:
    """Much more than is kept at a time."""
    with am.write_flac(pa.table({"n": np.arange(300_000)}), tmp_path / "t.flac") as table:
        few = table.sample(1000, seed=3)["n"].to_pylist()
        assert few == sorted(set(few))
        assert len(few) == 1000
        assert abs(np.mean(few) - 150_000) < 15_000
        most = set(table.sample(fraction=0.9, seed=3)["n"].to_pylist())
        assert len(most) == 270_000
        assert most > set(few)


def test_what_is_no_sample_is_refused(tmp_path: Path) -> None:
    with create(tmp_path / "t.flac", 3) as table:
        anything: Any = table
        for given, what in [
            ({}, "either n or fraction"),
            ({"n": 1, "fraction": 0.5}, "either n or fraction"),
            ({"n": -1}, "n = -1 is no number of rows"),
            ({"n": 1.5}, "no number of rows"),
            ({"n": True}, "no number of rows"),
            ({"fraction": 1.5}, "fraction = 1.5 is no part"),
            ({"fraction": float("nan")}, "no part"),
            ({"fraction": "half"}, "no part"),
            ({"n": 1, "seed": "a"}, "seed = 'a' is no integer"),
            ({"n": 1, "where": "m > 1"}, "no column 'm'"),
        ]:
            with pytest.raises(QueryError, match=what):
                anything.sample(**given)
        with pytest.raises(QueryError, match="n = -1 is no number of rows"):
            table.head(-1)
        with pytest.raises(QueryError, match="'all'"):
            anything.tail("all")
        with pytest.raises(SchemaError, match="no column m"):
            table.head(1, ["m"])
    for look in (table.head, table.tail, table.__iter__):
        with pytest.raises(StorageError, match="the table is closed"):
            look()


def test_columns_and_types(tmp_path: Path) -> None:
    columns = [
        "id INTEGER PRIMARY KEY",
        "name VARCHAR(20)",
        "at DATETIME",
        "v FLOAT[3]",
        "body TEXT SEMANTIC",
    ]
    with am.Table.create(tmp_path / "t.flac", columns, {"model": "hashing"}) as table:
        table.append([{"name": "a", "body": "b"}])
        assert table.columns == ["id", "name", "at", "v", "body"]
        assert table.dtypes == {
            "id": "INTEGER",
            "name": "VARCHAR(20)",
            "at": "DATETIME",
            "v": "FLOAT[3]",
            "body": "TEXT",
        }


def test_every_row_in_turn(table: am.Table) -> None:
    assert list(table) == table.to_arrow().to_pylist()
    assert pd.DataFrame(table)["id"].tolist() == table.to_arrow()["id"].to_pylist()


def test_rows_of_the_moment_when_it_began(tmp_path: Path) -> None:
    with create(tmp_path / "t.flac", 3000) as table:
        begun = iter(table)
        assert next(begun)["id"] == 1
        table.delete("id > 1500")
        table.vacuum()
        assert [row["id"] for row in begun] == list(range(2, 3001))
        table.begin()
        assert table.transaction is not None
        table.transaction.delete(1)
        assert [row["id"] for row in islice(table, 2)] == [2, 3]
        assert table.head(1)["id"].to_pylist() == table.sample(1500)["id"].to_pylist()[:1] == [2]
        assert table.tail(1)["id"].to_pylist() == [1500]
        table.rollback()


def test_a_batch_in_memory_at_a_time(tmp_path: Path) -> None:
    """Of 60 MB of texts."""
    texts = pa.array([f"{number:06d}" * 50 for number in range(200_000)])
    with am.write_flac(pa.table({"body": texts}), tmp_path / "t.flac") as table:
        del texts
        assert next(iter(table))["body"] == "000000" * 50
        tracemalloc.start()
        found = sum(len(row["body"]) for row in table)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found == 200_000 * 300
        assert most < 12 << 20
