"""What assistants may ask of tables, and the answers as JSON has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.column import fold
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import AudioMemError, OptionError, QueryError
from audiomem_sql.scan import fetch_rows, filters_of_text
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.served_table import ServedTable, key_column
from audiomem_sql.serve.settings import Limits
from audiomem_sql.serve.sql_pool import SqlPool, Statement
from audiomem_sql.serve.table_writer import TableWriter
from audiomem_sql.serve.values import distinct, json_value, json_values
from audiomem_sql.serve.work import Job
from audiomem_sql.table.reader import TableReader
from audiomem_sql.writing.appending import matching_rowids

#: Bytes of an answer to a statement; rows behind them are left out.
_MOST_BYTES = 1 << 20
#: Rows before and behind one that is read.
_MOST_NEIGHBOURS = 50
_MOST_FOUND = 100


class Tables:
    """The tables in ``places``. Safe to use from several threads. A connection for each statement of SQL.

    OptionError for two tables of one name, and what opening a table raises.
    """

    def __init__(self, places: Sequence[str], limits: Limits, *, writable: bool) -> None:
        self.limits = limits
        self.served: dict[str, ServedTable] = {}
        self.writers: dict[str, TableWriter] = {}
        self._pool = SqlPool(limits, 4 * limits.threads)
        try:
            for place in places:
                table = ServedTable(place)
                if fold(table.name) in map(fold, self.served):
                    table.close()
                    raise OptionError(f"two tables are called {table.name}", remedy="Rename one of them.")
                self.served[table.name] = table
                if writable:
                    self.writers[table.name] = TableWriter(table, lambda name: None)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Write what is in logs to the tables, and close the files."""
        self._pool.close()
        for writer in self.writers.values():
            writer.close()
        for table in self.served.values():
            table.close()

    def table(self, name: str | None) -> ServedTable:
        """The table called ``name``; without a name the only one. QueryError, with the names, for another."""
        if name is None and len(self.served) == 1:
            return next(iter(self.served.values()))
        for known, table in self.served.items():
            if name is not None and fold(known) == fold(name):
                return table
        what = "there are several tables" if name is None else f"there is no table {name}"
        raise QueryError(what, remedy=f"Name one of: {', '.join(self.served)}.")

    def hide(self, text: str) -> str:
        """``text`` with the names of tables in the place of where they are."""
        for table in self.served.values():
            for name in table.names:
                text = text.replace(name, table.name)
        return text

    # -- what is asked ---------------------------------------------------------------------------------------

    def describe(self, name: str | None = None) -> list[dict[str, Any]]:
        """Columns, counts, version and tags of a table, or of all of them."""
        chosen = self.served.values() if name is None else [self.table(name)]
        return [table.description() for table in chosen]

    def search(
        self,
        query: str,
        name: str | None,
        k: int,
        where: str | None,
        version: str | None,
        as_of: str | None,
        characters: int,
    ) -> dict[str, Any]:
        """The rows that answer ``query`` best, each with its key, score and values, long texts cut."""
        table = self.table(name)
        reader = table.reader(version, as_of)
        found = reader.explain(query, min(k, _MOST_FOUND), where)
        rowids = found.column("row_id").to_numpy().astype(np.int64)
        there, rows = _rows(reader, rowids)
        figures = [each for each, is_there in zip(found.to_pylist(), there, strict=True) if is_there]
        return {
            "table": table.name,
            "version": reader.version,
            "rows": [
                {
                    "key": each["key"],
                    "score": json_value(each["score"]),
                    **({} if each["distance"] is None else {"distance": json_value(each["distance"])}),
                    "values": _cut(row, characters),
                }
                for each, row in zip(figures, rows, strict=True)
            ],
        }

    def read(
        self,
        key: str,
        name: str | None,
        before: int = 0,
        after: int = 0,
        version: str | None = None,
        as_of: str | None = None,
    ) -> dict[str, Any]:
        """The row with a key, whole, and its neighbours: of the same source, or by the order of rows."""
        table = self.table(name)
        reader = table.reader(version, as_of)
        rowid = self._rowid(reader, key)
        _, rows = _rows(reader, np.array([rowid], np.int64))
        row = rows[0]
        before, after = min(before, _MOST_NEIGHBOURS), min(after, _MOST_NEIGHBOURS)
        answer = {"table": table.name, "version": reader.version, "key": key, "row": row}
        if before:
            answer["before"] = _neighbours(reader, row, rowid, before, behind=False)
        if after:
            answer["after"] = _neighbours(reader, row, rowid, after, behind=True)
        return answer

    def _rowid(self, reader: TableReader, key: str) -> int:
        name, is_rowid = key_column(reader)
        value: Any = key
        if is_rowid:
            if not key.lstrip("-").isdecimal() or len(key) > 19:
                raise QueryError(f"{key!r:.60} is no number of a row", remedy="Pass the key of a search.")
            value = int(key)
        filters, row_filter = filters_of_text(
            f'"{name}" = ?' if name != "rowid" else "rowid = ?", [value], reader.schema
        )
        rowids = matching_rowids(reader.snapshot, filters, row_filter)
        if not len(rowids):
            raise QueryError(f"there is no row with the key {key!r:.60}", remedy="Search for it.")
        return int(rowids[0])

    def sql(
        self, text: str, parameters: Sequence[Any] | Mapping[str, Any], limit: int, job: Job
    ) -> dict[str, Any]:
        """The rows of one statement that reads; ``truncated`` if there are more."""
        statement = Statement(self._pool, list(self.served.values()), text, parameters, job, self.hide)
        rows: list[list[Any]] = []
        size, truncated = 0, False
        try:
            for row in statement:
                values = [json_value(value) for value in row]
                size += len(json.dumps(values, ensure_ascii=False))
                if len(rows) >= min(limit, self.limits.rows) or size > _MOST_BYTES:
                    truncated = True
                    break
                rows.append(values)
        finally:
            statement.close()
        return {"columns": distinct(statement.names), "rows": rows, "truncated": truncated}


