"""Tables of sqlite-vec and of FTS5 as collections, their types by what the rows hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.column import fold, quote
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.conversion.collection import Wishes, rows_at_once, wished
from audiomem_sql.conversion.read_only import ask
from audiomem_sql.conversion.statements import (
    Vec0Column,
    is_contentless,
    unindexed_columns,
    vec0_columns,
)
from audiomem_sql.errors import DataTypeError, OptionError, UnsupportedError, did_you_mean

if TYPE_CHECKING:
    import apsw

FULL_TEXT = ("fts5", "fts4", "fts3")
_EXACT = 1 << 53  # integers up to here are floats, too
#: What a vector is made of: BIT has eight numbers in a byte.
_ITEMS = {"FLOAT": "<f4", "INT8": "i1", "BIT": "u1"}
_ARROW = {
    "INTEGER": pa.int64(),
    "REAL": pa.float64(),
    "TEXT": pa.string(),
    "BLOB": pa.binary(),
    "JSON": pa.string(),
    "BOOLEAN": pa.bool_(),
}


@dataclass(frozen=True, slots=True)
class _Column:
    """A column to read: how it is called, what SQL gives it, and its type where the source declares one."""

    name: str
    expression: str
    type: str | None = None
    clause: str = ""
    vector: Vec0Column | None = None


@dataclass(frozen=True)
class SqlCollection:
    """Rows of a query. ``tables``: what stands behind FROM. The first column is the key."""

    name: str
    connection: apsw.Connection
    source: str
    tables: str
    columns: tuple[_Column, ...]
    wishes: Wishes
    notes: tuple[str, ...] = ()
    is_contentless: bool = False

    @cached_property
    def rows(self) -> int:
        """How many rows the query gives."""
        ((count,),) = ask(self.connection, f"SELECT count(*) FROM {self.tables}")
        return int(count)

    @cached_property
    def _typed(self) -> list[tuple[_Column, str]]:
        """Each column with its type, by what its values are."""
        unknown = [column for column in self.columns if column.type is None]
        kinds: dict[str, set[str]] = {column.name: set() for column in unknown}
        if unknown:
            shown = ", ".join(f"typeof({column.expression})" for column in unknown)
            for row in ask(self.connection, f"SELECT DISTINCT {shown} FROM {self.tables}"):
                for column, kind in zip(unknown, row, strict=True):
                    kinds[column.name].add(str(kind))
        return [(column, column.type or self._type(column, kinds[column.name])) for column in self.columns]

    def _type(self, column: _Column, kinds: set[str]) -> str:
        kinds = kinds - {"null"}
        if len(kinds) == 1:
            return kinds.pop().upper()
        if kinds == {"integer", "real"}:
            ((least, most),) = ask(
                self.connection,
                f"SELECT min({column.expression}), max({column.expression}) FROM {self.tables} "
                f"WHERE typeof({column.expression}) = 'integer'",
            )
            return "REAL" if least >= -_EXACT and most <= _EXACT else "JSON"
        if "blob" in kinds:
            raise DataTypeError(
                f"the column {column.name} holds blobs and {', '.join(sorted(kinds - {'blob'}))}",
                file=self.source,
                place=self.name,
                remedy="Give it one type with UPDATE in a copy of the source.",
            )
        return "JSON" if kinds else "TEXT"

    def schema(self) -> Schema:
        """The columns in the order of the source, the key first. UnsupportedError if no texts are kept."""
        if self.is_contentless:
            raise UnsupportedError(
                "this table of FTS keeps no texts, only which words are where",
                file=self.source,
                place=self.name,
                remedy="Convert the table that holds the texts.",
            )
        definitions = []
        for number, (column, kind) in enumerate(self._typed):
            key = " PRIMARY KEY" if not number else ""
            definitions.append(f"{quote(column.name)} {kind}{column.clause}{key}")
        return wished(parse_columns(definitions), self.wishes, self.source)

    def batches(self) -> Iterator[pa.Table]:
        """The rows in the order of the source."""
        shown = ", ".join(
            f"CASE WHEN {column.expression} IS NOT NULL THEN json_quote({column.expression}) END"
            if kind == "JSON"
            else column.expression
            for column, kind in self._typed
        )
        width = sum(column.vector.width for column in self.columns if column.vector)
        at_once = rows_at_once(width)
        rows = ask(self.connection, f"SELECT {shown} FROM {self.tables}")
        while some := _some(rows, at_once):
            values = list(zip(*some, strict=True))
            yield pa.table(
                {
                    column.name: self._array(column, kind, values[number])
                    for number, (column, kind) in enumerate(self._typed)
                }
            )

    def _array(self, column: _Column, kind: str, values: tuple[Any, ...]) -> pa.Array:
        if column.vector is None:
            if kind == "BOOLEAN":
                values = tuple(None if value is None else bool(value) for value in values)
            if kind == "TEXT" and any(isinstance(value, bytes) for value in values):
                raise DataTypeError(
                    f"the column {column.name} holds blobs among its texts",
                    file=self.source,
                    place=self.name,
                    remedy="Write texts in their place, in a copy of the source: CAST(… AS TEXT).",
                )
            return pa.array(values, _ARROW[kind])
        flat = np.frombuffer(b"".join(values), _ITEMS[column.vector.element or ""])
        return pa.FixedSizeListArray.from_arrays(pa.array(flat), len(flat) // len(values))


def _some(rows: Any, count: int) -> list[tuple[Any, ...]]:
    return [row for _, row in zip(range(count), rows, strict=False)]


def _names(connection: apsw.Connection, table: str) -> list[str]:
    """The visible columns of a table."""
    rows = ask(connection, "SELECT name FROM pragma_table_xinfo(?) WHERE NOT hidden", (table,))
    return [str(name) for (name,) in rows]


def vector_tables(
    connection: apsw.Connection, source: str, virtual: Mapping[str, tuple[str, str]], wishes: Wishes
) -> list[SqlCollection]:
    """The tables of sqlite-vec, with the texts of the table that the user names."""
    found = []
    for table, (module, statement) in virtual.items():
        if module != "vec0":
            continue
        declared = vec0_columns(statement)
        key = next((column for column in declared if column.is_key), None)
        expression = f"v.{quote(key.name)}" if key else "v.rowid"
        columns = [_Column(key.name if key else "id", expression, None if key else "INTEGER")]
        notes = []
        for column in declared:
            if column is key:
                continue
            columns.append(_vec0_column(column))
            if column.element in ("FLOAT", "INT8") and column.metric is None:
                notes.append(f"{column.name}: its metric is none of ours, so it has no index")
        tables = f"{quote(table)} AS v"
        if wishes.texts is not None:
            joined, beside = _joined(connection, source, wishes.texts, expression, columns)
            tables += joined
            columns[1:1] = beside
        else:
            notes.append("vectors alone; --texts TABLE brings the texts of their rows")
        found.append(SqlCollection(table, connection, source, tables, tuple(columns), wishes, tuple(notes)))
    return found


def _vec0_column(column: Vec0Column) -> _Column:
    expression = f"v.{quote(column.name)}"
    if column.element is None:
        kind = "BOOLEAN" if column.declared in ("bool", "boolean") else None
        return _Column(column.name, expression, kind)
    clause = f" INDEXED(metric={column.metric})" if column.metric else ""
    return _Column(column.name, expression, f"{column.element}[{column.width}]", clause, column)


def _joined(
    connection: apsw.Connection, source: str, table: str, key: str, taken: list[_Column]
) -> tuple[str, list[_Column]]:
    """What joins the table of the texts, and its columns but for the key."""
    columns_of = "SELECT name, pk FROM pragma_table_xinfo(?) WHERE NOT hidden"
    rows = list(ask(connection, columns_of, (table,)))
    if not rows:
        known = [name for (name,) in ask(connection, "SELECT name FROM sqlite_schema WHERE type = 'table'")]
        raise OptionError(
            f"there is no table {table}",
            file=source,
            remedy=f"{did_you_mean(table, known)}--texts names a table whose key is that of the vectors.",
        )
    keys = [name for name, place in rows if place]
    if len(keys) > 1:
        raise OptionError(
            f"the key of {table} has several columns",
            file=source,
            remedy="--texts needs one with a single key.",
        )
    on = quote(keys[0]) if keys else "rowid"
    names = {fold(column.name) for column in taken}
    columns = []
    for name, _ in rows:
        if name in keys:
            continue
        called = f"{table}_{name}" if fold(name) in names else name
        columns.append(_Column(called, f"t.{quote(name)}"))
    return f" LEFT JOIN {quote(table)} AS t ON t.{on} = {key}", columns


def full_text_tables(
    connection: apsw.Connection, source: str, virtual: Mapping[str, tuple[str, str]], wishes: Wishes
) -> list[SqlCollection]:
    """The tables of FTS; their texts are searched by words, but for columns that were not."""
    found = []
    for table, (module, statement) in virtual.items():
        if module not in FULL_TEXT:
            continue
        apart = unindexed_columns(statement)
        columns = [_Column("id", "rowid", "INTEGER")]
        for name in _names(connection, table):
            called = f"{table}_{name}" if fold(name) == "id" else name
            kind = None if name in apart else "TEXT"
            value = quote(name)
            if kind == "TEXT":  # the words of a number are those of its text; of a blob we know none
                value = f"CASE typeof({value}) WHEN 'blob' THEN {value} ELSE CAST({value} AS TEXT) END"
            columns.append(_Column(called, value, kind, "" if name in apart else " INDEXED"))
        empty = is_contentless(statement)
        found.append(
            SqlCollection(table, connection, source, quote(table), tuple(columns), wishes, (), empty)
        )
    return found
