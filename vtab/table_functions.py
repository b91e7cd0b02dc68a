"""Table-valued functions of SQLite: what is known of a table, as rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from audiomem_sql.columns.column import quote
from audiomem_sql.columns.timestamps import render
from audiomem_sql.errors import AudioMemError, QueryError
from audiomem_sql.sound.band_health import band_states
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.versions import changes
from audiomem_sql.vtab.question import Host
from audiomem_sql.vtab.rows import version_of
from audiomem_sql.vtab.tables import Tables

BAND_COLUMNS = (
    "band",
    "low_hz",
    "high_hz",
    "bits_per_coefficient",
    "redundancy",
    "bytes",
    "health",
    "error_vector_magnitude",
    "corrections",
    "lost",
)


@dataclass(frozen=True, slots=True)
class TableFunction:
    """A function that gives rows of ``columns``; it is called with as many of ``parameters`` as SQL gives, by name."""

    name: str
    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    call: Callable[..., Iterator[tuple[Any, ...]]]


def table_functions(tables: Tables, host: Callable[[], Host]) -> tuple[TableFunction, ...]:
    """``audiomem_verify``, ``audiomem_bands``, ``audiomem_snapshots`` and ``audiomem_changes`` of one connection.

    ``tables`` are those that it has in use. ``audiomem_changes`` gives the changed rows as a JSON object, because the columns
    of a table function are fixed before its arguments are known; JSON has blobs as text of hexadecimal digits.
    """

    def table_called(name: Any) -> Table:
        """The table, with the commits of others, unless a statement that is running reads it already."""
        if not isinstance(name, str):
            raise QueryError(f"{name!r} is no table", remedy="Pass the name of an audiomem table as text.")
        try:
            found = tables.find(name)
        except QueryError:
            # A table of a database that was opened again is connected by the first statement that names it.
            _connect(host(), name)
            found = tables.find(name)
        if not found.open_cursors:
            found.table.refresh()
        return found.table

    def audiomem_verify(table: str | None = None) -> Iterator[tuple[Any, ...]]:
        for problem in problems(table_called(table)):
            yield problem.file, problem.page, ",".join(map(str, problem.cells)), problem.what, problem.repair

    def audiomem_bands(table: str | None = None) -> Iterator[tuple[Any, ...]]:
        for band in band_states(table_called(table).snapshot):
            sizes = (round(band.bits, 2), round(band.redundancy, 3), band.bytes)
            yield (
                band.name,
                band.low,
                band.high,
                *sizes,
                band.health,
                band.error,
                band.corrections,
                band.lost,
            )

    def audiomem_snapshots(table: str | None = None) -> Iterator[tuple[Any, ...]]:
        snapshot = table_called(table).snapshot
        tags: dict[int, list[str]] = {}
        for name, number in sorted(snapshot.tags.items()):
            tags.setdefault(number, []).append(name)
        for version in snapshot.versions:
            yield (
                version.number,
                render(version.time),
                version.inserted,
                version.deleted,
                ", ".join(tags.get(version.number, ())) or None,
                version.message,
            )

    def audiomem_changes(
        table: str | None = None, first: int | str | None = None, last: int | str | None = None
    ) -> Iterator[tuple[Any, ...]]:
        found = table_called(table)
        low = found.at(version_of(first, found.path)).version
        high = found.version if last is None else found.at(version_of(last, found.path)).version
        for change in changes(found.snapshot, low, high):
            names = found.snapshot.schema_at(change.version).visible.names
            row = dict(zip(names, map(_json_value, change.values), strict=True))
            yield change.version, change.rowid, change.kind, json.dumps(row, ensure_ascii=False)

    return (
        TableFunction(
            "audiomem_verify", ("file", "page", "cells", "problem", "repair"), ("table",), audiomem_verify
        ),
        TableFunction("audiomem_bands", BAND_COLUMNS, ("table",), audiomem_bands),
        TableFunction(
            "audiomem_snapshots",
            ("snapshot_id", "snapshot_time", "inserted", "deleted", "tag", "commit_message"),
            ("table",),
            audiomem_snapshots,
        ),
        TableFunction(
            "audiomem_changes",
            ("snapshot_id", "row_id", "change_type", "row"),
            ("table", "first", "last"),
            audiomem_changes,
        ),
    )


def _connect(host: Host, name: str) -> None:
    """Have SQLite connect a table, if there is one of that name. What goes wrong is for the caller to find."""
    try:
        host.execute(f"SELECT 1 FROM {quote(name)} LIMIT 0")
    except AudioMemError:
        raise
    except Exception:  # SQLite's own, of whichever library
        return


def _json_value(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
