"""Random statements do to a sharded table what they do to a native table of SQLite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from difference import world
from difference.run import run

from audiomem_sql.shards import is_sharded
from audiomem_sql.table.table import Table


@pytest.fixture
def sharded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every table that is created has three shards; their paths."""
    create = Table.create.__func__  # type: ignore[attr-defined]
    paths: list[str] = []

    def create_sharded(
        cls: type[Table], path: str, columns: Any, options: Mapping[str, Any] | None = None, **more: Any
    ) -> Table:
        table: Table = create(cls, path, columns, {**(options or {}), "shards": 3}, **more)
        assert is_sharded(path)
        paths.append(path)
        return table

    monkeypatch.setattr(Table, "create", classmethod(create_sharded))
    monkeypatch.setitem(world.WEIGHTS, "schema", 0)  # a sharded table keeps its columns
    return paths


@pytest.mark.parametrize("seed", [0, 10, 24, 36, 104])
def test_random_statements(sharded: list[str], seed: int) -> None:
    """400 of them, queries of old versions, transactions, constraints and upkeep included, in five cases."""
    case = run(seed, 80)
    assert not case.difference, f"case {seed}\n{case.difference}"
    assert sharded


def test_rows_with_rowids_of_their_own(tmp_path: Path) -> None:
    """Rowids are given out as in one file: ascending, and never again while the greatest is kept."""
    tables = [
        Table.create(tmp_path / name, ["name TEXT"], {"profile": "embedded"} | more)
        for name, more in (("one.flac", {}), ("many.shards", {"shards": 5}))
    ]
    seen = []
    for table in tables:
        table.append([{"name": str(number)} for number in range(50)])
        transaction = table.begin()
        for rowid in (1, 50, 7):
            assert transaction.delete(rowid)
        assert transaction.insert(None, ("new",)) == 51
        assert transaction.insert(1000, ("far",)) == 1000
        table.commit()
        table.begin().insert(7, ("again",))
        table.commit()
        table.append([{"name": "last"}])
        seen.append({rowid: table.get(rowid) for rowid in (1, 2, 7, 8, 50, 51, 1000, 1001, 1002)})
        assert len(table) == 51
        table.close()
    assert seen[0] == seen[1]
