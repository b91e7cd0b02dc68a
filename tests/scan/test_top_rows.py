"""The first rows in an order: what sorting everything would give, with few blocks read."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from samples import COLUMNS, arrow, rows

import audiomem_sql as am
from audiomem_sql.errors import QueryError
from audiomem_sql.table.table import Table


def sorted_rows(values: list[dict[str, Any]], keys: list[tuple[str, bool]]) -> list[dict[str, Any]]:
    """All rows, NULL last, equals by id: sorted by one key after another, the last first."""
    found = sorted(values, key=lambda row: row["id"])
    for name, falls in reversed(keys):
        there = [row for row in found if row[name] is not None]
        missing = [row for row in found if row[name] is None]
        text = isinstance(there[0][name], str) if there else False
        there.sort(key=lambda row: row[name].encode() if text else row[name], reverse=falls)
        found = there + missing
    return found


def test_random_orders(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", COLUMNS, {"compression_level": 1}) as table:
        values = rows(3000)
        table.append(arrow(values[:2500]))
        table.append(arrow(values[2500:]), replace="id = 17")
        everything = table.to_arrow().to_pylist()
        for seed in range(60):
            rng = random.Random(seed)
            names = rng.sample(["id", "n", "x", "title", "category", "raw", "ok", "seen", "code"], 2)
            keys = [(name, rng.random() < 0.5) for name in names]
            order = ", ".join(
                f"{name} DESC" if falls else rng.choice([name, f'"{name}" asc']) for name, falls in keys
            )
            k, where = rng.choice([1, 7, 100, 5000]), rng.choice([None, "id > 1000 AND ok"])
            wanted = [row for row in everything if where is None or (row["id"] > 1000 and row["ok"])]
            found = table.top(order, k, where, columns=["id"])["id"].to_pylist()
            assert found == [row["id"] for row in sorted_rows(wanted, keys)][:k], (seed, order)


def test_an_open_transaction_counts(tmp_path: Path) -> None:
    with am.write_flac(
        [{"id": 1, "n": 5}, {"id": 2, "n": 7}], tmp_path / "t.flac", primary_key="id"
    ) as table:
        table.begin().delete(2)
        assert table.top("n DESC").to_pylist() == [{"id": 1, "n": 5}]
        table.rollback()
        assert table.top("n DESC", 1).to_pylist() == [{"id": 2, "n": 7}]
        assert table.top("n", where="id > 9").to_pylist() == []


def test_bad_orders_are_refused(tmp_path: Path) -> None:
    given = pa.table({"id": [1], "vec": pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2))})
    with am.write_flac(given, tmp_path / "t.flac", primary_key="id") as table:
        for order in ("", "nothing", "id DESC,", "id; DROP", "id DOWN", "vec", "1 + 1", "id NULLS FIRST"):
            with pytest.raises(QueryError):
                table.top(order)
        with pytest.raises(QueryError, match="k = 0"):
            table.top("id", 0)
