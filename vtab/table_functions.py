"""Table-valued functions of SQLite: what is known of a table, as rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from audiomem_sql import search
from audiomem_sql.bytes.cache_row import CacheRow
from audiomem_sql.columns.column import fold, quote
from audiomem_sql.columns.timestamps import render
from audiomem_sql.errors import AudioMemError, InFile, QueryError
from audiomem_sql.machine.interrupts import watched
from audiomem_sql.scan import filters_of_text
from audiomem_sql.sound.band_health import band_states
from audiomem_sql.table.table import Table
from audiomem_sql.versions import changes
from audiomem_sql.vtab.analysis_functions import analysis_functions
from audiomem_sql.vtab.interface import Host
from audiomem_sql.vtab.interface import Table as VirtualTable
from audiomem_sql.vtab.rows import rows_wanted, version_of
from audiomem_sql.vtab.tables import Tables, database_of

Rows = Iterator[tuple[Any, ...]]
VERIFY_COLUMNS = ("file", "page", "cells", "problem", "repair")
SNAPSHOT_COLUMNS = ("snapshot_id", "snapshot_time", "inserted", "deleted", "tag", "commit_message")
CHANGE_COLUMNS = ("snapshot_id", "row_id", "change_type", "row")
VOCABULARY_COLUMNS = ("term", "col", "doc", "cnt", "offset")
SUGGESTION_COLUMNS = ("word", "edits", "doc")
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
    """A function that gives rows of ``columns``; ``call`` takes as many of ``parameters`` as SQL gives."""

    name: str
    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    call: Callable[..., Rows]


def table_functions(tables: Tables, host: Callable[[], Host]) -> tuple[TableFunction, ...]:
    """The table functions of one connection.

    They tell of files and versions, of words, and of all rows at once (``analysis_functions``).

    ``tables`` are those that it has in use. ``audiomem_changes`` gives the changed rows as a JSON object,
    because the columns of a table function are fixed before its arguments are known; JSON has blobs as text
    of hexadecimal digits.
    """

    def rows_of(name: Any, rows: Callable[..., Rows], *arguments: Any) -> Rows:
        virtual_table = _table_called(tables, host, name)
        return _watched(virtual_table, rows(virtual_table.table, *arguments))

    # SQLite's parameters are those of these functions, each NULL where SQL leaves it out.
    def verify(table: Any = None) -> Rows:
        return rows_of(table, _verify)

    def band_health(table: Any = None) -> Rows:
        return rows_of(table, _bands)

    def snapshots(table: Any = None) -> Rows:
        return rows_of(table, _snapshots)

    def row_changes(table: Any = None, first: Any = None, last: Any = None) -> Rows:
        return rows_of(table, _changes, first, last)

    def words(table: Any = None, kind: Any = None) -> Rows:
        return rows_of(table, _vocabulary, kind)

    def suggest(table: Any = None, text: Any = None, k: Any = None) -> Rows:
        return rows_of(table, _suggestions, text, k)

    def explain(
        table: Any = None, query: Any = None, k: Any = None, ranking: Any = None, filter: Any = None
    ) -> Rows:
        return rows_of(table, _explain, query, k, ranking, filter)

    return (
        TableFunction(
            "audiomem_explain",
            search.Explained._fields,
            ("table", "query", "k", "ranking", "filter"),
            explain,
        ),
        TableFunction("audiomem_vocabulary", VOCABULARY_COLUMNS, ("table", "kind"), words),
        TableFunction("audiomem_suggest", SUGGESTION_COLUMNS, ("table", "text", "k"), suggest),
        TableFunction("audiomem_verify", VERIFY_COLUMNS, ("table",), verify),
        TableFunction("audiomem_bands", BAND_COLUMNS, ("table",), band_health),
        TableFunction("audiomem_snapshots", SNAPSHOT_COLUMNS, ("table",), snapshots),
        TableFunction("audiomem_cache", CacheRow._fields, (), _cache_rows),
        TableFunction("audiomem_changes", CHANGE_COLUMNS, ("table", "first", "last"), row_changes),
        *(
            TableFunction(*function)
            for function in analysis_functions(rows_of, lambda name: _table_called(tables, host, name))
        ),
    )


def _watched(virtual_table: VirtualTable, rows: Rows) -> Rows:
    """The rows; while the next one is made, the statement may be interrupted."""
    while True:
        with watched(virtual_table.interrupted):
            row = next(rows, None)
        if row is None:
            return
        yield row


def _table_called(tables: Tables, host: Callable[[], Host], name: Any) -> VirtualTable:
    """The table, with the commits of others, unless a statement that is running reads it already."""
    if not isinstance(name, str):
        raise QueryError(f"{name!r} is no table", remedy="Pass the name of an audiomem table as text.")
    try:
        virtual_table = tables.find(name)
        known = fold(database_of(virtual_table)) in ("temp", "main")
    except QueryError:
        known = False
    if not known:
        # A table of a database that was opened again is connected by the first statement that names it.
        _connect(host(), name)
        virtual_table = tables.find(name)
    if not virtual_table.open_cursors:
        virtual_table.table.refresh()
    return virtual_table


def _verify(table: Table) -> Rows:
    from audiomem_sql.upkeep.verify import problems

    for problem in problems(table):
        yield problem.file, problem.page, ",".join(map(str, problem.cells)), problem.what, problem.repair


def _bands(table: Table) -> Rows:
    for band in band_states(table.snapshot):
        yield (
            band.name,
            band.low,
            band.high,
            round(band.bits, 2),
            round(band.redundancy, 3),
            band.bytes,
            band.health,
            band.error,
            band.corrections,
            band.lost,
        )


def _snapshots(table: Table) -> Rows:
    snapshot = table.snapshot
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


def _vocabulary(table: Table, kind: Any) -> Rows:
    kind = search.checked_kind(kind, table.path)
    columns = search.keyword_columns(table.snapshot.schema, None, table.path)
    yield from search.vocabulary(table.readable, columns, kind)


def _suggestions(table: Table, word: Any, k: Any) -> Rows:
    word = search.checked_word(word, table.path)
    columns = search.keyword_columns(table.snapshot.schema, None, table.path)
    yield from search.suggestions(
        table.readable, columns, word, 5 if k is None else rows_wanted(k, table.path)
    )


def _explain(table: Table, query: Any, k: Any, ranking: Any, filter: Any) -> Rows:
    """Why MATCH gives the rows that it gives."""
    if query is None:
        raise QueryError(
            "there is nothing to search for", file=table.path, remedy="Pass a text, or a vector."
        )
    count = 10 if k is None else rows_wanted(k, table.path)
    table.embed_pending()
    with InFile(table.path):
        filters, row_filter = filters_of_text(filter, (), table.schema)
        asked = search.asked_for(
            table.readable,
            table.snapshot.schema,
            search.WHOLE,
            query,
            table.options,
            table.path,
            filters,
            row_filter=row_filter,
            k=count,
            ranking=search.Ranking.parse(ranking),
        )
        yield from search.explained(asked, count)


def _changes(table: Table, first: Any, last: Any) -> Rows:
    low = table.at(version_of(first, table.path)).version
    high = table.version if last is None else table.at(version_of(last, table.path)).version
    for change in changes(table.snapshot, low, high):
        names = table.snapshot.schema_at(change.version).visible.names
        row = dict(zip(names, map(_json_value, change.values), strict=True))
        yield change.version, change.rowid, change.kind, json.dumps(row, ensure_ascii=False)


def _connect(host: Host, name: str) -> None:
    """Have SQLite connect a table, if there is one of that name, or ``database.name``.

    What goes wrong is for the caller to find.
    """
    database, _, table = name.partition(".")
    for named in (quote(name), f"{quote(database)}.{quote(table)}"):
        try:
            host.execute(f"SELECT 1 FROM {named} LIMIT 0")
        except AudioMemError:
            raise
        except Exception:  # SQLite's own, of whichever library
            continue


def _json_value(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _cache_rows() -> Iterator[CacheRow]:
    """Of this process. What caches are made of is loaded when somebody asks."""
    from audiomem_sql.remote.tiers import cache_rows

    return iter(cache_rows())
