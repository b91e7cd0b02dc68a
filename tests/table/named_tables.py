"""Small tables by their paths, for tests of names and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audiomem_sql import Table

COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT"]


def create(path: Path, rows: int = 1, **options: Any) -> None:
    with Table.create(path, COLUMNS, {"profile": "embedded"} | options) as table:
        if rows:
            table.append([{"id": number, "body": f"row {number}"} for number in range(1, rows + 1)])


def ids(path: Path) -> list[int]:
    with Table(path) as table:
        return sorted(table.to_arrow()["id"].to_pylist())


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}
