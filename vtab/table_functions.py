"""Table-valued functions of SQLite: what is known of a table, as rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, cast

import apsw
import apsw.ext

from audiomem_sql.changes import changes
from audiomem_sql.columns.timestamps import render
from audiomem_sql.verify import problems
from audiomem_sql.vtab.sqlite import Module


def register(connection: apsw.Connection, module: Module) -> None:
    """Make ``audiomem_verify``, ``audiomem_snapshots`` and ``audiomem_changes`` known to ``connection``.

    ``module`` has its tables. ``audiomem_changes`` gives the changed rows as a JSON object, because the columns of a
    table function are fixed before its arguments are known; JSON has blobs as text of hexadecimal digits.
    """

    def audiomem_verify(table: str) -> Iterator[tuple[Any, ...]]:
        for problem in problems(module.find(table).table):
            yield problem.file, problem.page, ",".join(map(str, problem.cells)), problem.what

    def audiomem_snapshots(table: str) -> Iterator[tuple[Any, ...]]:
        found = module.find(table).table
        found.refresh()
        tags: dict[int, list[str]] = {}
        for name, number in sorted(found.tags.items()):
            tags.setdefault(number, []).append(name)
        for version in found.versions:
            tag = ", ".join(tags.get(version.number, ())) or None
            yield (
                version.number,
                render(version.time),
                version.inserted,
                version.deleted,
                tag,
                version.message,
            )

    def audiomem_changes(table: str, first: int, last: int) -> Iterator[tuple[Any, ...]]:
        found = module.find(table).table
        found.refresh()
        names = found.schema.names
        for change in changes(found.snapshot, first, last):
            row = dict(zip(names, map(_json_value, change.values), strict=True))
            yield change.version, change.rowid, change.kind, json.dumps(row, ensure_ascii=False)

    _make(connection, audiomem_verify, ("file", "page", "cells", "problem"))
    _make(
        connection,
        audiomem_snapshots,
        ("snapshot_id", "snapshot_time", "inserted", "deleted", "tag", "commit_message"),
    )
    _make(connection, audiomem_changes, ("snapshot_id", "row_id", "change_type", "row"))


def _json_value(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _make(
    connection: apsw.Connection, function: Callable[..., Iterator[Any]], columns: tuple[str, ...]
) -> None:
    made = cast(Any, function)
    made.columns = columns
    made.column_access = apsw.ext.VTColumnAccess.By_Index
    apsw.ext.make_virtual_module(connection, function.__name__, made)
