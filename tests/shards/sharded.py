"""Sharded tables to test with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audiomem_sql.shards import ShardedSnapshot
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

COLUMNS = ("code TEXT PRIMARY KEY", "year INTEGER", "body TEXT")


def row(number: int) -> dict[str, Any]:
    return {"code": f"c{number}", "year": number % 50, "body": f"body {number}"}


def create(
    path: Path, rows: int = 0, shards: int = 4, columns: Sequence[str] = COLUMNS, **options: Any
) -> Table:
    """A table at ``path``; its first ``rows`` rows are its version 2."""
    table = Table.create(path, columns, {"profile": "embedded", "shards": shards, **options})
    if rows:
        table.append([row(number) for number in range(rows)])
    return table


def opened(table: Table) -> list[int]:
    """The numbers of the shards of which something was read."""
    assert isinstance(table.snapshot, ShardedSnapshot)
    return [file.number for file in table.snapshot.shard_files if file.is_open]


def codes(table: Table, version: int | None = None) -> set[str]:
    reader = table if version is None else table.pinned(version)
    return set(reader.to_arrow(["code"])["code"].to_pylist())


def check(table: Table) -> None:
    """Nothing is wrong with the table."""
    assert [str(problem) for problem in problems(table)] == []


def digests(folder: Path) -> Mapping[str, str]:
    """What is in the files of a folder."""
    return {
        str(path.relative_to(folder)): hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
