"""A new SQLite file with one table: values as SQL has them, types as SQL names them."""

from __future__ import annotations

import apsw
import pyarrow as pa

from audiomem_sql.columns.column import Column, quote
from audiomem_sql.columns.shown import shown_images
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.exporting.contract import Shape


class SqliteWriter:
    """The rows of one table, in one transaction."""

    def __init__(self, path: str, shape: Shape) -> None:
        self._columns = shape.columns
        self._connection = apsw.Connection(path)
        for statement in ("PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", "BEGIN"):
            self._connection.execute(statement).fetchall()
        definitions = ", ".join(map(_definition, shape.columns))
        self._connection.execute(f"CREATE TABLE {quote(shape.name)}({definitions})")
        marks = ", ".join("?" * len(shape.columns))
        self._insert = f"INSERT INTO {quote(shape.name)} VALUES ({marks})"

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        values = [
            shown_images(array, column.type)
            for array, column in zip(batch.columns, self._columns, strict=True)
        ]
        self._connection.executemany(self._insert, zip(*values, strict=True))

    def close(self) -> None:
        """Commit."""
        self._connection.execute("COMMIT")
        self._connection.close()

    def abandon(self) -> None:
        """Close the connection."""
        self._connection.close(True)


def _definition(column: Column) -> str:
    key = " PRIMARY KEY" if column.primary_key else ""
    null = " NOT NULL" if column.not_null and not key else ""
    return f"{quote(column.name)}{_declared(column.type)}{key}{null}"


def _declared(column_type: ColumnType) -> str:
    """The type that is declared; one that SQLite would take for a number would change texts of digits."""
    node = column_type.logical
    if node is None:
        plain = str(column_type).partition("[")[0] or "TEXT"
        return " JSON TEXT" if plain == "JSON" else f" {plain}"
    return f" {node.name} TEXT" if node.name.startswith(("DATE", "TIME")) else " TEXT"