def _rows(reader: TableReader, rowids: Any) -> tuple[Any, list[dict[str, Any]]]:
    """(which rows are there, those rows), without vectors, and of bytes how many they are."""
    columns = [
        (number, column)
        for number, column in enumerate(reader.schema.columns)
        if column.type.kind is not Kind.FLOAT
    ]
    there, arrays = fetch_rows(reader.readable, rowids, [number for number, _ in columns])
    lists = [_values(array, column.type) for array, (_, column) in zip(arrays, columns, strict=False)]
    names = [column.name for _, column in columns]
    return there, [dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)]


def _values(array: pa.Array, column_type: Any) -> list[Any]:
    if column_type.kind is Kind.BLOB and column_type.logical is None:
        return [None if each is None else f"{len(each)} bytes" for each in array.to_pylist()]
    return json_values(array, column_type)


def _cut(row: dict[str, Any], characters: int) -> dict[str, Any]:
    """A row without what is NULL, its long texts cut."""
    return {
        name: f"{value[:characters]}…" if isinstance(value, str) and len(value) > characters else value
        for name, value in row.items()
        if value is not None
    }


def _neighbours(
    reader: TableReader, row: Mapping[str, Any], rowid: int, count: int, *, behind: bool
) -> list[dict[str, Any]]:
    """The rows next to one, in their order."""
    names = {fold(name): name for name in row}
    sign = ">" if behind else "<"
    if row.get(names.get("source", "")) is not None and row.get(names.get("seq", "")) is not None:
        order = "seq" if behind else "seq DESC"
        wanted = [column.name for column in reader.schema.columns if column.type.kind is not Kind.FLOAT]
        parameters = [row[names["source"]], row[names["seq"]]]
        found = reader.top(order, count, f"source = ? AND seq {sign} ?", parameters, columns=wanted)
        lists = [_values(found.column(name).combine_chunks(), reader.schema[name].type) for name in wanted]
        rows = [dict(zip(wanted, values, strict=True)) for values in zip(*lists, strict=True)]
        return rows if behind else rows[::-1]
    filters, row_filter = filters_of_text(f"rowid {sign} ?", [rowid], reader.schema)
    rowids = matching_rowids(reader.snapshot, filters, row_filter)
    return _rows(reader, rowids[:count] if behind else rowids[-count:])[1]


def told(error: Exception, hide: Any) -> str | None:
    """What an assistant is told of an error; None for one that is a fault of the program."""
    if isinstance(error, Problem):
        return error.detail
    return hide(str(error)) if isinstance(error, AudioMemError) else None
