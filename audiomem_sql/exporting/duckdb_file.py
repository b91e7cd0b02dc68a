"""A new DuckDB file with one table."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from audiomem_sql.columns.column import quote
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import MissingExtraError
from audiomem_sql.exporting.contract import Shape

#: Rows that are inserted at once.
_ROWS = 1 << 17


class DuckDBWriter:
    """The rows of one table."""

    def __init__(self, path: str, shape: Shape) -> None:
        try:
            import duckdb
        except ImportError:
            raise MissingExtraError(
                "duckdb is not installed, which writes such files",
                remedy="pip install 'audiomem-sql[duckdb]'.",
            ) from None
        self._shape, self._table = shape, quote(shape.name)
        self._connection = duckdb.connect(path)
        self._connection.execute("SET TimeZone='UTC'; BEGIN")
        shown = (
            f"CAST({quote(column.name)} AS JSON) AS {quote(column.name)}"
            if column.type.kind is Kind.JSON
            else quote(column.name)
            for column in shape.columns
        )
        self._shown = ", ".join(shown)
        self._run(f"CREATE TABLE {self._table} AS SELECT {self._shown} FROM rows", shape.schema.empty_table())
        self._held: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._held.append(batch)
        if sum(each.num_rows for each in self._held) >= _ROWS:
            self._put()

    def close(self) -> None:
        """The last rows, the key, and the file."""
        self._put()
        keys = [quote(column.name) for column in self._shape.columns if column.primary_key]
        self._connection.execute("COMMIT")
        if keys:
            self._connection.execute(f"ALTER TABLE {self._table} ADD PRIMARY KEY ({', '.join(keys)})")
        self._connection.close()

    def abandon(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _put(self) -> None:
        if self._held:
            rows = pa.Table.from_batches(self._held, self._shape.schema)
            self._run(f"INSERT INTO {self._table} SELECT {self._shown} FROM rows", rows)
            self._held = []

    def _run(self, statement: str, rows: Any) -> None:
        self._connection.register("rows", rows)
        self._connection.execute(statement)
        self._connection.unregister("rows")
