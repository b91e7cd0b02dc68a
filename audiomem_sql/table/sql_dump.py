"""A table as SQL that makes it again in plain SQLite: ``.dump`` has no rows of a virtual table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from audiomem_sql.columns.column import Column, fold, quote
from audiomem_sql.columns.constraints import Check, Key
from audiomem_sql.columns.lexemes import lexemes, text_literal
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.columns.table_names import table_name
from audiomem_sql.columns.types import Kind
from audiomem_sql.scan import scan
from audiomem_sql.table.reader import TableReader

#: What a STRICT table has for each type. INT never names the rowid.
_STRICT = {
    Kind.INTEGER: "INTEGER",
    Kind.REAL: "REAL",
    Kind.TEXT: "TEXT",
    Kind.BLOB: "BLOB",
    Kind.BOOLEAN: "INT",
    Kind.TIMESTAMP: "TEXT",
    Kind.JSON: "TEXT",
    Kind.FLOAT: "BLOB",
}
#: What a row is called by where no column is the rowid.
_ROWIDS = ("rowid", "_rowid_", "oid")


def dump(table: TableReader, name: str | None = None) -> Iterator[str]:
    """The lines of an SQL script: CREATE TABLE … STRICT, and an INSERT for each row, with its rowid.

    name: of the new table, by default the file's. OptionError for one that SQLite keeps for itself. Types
    that SQLite lacks become what SQL sees of them: BOOLEAN an integer, TIMESTAMP and JSON text, FLOAT[n] a
    blob. Keys, CHECK, DEFAULT and COLLATE are kept; indexes of words and vectors are not.
    """
    called = table_name(table.path, name, remedy="Give it another: --table NAME.")
    schema = table.schema
    yield "PRAGMA foreign_keys=OFF;"
    yield "BEGIN TRANSACTION;"
    yield f"CREATE TABLE {quote(called)}({_definitions(schema)}) STRICT;"
    yield from _rows(table, schema, called)
    yield "COMMIT;"


def _definitions(schema: Schema) -> str:
    checks = [check for check in schema.checks if not _compares_numbers(check, schema)]
    constraints: tuple[Check | Key, ...] = (*checks, *schema.keys)
    parts = [*map(_definition, schema.columns), *(constraint.sql() for constraint in constraints)]
    return ", ".join(parts)


def _compares_numbers(check: Check, schema: Schema) -> bool:
    """Whether it names a column of exact numbers, whose texts plain SQLite compares byte by byte."""
    numbers = {
        fold(column.name)
        for column in schema.columns
        if column.type.logical is not None and column.type.logical.is_number
    }
    return any(fold(word.value) in numbers for word in lexemes(check.expression))


def _definition(column: Column) -> str:
    parts = [quote(column.name), _strict(column)]
    if column.primary_key:
        parts.append("PRIMARY KEY")
    else:
        parts += ["NOT NULL"] * column.not_null + ["UNIQUE"] * column.unique
    if column.default is not None:
        parts.append(f"DEFAULT {column.default}")
    if column.collation != "BINARY":
        parts.append(f"COLLATE {column.collation}")
    return " ".join(parts)


def _strict(column: Column) -> str:
    """The type in a STRICT table; logical types are texts."""
    return _STRICT[column.type.kind] if column.type.logical is None else "TEXT"


def _rows(table: TableReader, schema: Schema, name: str) -> Iterator[str]:
    names = {fold(column) for column in schema.names}
    free = next((rowid for rowid in _ROWIDS if rowid not in names), None)
    with_rowid = schema.rowid_column is None and free is not None
    columns = ", ".join(map(quote, schema.names))
    head = f"INSERT INTO {quote(name)}({f'{free}, ' if with_rowid else ''}{columns}) VALUES"
    for batch in scan(table.readable, range(len(schema))):
        values = [
            sql_values(array, column.type) for array, column in zip(batch.arrays, schema.columns, strict=True)
        ]
        if with_rowid:
            values.insert(0, batch.rowids.tolist())
        for row in zip(*values, strict=True):
            yield f"{head}({','.join(map(literal, row))});"


def literal(value: Any) -> str:
    """A value as an expression of SQL that any reader of scripts takes as it is."""
    if value is None or value != value:  # NaN, which SQLite has as NULL
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "9e999" if value > 0 else "-9e999"
    if not isinstance(value, str):
        return str(value)
    if "\0" in value:  # it would end the script
        return f"CAST(x'{value.encode().hex()}' AS TEXT)"
    quoted = text_literal(value)
    if "\r" not in value:
        return quoted
    mark = "\\r"  # shells and editors drop a CR before the end of a line
    while mark in value:
        mark += "r"
    return f"replace({quoted.replace(chr(13), mark)},'{mark}',char(13))"
